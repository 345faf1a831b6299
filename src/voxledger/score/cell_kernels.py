"""The loops of learned attention, compiled by numba. Import this module only where it runs: compiling takes seconds.

All arrays are (z, y, x). Arrays that fill a box of the image come with the corner where that begins.
"""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

Triple = tuple[int, int, int]


@nb.njit(cache=True, nogil=True)
def _inside(
    z: int, y: int, x: int, labels: npt.NDArray[Any], own: npt.NDArray[np.bool_], faces: tuple[float, float, float]
) -> float:
    """mm² of border around a voxel of the mask; the side of the image is none."""
    nz, ny, nx = labels.shape
    area = 0.0
    if z > 0 and not own[labels[z - 1, y, x]]:
        area += faces[0]
    if z + 1 < nz and not own[labels[z + 1, y, x]]:
        area += faces[0]
    if y > 0 and not own[labels[z, y - 1, x]]:
        area += faces[1]
    if y + 1 < ny and not own[labels[z, y + 1, x]]:
        area += faces[1]
    if x > 0 and not own[labels[z, y, x - 1]]:
        area += faces[2]
    if x + 1 < nx and not own[labels[z, y, x + 1]]:
        area += faces[2]
    return area


@nb.njit(cache=True, nogil=True)
def _moments(
    p: npt.NDArray[np.uint16], values: npt.NDArray[np.float32], z: int, y: int, found: npt.NDArray[np.float64]
) -> None:
    """Write mean, mean square and mean entropy of the models (3, x) along a row."""
    models, _, _, nx = p.shape
    top = np.uint16(len(values) - 1)
    found[:] = 0.0
    for m in range(models):
        row = p[m, z, y]
        for x in range(nx):
            if row[x]:
                value = np.float64(values[min(row[x], top), 0])
                found[0, x] += value
                found[1, x] += value * value
                found[2, x] += values[min(row[x], top), 1]
    if models > 1:
        found /= models


@nb.njit(cache=True, nogil=True)
def add_part(
    p: npt.NDArray[np.uint16],
    values: npt.NDArray[np.float32],
    case: tuple[npt.NDArray[Any], npt.NDArray[np.bool_], npt.NDArray[Any], npt.NDArray[np.uint8]],
    corner: Triple,
    flagged: Triple,
    size: Triple,
    first: Triple,
    units: tuple[float, float, float],
    faces: tuple[float, float, float],
    sums: npt.NDArray[np.float32],
    asked: npt.NDArray[np.uint8],
) -> None:
    """Add a part of the image to sums by cell (z, y, x, `voxledger.score.cells._SUMMED`).

    Parameters
    ----------
    p
        Bit patterns of float16 (models, z, y, x); `values` has by pattern, up to that of 1, the probability and its
        entropy.
    case
        Label map and by its ids whether they count as the class, image, and published criteria, whose corner is
        `flagged`.
    size, first
        Voxels of a cell, and the cell that `sums` begins with.
    units
        Median and spread of the image, and the probability up to which a voxel is not in question.
    asked
        Written: 1 where a voxel is in question.
    """
    labels, own, image, criteria = case
    median, spread, sure = units
    _, nz, ny, nx = p.shape
    cell_x = (np.arange(nx) + corner[2]) // size[2] - first[2]
    moments = np.empty((3, nx))
    for z in range(nz):
        gz, cz, fz = z + corner[0], (z + corner[0]) // size[0] - first[0], z + corner[0] - flagged[0]
        for y in range(ny):
            gy, cy, fy = y + corner[1], (y + corner[1]) // size[1] - first[1], y + corner[1] - flagged[1]
            in_criteria = 0 <= fz < criteria.shape[0] and 0 <= fy < criteria.shape[1]
            _moments(p, values, z, y, moments)
            for x in range(nx):
                gx, cx = x + corner[2], cell_x[x]
                mean, squares, entropy = moments[0, x], moments[1, x], moments[2, x]
                inside = own[labels[gz, gy, gx]]
                shown = (image[gz, gy, gx] - median) / spread
                sums[cz, cy, cx, 0] += 1
                if inside:
                    sums[cz, cy, cx, 12] += 1
                    sums[cz, cy, cx, 13] += _inside(gz, gy, gx, labels, own, faces)
                    sums[cz, cy, cx, 16] += shown
                else:
                    sums[cz, cy, cx, 17] += shown
                if not (sure < mean < 1.0 - sure or inside != (mean > 0.5)):
                    continue
                asked[z, y, x] = 1
                flags = 0
                if in_criteria and 0 <= gx - flagged[2] < criteria.shape[2]:
                    flags = criteria[fz, fy, gx - flagged[2]]
                _ask(sums[cz, cy, cx], mean, squares, entropy, inside, shown, flags)


