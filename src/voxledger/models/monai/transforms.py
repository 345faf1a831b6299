"""What an image goes through before a MONAI network from elsewhere, and how probabilities come back.

The transforms are MONAI's own, by the names and arguments that a bundle has for them. Arrays are turned to MONAI's
order (x, y, z) first, with the affine in RAS coordinates that MONAI's readers give.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.volume import Grid

Array = npt.NDArray[np.float32]

SPATIAL = ("Orientationd", "Spacingd")
INTENSITY = ("ScaleIntensityRanged", "NormalizeIntensityd", "ScaleIntensityd", "ScaleIntensityRangePercentilesd")
"""Transforms that may stand in plans; each is called with plain values alone."""
_LABEL_MODE = {"Spacingd": {"mode": "nearest"}}


def prepare(array: npt.NDArray[Any], grid: Grid, transforms: Sequence[dict[str, Any]]) -> Any:
    """An image as the network sees it.

    Parameters
    ----------
    array
        Intensities (z, y, x).
    transforms
        Of the plans.

    Returns
    -------
    MetaTensor
        (1, x, y, z), which knows the way back.
    """
    return _compose(transforms)({"image": _tensor(array, grid)})["image"]


def prepare_labels(labels: npt.NDArray[Any], grid: Grid, transforms: Sequence[dict[str, Any]]) -> npt.NDArray[np.int16]:
    """Labels (z, y, x) on the grid of the prepared image, as (x, y, z): the nearest label of every voxel."""
    spatial = [{**t, **_LABEL_MODE.get(t["_target_"], {})} for t in transforms if t["_target_"] in SPATIAL]
    prepared = _compose(spatial)({"image": _tensor(labels, grid)})["image"]
    return np.asarray(prepared[0].numpy().round(), np.int16)


def back(values: Any, prepared: Any, transforms: Sequence[dict[str, Any]]) -> Array:
    """One channel on the grid of a prepared image, brought back to the image.

    Parameters
    ----------
    values
        Tensor (x, y, z).
    prepared
        What `prepare` gave.

    Returns
    -------
    Array
        (z, y, x).
    """
    from monai.data import MetaTensor

    channel = MetaTensor(values[None], affine=prepared.affine, applied_operations=list(prepared.applied_operations))
    restored = _compose(transforms).inverse({"image": channel})["image"]
    return np.ascontiguousarray(restored[0].numpy().T, np.float32)


def _compose(transforms: Sequence[dict[str, Any]]) -> Any:
    import monai.transforms

    made = []
    for transform in transforms:
        arguments = {name: value for name, value in transform.items() if name != "_target_"}
        made.append(getattr(monai.transforms, transform["_target_"])(keys=["image"], **arguments))
    return monai.transforms.Compose(made)


def _tensor(array: npt.NDArray[Any], grid: Grid) -> Any:
    import torch
    from monai.data import MetaTensor

    affine = np.eye(4)
    affine[:3, :3] = np.array(grid.direction).reshape(3, 3) * grid.spacing[::-1]
    affine[:3, 3] = grid.origin
    affine[:2] *= -1  # LPS to RAS
    values = np.ascontiguousarray(array.T, np.float32)[None]
    return MetaTensor(torch.from_numpy(values), affine=torch.from_numpy(affine))
