"""What of a class is lost at the spacing that a network works at, and nothing that it learns can bring back.

A structure as wide as a voxel breaks where it is brought to voxels that lie otherwise, and what is interpolated back
from the pieces stays below a half between them.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.models.centres import MOST

LEAST = 0.8
"""Share of the voxels of a class that has to come back, for a case to be as good as it was."""
MANY = 0.1
"""Share of the cases in which less comes back, from which a training says so."""


def comes_back(labels: npt.NDArray[Any], working: npt.NDArray[Any], number: int) -> float:
    """Share of the voxels of a class that its mask at the working spacing, interpolated back, still holds.

    Looked at are `MOST` voxels at most, evenly over the class.

    Parameters
    ----------
    labels
        Label map (z, y, x) on the grid of the image; it holds the class.
    working
        The same (z, y, x) over the same extent at the working spacing.
    number
        Label of the class in both.

    Examples
    --------
    >>> line = np.zeros((1, 9, 9), int)
    >>> line[0, 4] = 1
    >>> comes_back(line, np.repeat(np.repeat(line, 2, 1), 2, 2), 1), comes_back(line, line[:, ::2, ::2] * 0, 1)
    (1.0, 0.0)
    """
    from scipy.ndimage import map_coordinates

    if working.shape == labels.shape:
        return 1.0
    flat = np.flatnonzero(labels == number)
    voxels = np.stack(np.unravel_index(flat[:: -(-flat.size // MOST)], labels.shape), axis=1)
    at = (voxels + 0.5) * np.divide(working.shape, labels.shape) - 0.5
    low = np.maximum(np.floor(at.min(0)).astype(int), 0)
    high = np.ceil(at.max(0)).astype(int) + 1
    mask = working[tuple(slice(a, b) for a, b in zip(low, high, strict=True))] == number
    return float(np.mean(map_coordinates(mask.astype(np.float32), (at - low).T, order=1, mode="nearest") > 0.5))


def too_coarse(shares: list[float]) -> int:
    """In how many cases too little comes back; 0 where those are few.

    Parameters
    ----------
    shares
        What comes back, by case.

    Examples
    --------
    >>> too_coarse([1.0, 0.9, 0.7]), too_coarse([0.7] + 19 * [1.0])
    (1, 0)
    """
    lost = sum(share < LEAST for share in shares)
    return lost if lost > MANY * len(shares) else 0
