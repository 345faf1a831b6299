"""Voxels, peak probability and mean intensity of every component, in one pass. Imported lazily: numba compiles it."""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
import numpy.typing as npt


@numba.njit(cache=True, nogil=True)  # type: ignore[untyped-decorator]
def component_statistics(
    labels: npt.NDArray[Any],
    image: npt.NDArray[Any],
    probability: npt.NDArray[np.float32],
    count: int,
    lowest: float,
    highest: float,
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.float32], npt.NDArray[np.float64], npt.NDArray[np.int64]]:
    """Measure components 1 … `count` of a label array (z, y, x).

    Returns
    -------
    voxels
        Number of voxels, index 0 unused.
    peak
        Largest probability.
    mean
        Mean intensity after clipping to [`lowest`, `highest`].
    bounds
        First and one past the last index along z, y, x: shape (count + 1, 3, 2).
    """
    voxels = np.zeros(count + 1, np.int64)
    peak = np.zeros(count + 1, np.float32)
    total = np.zeros(count + 1, np.float64)
    bounds = np.zeros((count + 1, 3, 2), np.int64)
    for k in range(count + 1):
        for a in range(3):
            bounds[k, a, 0] = labels.shape[a]
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                k = labels[z, y, x]
                if k == 0:
                    continue
                voxels[k] += 1
                if probability[z, y, x] > peak[k]:
                    peak[k] = probability[z, y, x]
                total[k] += min(max(np.float64(image[z, y, x]), lowest), highest)
                if z < bounds[k, 0, 0]:
                    bounds[k, 0, 0] = z
                if z >= bounds[k, 0, 1]:
                    bounds[k, 0, 1] = z + 1
                if y < bounds[k, 1, 0]:
                    bounds[k, 1, 0] = y
                if y >= bounds[k, 1, 1]:
                    bounds[k, 1, 1] = y + 1
                if x < bounds[k, 2, 0]:
                    bounds[k, 2, 0] = x
                if x >= bounds[k, 2, 1]:
                    bounds[k, 2, 1] = x + 1
    return voxels, peak, total / np.maximum(voxels, 1), bounds
