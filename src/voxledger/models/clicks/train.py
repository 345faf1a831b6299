"""Training: most patches are shown with clicks at the errors of the network's own answers, the others without.

What lies around clicks counts in the whole patch, and by itself a second time: it is a few voxels of a patch, and a
network that is judged by the whole alone learns to look past clicks.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from voxledger.models.clicks.guidance import guidance
from voxledger.models.clicks.network import architecture_name, build_network, with_guides_of
from voxledger.models.clicks.plan import plan
from voxledger.models.heads import take_over
from voxledger.models.interaction import Click, click_at_error
from voxledger.models.monai.fit import Batch
from voxledger.models.monai.patches import Patches
from voxledger.models.monai.train import train_on_patches
from voxledger.models.training import Training
from voxledger.records.card import load_tensors

CLICKED = 0.8
"""Share of the patches that are shown with clicks."""
TURNS = 3
"""Most answers that clicks of a patch are put on, the first of them without any."""
ABOUT = 0.7
"""Chance of a class with an error to get a click in a turn."""
AROUND = 5
"""Voxels to every side of a click that count a second time."""
WEIGHT = 0.3
"""With which they do: a judgement between 0 and 1, of one short training each. With 1 answers without clicks were much
worse, and those with clicks a little."""


def train(training: Training, folder: Path) -> str:
    """Train, write weights, plans and `dataset.json` into the folder, and return the architecture.

    Parameters
    ----------
    training
        Model, cases with what is to be learned of them, where training starts, seed and device.
    folder
        An empty folder, the next home of the model.

    Raises
    ------
    VoxledgerError
        The cohort teaches nothing: no class has a voxel, or nothing tells what is background; or the loss diverged.
    """

    def batches(network: Any, patches: Patches) -> Callable[[], Batch]:
        reader = _Reader(network, training)
        return lambda: reader.clicked(*patches.batch(training.model.batch))

    def build(plans: dict[str, Any], count: int) -> Any:
        return build_network(plans, count, len(training.schema.classes))

    return architecture_name(train_on_patches(training, folder, plan, _initial, batches, build))


def _initial(training: Training, plans: dict[str, Any], dataset: dict[str, Any]) -> Any:
    """The network with random weights, or with those of the parent."""
    classes = len(training.schema.classes)
    network = build_network(plans, classes + 1)
    parent, before = training.start.parent, training.start.dataset
    if parent is not None and before is not None:
        weights = load_tensors(parent.folder)
        weights = with_guides_of(weights, before, dataset, lambda known: build_network(plans, classes + 1, known))
        take_over(network, weights, before, dataset, lambda count: build_network(plans, count, classes))
    return network


class _Reader:
    """Clicks at the errors of what the network says of patches at the time."""

    def __init__(self, network: Any, training: Training) -> None:
        self._network, self._device = network, training.device
        self._classes, self._ignore = len(training.schema.classes), training.ignore
        self._rng = np.random.default_rng([training.seed, 1])

    def clicked(self, images: Any, labels: Any) -> Batch:
        """Inputs of the network, images (batch, 1, z, y, x) and guidance; the labels, and those around clicks alone."""
        import torch

        truth, shown = labels.numpy(), torch.zeros(len(images), 3 * self._classes, *images.shape[2:])
        turns = np.where(self._rng.random(len(images)) < CLICKED, self._rng.integers(1, TURNS + 1, len(images)), 0)
        clicks: list[list[Click]] = [[] for _ in turns]
        for turn in range(turns.max(initial=0)):
            going = np.flatnonzero(turns > turn)
            with torch.no_grad():
                logits = self._network(images[going].to(self._device), shown[going].to(self._device))
            for i, answer in zip(going, logits.argmax(1).cpu().numpy(), strict=True):
                clicks[i] += self._clicks(answer, truth[i])
                shown[i] = torch.from_numpy(guidance(answer, clicks[i], self._classes))
        near = np.full_like(truth, self._ignore)
        for of_patch, learned, about in zip(truth, near, clicks, strict=True):
            for click in about:
                z, y, x = (slice(max(v - AROUND, 0), v + AROUND + 1) for v in click.voxel)
                learned[z, y, x] = of_patch[z, y, x]
        return (images, shown), ((labels, 1.0), (torch.from_numpy(near), WEIGHT))

    def _clicks(self, answer: Any, truth: Any) -> list[Click]:
        found = []
        for number in range(1, self._classes + 1):
            if self._rng.random() < ABOUT:
                click = click_at_error(answer, truth, number, self._ignore)
                found += [click] if click is not None else []
        return found
