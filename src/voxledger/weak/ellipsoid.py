"""The ellipsoid that a RECIST diameter alone gives: what a network is shown as a guess, and has to beat.

Its long axis is the measured one, its second axis the measured short one or as long, its third, across the slice, as
long as the second.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import Box, absolute, bounding_box
from voxledger.imaging.volume import Grid
from voxledger.weak.diameter import outer_length
from voxledger.weak.label import WeakLabel


def ellipsoid(weak: WeakLabel, grid: Grid) -> npt.NDArray[np.bool_]:
    """The voxels of the image (z, y, x) whose middle lies in the ellipsoid, at least that of its own middle.

    Parameters
    ----------
    weak
        Of the kind `recist`, in an axial slice.

    Examples
    --------
    >>> from voxledger.weak.example import GRID, measured_at
    >>> found = ellipsoid(measured_at("recist", (4, 4, 2), (4, 4, 6), (4, 3, 4), (4, 5, 4)), GRID)
    >>> [int(found.any(axis=axis).sum(axis=0).max()) for axis in (0, 1, 2)]  # mm across
    [3, 3, 3]
    >>> int(found[4, 4].sum())
    5
    """
    found = np.zeros(grid.shape, np.bool_)
    mask, box = solid(weak, grid)
    found[box] = mask
    return found


def solid(weak: WeakLabel, grid: Grid) -> tuple[npt.NDArray[np.bool_], Box]:
    """The same cut to its box, and that box of the image."""
    spacing, shape = np.array(grid.spacing), np.array(grid.shape)
    middle = (weak.points[0] + weak.points[1]) / 2
    along = (weak.points[1] - weak.points[0]) * spacing
    length = [outer_length(a, b, grid.spacing[1:]) for a, b in _pairs(weak)]
    long, short = length[0], length[-1]
    direction = along / np.linalg.norm(along) if along.any() else np.array([0.0, 0.0, 1.0])
    reach = max(length) / 2 / spacing
    low = np.clip(np.floor(middle - reach).astype(int), 0, shape - 1)
    high = np.clip(np.ceil(middle + reach).astype(int) + 1, 1, shape)
    steps = [(np.arange(a, b) - m) * s for a, b, m, s in zip(low, high, middle, spacing, strict=True)]
    z, y, x = np.meshgrid(*steps, indexing="ij", sparse=True)
    first = z * direction[0] + y * direction[1] + x * direction[2]
    rest = np.maximum(z**2 + y**2 + x**2 - first**2, 0)
    found: npt.NDArray[np.bool_] = (first / (long / 2)) ** 2 + rest / (short / 2) ** 2 <= 1
    found[tuple(np.clip(np.rint(middle).astype(int), 0, shape - 1) - low)] = True
    box = bounding_box(found)
    assert box is not None  # its middle is in it
    a, b, c = (slice(int(i), int(j)) for i, j in zip(low, high, strict=True))
    return np.ascontiguousarray(found[box]), absolute(box, (a, b, c))


def _pairs(weak: WeakLabel) -> list[tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]]:
    """In-plane ends of the axes."""
    return [(weak.points[a, 1:], weak.points[a + 1, 1:]) for a in range(0, len(weak.points), 2)]
