"""MONAI networks: what is decided before training."""

from __future__ import annotations

from typing import Any

import numpy as np

from voxledger.errors import VoxledgerError
from voxledger.models.dataset import is_ct
from voxledger.models.monai.network import patch_divisor
from voxledger.models.training import Training

_INTENSITIES = 100_000
"""Foreground voxels of a case that the intensity bounds of CT are taken from."""


def plan(training: Training, dataset: dict[str, Any]) -> dict[str, Any]:
    """Plan working spacing, patch and intensity bounds: of the parameters where they fix them, else of the cohort.

    Parameters
    ----------
    training
        Its model may fix spacing in mm and patch in voxels (both z, y, x).
    dataset
        `dataset.json` of the model: bounds of the whole cohort mean something where intensities are Hounsfield units.

    Raises
    ------
    VoxledgerError
        No class has a voxel in the cohort.
    """
    spacings, shapes, drawn = [], [], []
    rng = np.random.default_rng(training.seed)
    for _, image, labels in training.load_all():
        spacings.append(image.grid.spacing)
        shapes.append(np.multiply(image.array.shape, image.grid.spacing))
        values = image.array[(labels > 0) & (labels != training.ignore)].astype(np.float64)
        drawn.append(values if values.size <= _INTENSITIES else rng.choice(values, _INTENSITIES, replace=False))
    foreground = np.concatenate(drawn)
    if foreground.size == 0:
        raise VoxledgerError("the cohort holds no voxel of any class", "review cases in which the classes are seen")
    spacing = training.model.spacing or tuple(float(s) for s in np.median(spacings, axis=0))
    divisor = patch_divisor(training.model.network, len(training.model.features))
    wanted = training.model.patch or np.minimum(np.median(shapes, axis=0) / spacing, 96)
    patch = [max(1, -(-int(np.ceil(n)) // divisor)) * divisor for n in wanted]
    if patch == [divisor] * 3:
        patch[2] *= 2  # instance normalisation needs more than one voxel at the bottom of the network
    low, high = np.percentile(foreground, (0.5, 99.5))
    bounds = {"low": low, "high": high, "mean": foreground.mean(), "std": foreground.std()}
    return {
        "network": training.model.network,
        "features": list(training.model.features),
        "spacing": list(spacing),
        "patch": patch,
        "intensity": {k: float(v) for k, v in bounds.items()} if is_ct(dataset) else None,
    }
