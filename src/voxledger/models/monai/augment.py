"""Strong augmentation of patches by MONAI's transforms, in the strengths of nnU-Net; organs have sides, so nothing is
mirrored."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

TURNED = 0.5
"""Share of the patches that are turned and scaled."""
REACH = 0.25
"""What a patch that is turned and scaled takes from around it on every side, as a share of the patch."""

Augment = Callable[[npt.NDArray[Any], npt.NDArray[Any], bool], tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]]


def strong(patch: list[int], seed: int) -> Augment:
    """A function that gets image and labels (z, y, x) and whether to turn them, and gives a patch of both.

    Turned by up to 20° about every axis and scaled by 0.75 to 1.3; then, each by chance, noise, blur, brightness,
    contrast, gamma and a lower resolution. What is turned should reach `REACH` beyond the patch.
    """
    from monai import transforms as t

    keys = ("image", "labels")
    turn = t.RandAffined(
        keys,
        prob=1.0,
        rotate_range=(math.radians(20),) * 3,
        scale_range=((-0.25, 0.3),) * 3,
        spatial_size=patch,
        mode=("bilinear", "nearest"),
        padding_mode="border",
    )
    intensities = t.Compose(
        [
            t.RandGaussianNoised("image", prob=0.15, std=0.1),
            t.RandGaussianSmoothd("image", prob=0.2, sigma_x=(0.5, 1.0), sigma_y=(0.5, 1.0), sigma_z=(0.5, 1.0)),
            t.RandScaleIntensityd("image", prob=0.3, factors=0.25),
            t.RandShiftIntensityd("image", prob=0.3, offsets=0.1),
            t.RandSimulateLowResolutiond("image", prob=0.15, zoom_range=(0.5, 1.0)),
            t.RandAdjustContrastd("image", prob=0.3, gamma=(0.7, 1.5), retain_stats=True),
        ]
    )
    turn.set_random_state(seed)
    intensities.set_random_state(seed)

    def augment(
        image: npt.NDArray[Any], labels: npt.NDArray[Any], turned: bool
    ) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
        both: Any = {"image": np.array(image, np.float32)[None], "labels": np.array(labels, np.float32)[None]}
        if turned:
            both = turn(both)
        both = intensities(both)
        return np.asarray(both["image"][0], np.float32), np.rint(np.asarray(both["labels"][0])).astype(np.int64)

    return augment
