"""What an image goes through before a MONAI network from elsewhere, and how probabilities come back.

The transforms are MONAI's own, by the names and arguments that a bundle has for them. Arrays are turned to MONAI's
order (x, y, z) first, with the affine in RAS coordinates that MONAI's readers give.
"""

from __future__ import annotations

import warnings
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


class Preparation:
    """The transforms of the plans, for one image; the way back goes through the same objects.

    Parameters
    ----------
    transforms
        Of the plans: `_target_` and arguments, as a bundle writes them.
    """

    def __init__(self, transforms: Sequence[dict[str, Any]]) -> None:
        self._transforms = transforms
        self._composed = _compose(transforms)
        self._prepared: Any = None

    def image(self, array: npt.NDArray[Any], grid: Grid) -> Any:
        """An image (z, y, x) as the network sees it: a tensor (1, x, y, z) on the grid of the last transform."""
        self._prepared = self._composed({"image": _tensor(array, grid)})["image"]
        return self._prepared.as_tensor()

    def labels(self, labels: npt.NDArray[Any], grid: Grid) -> npt.NDArray[np.int16]:
        """Labels (z, y, x) on the grid of the prepared image, as (x, y, z): the nearest label of every voxel."""
        spatial = [{**t, **_LABEL_MODE.get(t["_target_"], {})} for t in self._transforms if t["_target_"] in SPATIAL]
        prepared = _compose(spatial)({"image": _tensor(labels, grid)})["image"]
        return np.asarray(prepared[0].numpy().round(), np.int16)

    def back(self, values: Any) -> Array:
        """One channel, a tensor (x, y, z) on the grid of the prepared image, brought to that of the image (z, y, x)."""
        from monai.data import MetaTensor

        operations = list(self._prepared.applied_operations)
        channel = MetaTensor(values[None], affine=self._prepared.affine, applied_operations=operations)
        restored = self._composed.inverse({"image": channel})["image"]
        return np.ascontiguousarray(restored[0].numpy().T, np.float32)


def _compose(transforms: Sequence[dict[str, Any]]) -> Any:
    import monai.transforms

    made = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that defaults of MONAI changed
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