@nb.njit(cache=True, nogil=True)
def _ask(
    cell: npt.NDArray[np.float32],
    mean: float,
    squares: float,
    entropy: float,
    inside: bool,
    shown: float,
    flags: int,
) -> None:
    """Add a voxel in question to its cell; `flags` are its published criteria."""
    deviation = np.sqrt(max(squares - mean * mean, 0.0))
    cell[1] += 1
    cell[2] += 0.1 < mean < 0.9
    cell[3] += inside != (mean > 0.5)
    cell[4] += mean
    cell[5] += deviation
    cell[6] += entropy
    cell[7] = max(cell[7], np.float32(deviation))
    cell[8] = max(cell[8], np.float32(entropy))
    cell[9] += flags & 1
    cell[10] += (flags >> 1) & 1
    cell[11] += (flags >> 2) & 1
    cell[14] += shown
    cell[15] += shown * shown


@nb.njit(cache=True, nogil=True)
def of_cells(
    asked: npt.NDArray[np.uint8],
    stop: int,
    rows: npt.NDArray[np.int32],
    size: Triple,
    corner: Triple,
    chosen: npt.NDArray[np.bool_],
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Voxels in question (n, 3) of chosen cells by their index in the image, and the row of each.

    `asked` (z, y, x / 8) begins at the corner, and x ends at `stop`; `rows` has by cell its row, or −1.
    """
    first = (corner[0] // size[0], corner[1] // size[1], corner[2] // size[2])
    found, of = np.empty((1024, 3), np.int32), np.empty(1024, np.int32)
    count = 0
    for z in range(asked.shape[0]):
        cz = (z + corner[0]) // size[0] - first[0]
        for y in range(asked.shape[1]):
            cy = (y + corner[1]) // size[1] - first[1]
            for i in range(asked.shape[2]):
                byte = asked[z, y, i]
                if byte == 0:
                    continue
                for k in range(8):
                    x = 8 * i + k + corner[2]
                    if byte & (0x80 >> k) == 0 or x >= stop:
                        continue
                    row = rows[cz, cy, x // size[2] - first[2]]
                    if not chosen[row]:
                        continue
                    if count == len(found):
                        more, more_of = np.empty((2 * count, 3), np.int32), np.empty(2 * count, np.int32)
                        more[:count], more_of[:count] = found, of
                        found, of = more, more_of
                    found[count, 0], found[count, 1], found[count, 2] = z + corner[0], y + corner[1], x
                    of[count] = row
                    count += 1
    return found[:count], of[:count]


@nb.njit(cache=True, nogil=True)
def paint(
    asked: npt.NDArray[np.uint8],
    rows: npt.NDArray[np.int32],
    size: Triple,
    corner: Triple,
    level: npt.NDArray[np.uint8],
    found: npt.NDArray[np.uint8],
) -> None:
    """Write the level of its row (n,) to every voxel in question of zeroed `found` (z, y, x), which begins at the
    corner; `asked` and `rows` are those of `of_cells`.
    """
    nz, ny, nx = found.shape
    first = (corner[0] // size[0], corner[1] // size[1], corner[2] // size[2])
    for z in range(nz):
        cz = (z + corner[0]) // size[0] - first[0]
        for y in range(ny):
            cy = (y + corner[1]) // size[1] - first[1]
            for i in range(asked.shape[2]):
                byte = asked[z, y, i]
                if byte == 0:
                    continue
                for x in range(8 * i, min(8 * i + 8, nx)):
                    if byte & (0x80 >> (x & 7)):
                        found[z, y, x] = level[rows[cz, cy, (x + corner[2]) // size[2] - first[2]]]


@nb.njit(cache=True, nogil=True)
def of_slices(
    labels: npt.NDArray[Any], own: npt.NDArray[np.bool_], image: npt.NDArray[Any], median: float, spread: float
) -> tuple[npt.NDArray[np.int64], float, float]:
    """Voxels of a class in every slice, and sum and sum of squares of their intensities, in units of the spread."""
    areas = np.zeros(labels.shape[0], np.int64)
    total = squares = 0.0
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                if own[labels[z, y, x]]:
                    value = (image[z, y, x] - median) / spread
                    areas[z] += 1
                    total += value
                    squares += value * value
    return areas, total, squares


@nb.njit(cache=True, nogil=True)
def walk(
    rows: npt.NDArray[np.float32],
    feature: npt.NDArray[np.int16],
    bound: npt.NDArray[np.float32],
    value: npt.NDArray[np.float64],
    found: npt.NDArray[np.float64],
) -> None:
    """Add what the trees say of every row (n, features) to `found`.

    A tree is full: node k of `feature` and `bound` (tree, node) goes on to 2k + 1 where the feature is at most the
    bound, else to 2k + 2; `value` (tree, leaf) has the leaves from left to right.
    """
    inner = feature.shape[1]
    for first in range(0, len(rows), 64):  # many rows by one tree: their steps do not wait for one another
        last = min(first + 64, len(rows))
        for t in range(len(feature)):
            for i in range(first, last):
                node = 0
                while node < inner:
                    node = 2 * node + 1 + (rows[i, feature[t, node]] > bound[t, node])
                found[i] += value[t, node - inner]
