"""Masks of slices as polygons and back, in voxel coordinates: (x, y) of a slice, voxel centres at whole numbers."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

Points = npt.NDArray[np.float64]
"""Corners of a closed polygon, one (x, y) a row; the last is joined to the first."""


def outlines(mask: npt.NDArray[Any]) -> list[Points]:
    """Outlines of a mask (y, x), half-way between the centres of voxels inside and outside; holes are outlines, too.

    Drawing them again with `fill` gives the same mask.

    Examples
    --------
    >>> mask = np.array([[0, 1, 1], [1, 1, 0]])
    >>> np.array_equal(fill(outlines(mask), mask.shape), mask != 0)
    True
    >>> outlines(np.zeros((2, 2)))
    []
    """
    from contourpy import contour_generator

    padded = np.pad((mask != 0).astype(np.float64), 1)
    return [np.asarray(line[:-1]) - 1 for line in contour_generator(z=padded).lines(0.5)]


def fill(polygons: list[Points], shape: tuple[int, int]) -> npt.NDArray[np.bool_]:
    """Mask (y, x) of the voxels whose centre lies inside an odd number of polygons.

    Examples
    --------
    >>> square = np.array([[-0.5, -0.5], [2.5, -0.5], [2.5, 2.5], [-0.5, 2.5]])
    >>> hole = np.array([[0.5, 0.5], [1.5, 0.5], [1.5, 1.5], [0.5, 1.5]])
    >>> fill([square, hole], (3, 4)).astype(int).tolist()
    [[1, 1, 1, 0], [1, 0, 1, 0], [1, 1, 1, 0]]
    """
    mask = np.zeros(shape, np.bool_)
    for points in polygons:
        after = np.roll(points, -1, axis=0)
        low, high = np.minimum(points[:, 1], after[:, 1]), np.maximum(points[:, 1], after[:, 1])
        first, last = max(int(np.ceil(low.min())), 0), min(int(np.floor(high.max())), shape[0] - 1)
        for y in range(first, last + 1):
            # Half-open: a corner at the height of a row counts for one of its edges.
            crossed = (low <= y) & (y < high)
            (x0, y0), (x1, y1) = points[crossed].T, after[crossed].T
            at = np.sort(x0 + (y - y0) * (x1 - x0) / (y1 - y0))
            bounds = np.clip(np.ceil(at), 0, shape[1]).astype(int)
            for start, stop in zip(bounds[::2], bounds[1::2], strict=True):
                mask[y, start:stop] ^= True
    return mask
