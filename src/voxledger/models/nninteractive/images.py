"""An image as the network sees it: clipped where it was trained so, then scaled by its own mean and deviation."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import bounding_box

Clip = tuple[float, float] | None


def clipped(image: npt.NDArray[Any], clip: Clip) -> npt.NDArray[np.float32] | None:
    """Intensities (z, y, x) within bounds; None where nothing is to be seen, since all of them are the same."""
    values = image.astype(np.float32)
    if clip is not None:
        np.clip(values, *clip, out=values)
    inside = bounding_box(values)
    return None if inside is None or not values[inside].std() > 0 else values


def normalised(image: npt.NDArray[Any], clip: Clip) -> npt.NDArray[np.float32] | None:
    """What nnInteractive's session makes of an image (z, y, x), for the training; None as `clipped`.

    Mean and deviation are those of the smallest box that holds all voxels other than 0.
    """
    values = clipped(image, clip)
    if values is None:
        return None
    inside = values[bounding_box(values)].astype(np.float64)
    return ((values - np.float32(inside.mean())) / np.float32(inside.std(ddof=1))).astype(np.float32)
