"""MONAI networks: U-Net, SegResNet or Swin UNETR, trained on patches around foreground."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.volume import Volume
from voxledger.models.dataset import describe, with_untaught
from voxledger.models.heads import take_over
from voxledger.models.monai.network import (
    architecture_name,
    build_network,
    from_elsewhere,
    patch_of,
    preprocess,
    resample,
    working_shape,
)
from voxledger.models.monai.plan import plan
from voxledger.models.monai.transforms import Preparation
from voxledger.models.training import Training
from voxledger.records.card import DATASET, PLANS, load_tensors, save_weights, to_json
from voxledger.textfile import read_json, replace_text

_CENTRES = 10_000
"""Voxels of a class and case that patches are centred on, drawn once."""
_WARM_UP = 0.05
"""Share of the iterations over which the learning rate rises."""


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
    dataset = describe(
        training.schema, (case.modality for case in training.cases), len(training.cases), training.ignores
    )
    ct = dataset["channel_names"]["0"] == "CT"
    plans = plan(training, ct) if training.start.parent is None else read_json(training.start.parent.folder / PLANS)
    replace_text(folder / PLANS, to_json(plans))
    work = folder / "work"
    work.mkdir()
    patches = _Patches(training, plans, work)
    replace_text(folder / DATASET, to_json(with_untaught(dataset, patches.learned, training.start.dataset)))
    network = _fit(training, plans, dataset, patches)
    shutil.rmtree(work)
    save_weights(folder, network)
    return architecture_name(plans)


class _Patches:
    """Draws batches of patches; the preprocessed cases lie on disk and are read where a patch lies."""

    def __init__(self, training: Training, plans: dict[str, Any], work: Path) -> None:
        self._rng = np.random.default_rng(training.seed)
        self._plans = plans
        self._patch = patch_of(plans)
        self._ignore = training.ignore
        self.learned: set[int] = set()
        """Labels that occur in any case."""
        self._cases: list[tuple[npt.NDArray[np.float32], npt.NDArray[np.int16], list[npt.NDArray[Any]]]] = []
        for case, image, labels in training.load_all():
            self.learned.update(np.unique(labels).tolist())
            values, classes = self._prepared(image, labels)
            pads = [
                (max(0, p - n) // 2, max(0, p - n) - max(0, p - n) // 2)
                for p, n in zip(self._patch, values.shape, strict=True)
            ]
            values = np.pad(values, pads)
            classes = np.pad(classes, pads)
            paths = [work / f"{case.case_id}.{kind}.npy" for kind in ("image", "labels")]
            np.save(paths[0], values)
            np.save(paths[1], classes)
            self._cases.append(
                (np.load(paths[0], mmap_mode="r"), np.load(paths[1], mmap_mode="r"), self._centres(classes))
            )

    def _prepared(self, image: Volume, labels: npt.NDArray[Any]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int16]]:
        """Image and labels as the network sees them; their axes are those of the patch."""
        if from_elsewhere(self._plans):
            preparation = Preparation(self._plans["transforms"])
            return preparation.image(image.array, image.grid)[0].numpy(), preparation.labels(labels, image.grid)
        shape = working_shape(image.array.shape, image.grid.spacing, self._plans)
        values = preprocess(image.array, image.grid.spacing, self._plans)
        return values, resample(labels, shape, nearest=True).astype(np.int16)

    def _centres(self, classes: npt.NDArray[np.int16]) -> list[npt.NDArray[Any]]:
        """Voxels of every class in the case; of all that is known where there is none."""
        present = [c for c in np.unique(classes).tolist() if 0 < c != self._ignore]
        found = [np.argwhere(classes == c) for c in present] or [np.argwhere(classes != self._ignore)]
        return [v if len(v) <= _CENTRES else self._rng.choice(v, _CENTRES, replace=False) for v in found]

    def batch(self, size: int) -> tuple[Any, Any]:
        """Images (batch, 1, z, y, x) and labels (batch, z, y, x)."""
        import torch

        drawn = [self._draw() for _ in range(size)]
        return torch.from_numpy(np.stack([d[0] for d in drawn])[:, None]), torch.from_numpy(
            np.stack([d[1] for d in drawn])
        )

    def _draw(self) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        values, classes, centres = self._cases[self._rng.integers(len(self._cases))]
        voxels = centres[self._rng.integers(len(centres))]
        centre = voxels[self._rng.integers(len(voxels))]
        box = tuple(
            slice(start := int(np.clip(c - p // 2, 0, n - p)), start + p)
            for c, p, n in zip(centre, self._patch, values.shape, strict=True)
        )
        # Light augmentation of brightness and contrast; organs have sides, so nothing is mirrored.
        scale, shift = self._rng.uniform(0.9, 1.1), self._rng.uniform(-0.1, 0.1)
        return np.asarray(values[box] * scale + shift, np.float32), np.asarray(classes[box], np.int64)


def _fit(training: Training, plans: dict[str, Any], dataset: dict[str, Any], patches: _Patches) -> Any:
    import torch

    iterations = training.start.iterations
    network = build_network(plans, len(training.schema.classes) + 1)
    if training.start.parent is not None and training.start.dataset is not None:
        weights = load_tensors(training.start.parent.folder)
        take_over(network, weights, training.start.dataset, dataset, lambda count: build_network(plans, count))
    network.to(training.device).train()
    # Fused: PyTorch's own square root. Otherwise MKL's, which differs between makes of CPU.
    optimizer = torch.optim.AdamW(network.parameters(), training.model.learning_rate, weight_decay=1e-4, fused=True)
    warm_up = max(1, round(_WARM_UP * iterations))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warm_up) * max(0.0, 1 - step / iterations) ** 0.9
    )
    loss = HybridLoss(len(training.schema.classes) + 1, training.ignore)
    with training.report() as report:
        for _ in range(iterations):
            images, labels = patches.batch(training.model.batch)
            optimizer.zero_grad(set_to_none=True)
            value = loss(_finest(network(images.to(training.device))), labels.to(training.device))
            value.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
            optimizer.step()
            schedule.step()
            report(value.item())
    return network


def _finest(outputs: Any) -> Any:
    """Logits (batch, channel, patch) of the finest output, of networks that train several (DynUNet, SegResNetDS)."""
    if isinstance(outputs, list | tuple):
        return outputs[0]
    return outputs[:, 0] if outputs.ndim == 6 else outputs


class HybridLoss:
    """Dice loss plus cross-entropy over the voxels that are known.

    Parameters
    ----------
    outputs
        Channels of the network, background first.
    ignore
        Label of voxels that have no say in either term.
    """

    def __init__(self, outputs: int, ignore: int) -> None:
        from monai.losses import DiceLoss

        self._outputs, self._ignore = outputs, ignore
        self._dice = DiceLoss(include_background=False, batch=True, smooth_nr=1e-5, smooth_dr=1e-5)

    def __call__(self, logits: Any, labels: Any) -> Any:
        """Loss of logits (batch, channel, z, y, x) against labels (batch, z, y, x)."""
        import torch
        from torch.nn.functional import cross_entropy, one_hot

        known = labels != self._ignore
        if not known.any():
            return logits.sum() * 0.0
        wanted = one_hot(torch.where(known, labels, 0), self._outputs).movedim(-1, 1)
        dice = self._dice(logits.softmax(1) * known[:, None], wanted * known[:, None])
        return dice + cross_entropy(logits, labels, ignore_index=self._ignore)
