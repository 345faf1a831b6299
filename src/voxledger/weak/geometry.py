"""Points of the patient as voxel indices, lines as voxels, and which planes a drawing lies in."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import Box, bounding_box
from voxledger.imaging.volume import Grid
from voxledger.weak.prompt import Prompt

Points = npt.NDArray[np.float64]
"""(n, 3): voxel indices in (z, y, x), or LPS millimetres in (x, y, z)."""


def indices_of(points_lps: npt.ArrayLike, grid: Grid) -> Points:
    """Voxel indices (z, y, x), not rounded, of LPS points (x, y, z) in mm; not finite where those are too large."""
    cosines = np.reshape(grid.direction, (3, 3))
    with np.errstate(all="ignore"):
        steps = (np.asarray(points_lps, np.float64) - grid.origin) @ np.linalg.inv(cosines).T
        indices: Points = (steps / grid.spacing[::-1])[:, ::-1]
    return indices


def lps_of(indices: npt.ArrayLike, grid: Grid) -> Points:
    """LPS points (x, y, z) in mm of voxel indices (z, y, x)."""
    cosines = np.reshape(grid.direction, (3, 3))
    points: Points = (
        np.asarray(grid.origin) + (np.asarray(indices, np.float64)[:, ::-1] * grid.spacing[::-1]) @ cosines.T
    )
    return points


def line(points: Points, shape: tuple[int, ...]) -> npt.NDArray[np.int64]:
    """The voxels (n, 3) that a polyline of voxel indices (z, y, x) runs through, cut to an array of `shape`."""
    found = []
    for a, b in pairwise(points):
        # Three steps a voxel leave no gap between voxels that share a face, an edge or a corner.
        count = 3 * int(np.ceil(np.abs(b - a).max())) + 2
        found.append(a + np.linspace(0, 1, count)[:, None] * (b - a))
    voxels = np.rint(np.concatenate(found) if found else points).astype(np.int64)
    return np.unique(np.clip(voxels, 0, np.array(shape) - 1), axis=0)


def painted(voxels: npt.NDArray[np.int64]) -> tuple[npt.NDArray[np.bool_], Box]:
    """Voxels (n, 3) as a mask, and the box of the image that it fills."""
    low, high = voxels.min(axis=0), voxels.max(axis=0) + 1
    mask = np.zeros(high - low, np.bool_)
    mask[tuple((voxels - low).T)] = True
    z, y, x = (slice(int(a), int(b)) for a, b in zip(low, high, strict=True))
    return mask, (z, y, x)


def planes(mask: npt.NDArray[np.bool_]) -> Iterator[tuple[int, int]]:
    """The planes that a mask (z, y, x) was drawn in, as axis and index: few that hold every voxel, the largest first.

    Where a plane crosses others, its voxels there count for it too.

    Examples
    --------
    >>> mask = np.zeros((5, 5, 5), bool)
    >>> mask[2, :, 1:4] = mask[:, 2, 1:4] = True
    >>> list(planes(mask))
    [(0, 2), (1, 2)]
    """
    left = mask.copy()
    while left.any():
        counts = [left.sum(axis=tuple(a for a in range(3) if a != axis)) for axis in range(3)]
        axis = max(range(3), key=lambda a: (int(counts[a].max()), -a))
        index = int(counts[axis].argmax())
        yield axis, index
        np.moveaxis(left, axis, 0)[index] = False


def cut(mask: npt.NDArray[np.bool_], axis: int, index: int) -> tuple[npt.NDArray[np.bool_], tuple[int, int, int]]:
    """One plane of a mask (z, y, x), cut to what is drawn in it, and where that begins in the mask."""
    plane = np.zeros_like(mask)
    np.moveaxis(plane, axis, 0)[index] = np.moveaxis(mask, axis, 0)[index]
    box = bounding_box(plane)
    assert box is not None  # a plane of `planes` holds a voxel
    return np.ascontiguousarray(plane[box]), (box[0].start, box[1].start, box[2].start)


def thickened(voxels: npt.NDArray[np.int64], axis: int, shape: tuple[int, ...]) -> Prompt:
    """A scribble of voxels (n, 3) in a plane across `axis`, three wide: a line that is thinner tells networks less."""
    steps = np.array([[0, 0], [0, 1], [0, -1], [1, 0], [-1, 0]])
    wide = (voxels[:, None, :] + np.insert(steps, axis, 0, axis=1)).reshape(-1, 3)
    mask, box = painted(wide[((wide >= 0) & (wide < shape)).all(axis=1)])
    return Prompt("scribble", (box[0].start, box[1].start, box[2].start), mask)
