"""MONAI networks: U-Net, SegResNet or Swin UNETR, trained on patches around foreground."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from voxledger.models.coarse import too_coarse
from voxledger.models.dataset import describe, with_untaught
from voxledger.models.heads import take_over
from voxledger.models.monai.fit import Batch, fit
from voxledger.models.monai.network import architecture_name, build_network
from voxledger.models.monai.patches import Patches
from voxledger.models.monai.plan import plan
from voxledger.models.training import Training
from voxledger.records.card import DATASET, PLANS, load_tensors, save_weights, to_json
from voxledger.textfile import read_json, replace_text


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
    size = training.model.batch
    plans = train_on_patches(
        training, folder, plan, _initial, lambda network, patches: lambda: _batch(patches, size), build_network
    )
    return architecture_name(plans)


def train_on_patches(
    training: Training,
    folder: Path,
    decide: Callable[[Training, dict[str, Any]], dict[str, Any]],
    initial: Callable[[Training, dict[str, Any], dict[str, Any]], Any],
    batches: Callable[[Any, Patches], Callable[[], Batch]],
    build: Callable[[dict[str, Any], int], Any],
) -> dict[str, Any]:
    """What `train` does, for any network that learns from patches; returns the plans.

    Parameters
    ----------
    decide
        Makes the plans, from `dataset.json`, where there is no parent to take them over from.
    initial
        Makes the network that the training begins with, from plans and `dataset.json`.
    batches
        Makes what gives the next batch, for a network and the patches of the cases.
    build
        The network of plans with a number of outputs.
    """
    modalities = (case.modality for case in training.cases)
    dataset = describe(training.schema, modalities, len(training.cases), training.ignores)
    parent = training.start.parent
    plans = decide(training, dataset) if parent is None else read_json(parent.folder / PLANS)
    replace_text(folder / PLANS, to_json(plans))
    work = folder / "work"
    work.mkdir()
    patches = Patches(training, plans, work)
    _say_what_is_lost(training, plans, patches)
    replace_text(folder / DATASET, to_json(with_untaught(dataset, patches.learned, training.start.dataset)))
    network = initial(training, plans, dataset)
    fit(training, network, batches(network, patches), lambda count: build(plans, count))
    shutil.rmtree(work)
    save_weights(folder, network)
    return plans


def _say_what_is_lost(training: Training, plans: dict[str, Any], patches: Patches) -> None:
    """Say of which classes the network cannot give back what it learns from."""
    for number, c in enumerate(training.schema.classes, start=1):
        shares = patches.come_back.get(number, [])
        if lost := too_coarse(shares):
            spacing = " × ".join(f"{s:g}" for s in plans["spacing"])
            print(
                f"train {training.name}: at {spacing} mm {c.name} is lost in part in {lost} of "
                f"{len(shares)} cases (of the worst {100 * min(shares):.0f} % comes back): set a finer "
                f"retrain.models.{training.name}.spacing, or train a model of its own for it",
                file=sys.stderr,
            )


def _initial(training: Training, plans: dict[str, Any], dataset: dict[str, Any]) -> Any:
    """The network with random weights, or with those of the parent."""
    network = build_network(plans, len(training.schema.classes) + 1)
    if training.start.parent is not None and training.start.dataset is not None:
        weights = load_tensors(training.start.parent.folder)
        take_over(network, weights, training.start.dataset, dataset, lambda count: build_network(plans, count))
    return network


def _batch(patches: Patches, size: int) -> Batch:
    images, labels = patches.batch(size)
    return (images,), ((labels, 1.0),)
