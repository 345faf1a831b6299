"""The loops of learned attention, compiled by numba. Import this module only where it runs: compiling takes seconds.

All arrays are (z, y, x). Voxels are given by their index in the whole image; arrays that fill a box of it come with
the corner where that begins.
"""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

from typing import Any

import numba as nb
import numpy as np
import numpy.typing as npt

NEAR = 2
"""Voxels on each side that is looked at where something is said of a neighbourhood."""


@nb.njit(cache=True, nogil=True)
def add_moments(
    p: npt.NDArray[np.uint16],
    values: npt.NDArray[np.float32],
    total: npt.NDArray[np.float32],
    squares: npt.NDArray[np.float32],
    entropy: npt.NDArray[np.float32],
) -> None:
    """Add one model to sums of probabilities, of their squares, and of entropies.

    `p` holds bit patterns of float16; `values` has by pattern, up to that of 1, the probability and its entropy.
    """
    for z in range(p.shape[0]):
        for y in range(p.shape[1]):
            for x in range(p.shape[2]):
                bits = min(int(p[z, y, x]), len(values) - 1)
                if bits:
                    value = values[bits, 0]
                    total[z, y, x] += value
                    squares[z, y, x] += value * value
                    entropy[z, y, x] += values[bits, 1]


@nb.njit(cache=True, nogil=True)
def doubtful(
    mean: npt.NDArray[np.float32],
    labels: npt.NDArray[Any],
    own: npt.NDArray[np.bool_],
    corner: tuple[int, int, int],
    low: int,
    high: int,
    sure: float,
) -> npt.NDArray[np.int32]:
    """Voxels (n, 3) of the slices `low` to `high` of the image that are in question.

    Those where the mean of the models lies between `sure` and 1 − `sure`, or on the other side than the label map.
    """
    count = 0
    found = np.empty((1024, 3), np.int32)
    for z in range(low, high):
        for y in range(mean.shape[1]):
            for x in range(mean.shape[2]):
                value = mean[z - corner[0], y, x]
                inside = own[labels[z, y + corner[1], x + corner[2]]]
                if (sure < value < 1.0 - sure) or inside != (value > 0.5):
                    if count == len(found):
                        grown = np.empty((2 * count, 3), np.int32)
                        grown[:count] = found
                        found = grown
                    found[count, 0], found[count, 1], found[count, 2] = z, y + corner[1], x + corner[2]
                    count += 1
    return found[:count]


@nb.njit(cache=True, nogil=True)
def around(
    voxels: npt.NDArray[np.int32],
    mean: npt.NDArray[np.float32],
    deviation: npt.NDArray[np.float32],
    corner: tuple[int, int, int],
    spacing: tuple[float, float, float],
    out: npt.NDArray[np.float32],
) -> None:
    """Of every voxel: mean and deviation over the 27 nearest, gradient of the mean by mm, and share in doubt.

    The share is that of the 27 voxels that lie `NEAR` apart, this one in their middle.
    """
    nz, ny, nx = mean.shape
    for i in range(len(voxels)):
        z, y, x = voxels[i, 0] - corner[0], voxels[i, 1] - corner[1], voxels[i, 2] - corner[2]
        of_mean = of_deviation = 0.0
        near = unsure = 0
        for k in range(max(z - 1, 0), min(z + 2, nz)):
            for j in range(max(y - 1, 0), min(y + 2, ny)):
                for h in range(max(x - 1, 0), min(x + 2, nx)):
                    of_mean += mean[k, j, h]
                    of_deviation += deviation[k, j, h]
                    near += 1
        for k in range(z - NEAR, z + NEAR + 1, NEAR):
            for j in range(y - NEAR, y + NEAR + 1, NEAR):
                for h in range(x - NEAR, x + NEAR + 1, NEAR):
                    if 0 <= k < nz and 0 <= j < ny and 0 <= h < nx:
                        unsure += 0.1 < mean[k, j, h] < 0.9
        out[i, 0], out[i, 1] = of_mean / near, of_deviation / near
        dz = (mean[min(z + 1, nz - 1), y, x] - mean[max(z - 1, 0), y, x]) / spacing[0]
        dy = (mean[z, min(y + 1, ny - 1), x] - mean[z, max(y - 1, 0), x]) / spacing[1]
        dx = (mean[z, y, min(x + 1, nx - 1)] - mean[z, y, max(x - 1, 0)]) / spacing[2]
        out[i, 2] = 0.5 * np.sqrt(dz * dz + dy * dy + dx * dx)
        out[i, 3] = unsure / 27.0


@nb.njit(cache=True, nogil=True)
def gathered(
    voxels: npt.NDArray[np.int32],
    values: npt.NDArray[Any],
    corner: tuple[int, int, int],
    out: npt.NDArray[np.float32],
) -> None:
    """The value at every voxel of an array that fills a box; 0 outside of it."""
    nz, ny, nx = values.shape
    for i in range(len(voxels)):
        z, y, x = voxels[i, 0] - corner[0], voxels[i, 1] - corner[1], voxels[i, 2] - corner[2]
        out[i] = values[z, y, x] if 0 <= z < nz and 0 <= y < ny and 0 <= x < nx else 0


@nb.njit(cache=True, nogil=True)
def placed(
    voxels: npt.NDArray[np.int32],
    labels: npt.NDArray[Any],
    own: npt.NDArray[np.bool_],
    offsets: npt.NDArray[np.int32],
    distances: npt.NDArray[np.float32],
    out: npt.NDArray[np.float32],
) -> None:
    """Of every voxel: mm to the nearest voxel on the other side of the border, negative outside, and share of mask.

    `offsets` (n, 3) are sorted by `distances`; what lies farther than the last is as far as that. The share is that of
    the 27 voxels that lie `NEAR` apart, this one in their middle.
    """
    nz, ny, nx = labels.shape
    for i in range(len(voxels)):
        z, y, x = voxels[i, 0], voxels[i, 1], voxels[i, 2]
        inside = own[labels[z, y, x]]
        away = distances[-1]
        for n in range(len(offsets)):
            k, j, h = z + offsets[n, 0], y + offsets[n, 1], x + offsets[n, 2]
            if 0 <= k < nz and 0 <= j < ny and 0 <= h < nx and own[labels[k, j, h]] != inside:
                away = distances[n]
                break
        covered = 0
        for k in range(z - NEAR, z + NEAR + 1, NEAR):
            for j in range(y - NEAR, y + NEAR + 1, NEAR):
                for h in range(x - NEAR, x + NEAR + 1, NEAR):
                    if 0 <= k < nz and 0 <= j < ny and 0 <= h < nx:
                        covered += own[labels[k, j, h]]
        out[i, 0], out[i, 1] = away if inside else -away, covered / 27.0


@nb.njit(cache=True, nogil=True)
def looks(
    voxels: npt.NDArray[np.int32],
    image: npt.NDArray[Any],
    spacing: tuple[float, float, float],
    out: npt.NDArray[np.float32],
) -> None:
    """Of every voxel: intensity, its gradient by mm, and its standard deviation over the 27 nearest."""
    nz, ny, nx = image.shape
    for i in range(len(voxels)):
        z, y, x = voxels[i, 0], voxels[i, 1], voxels[i, 2]
        here = float(image[z, y, x])
        total = squares = 0.0
        near = 0
        for k in range(max(z - 1, 0), min(z + 2, nz)):
            for j in range(max(y - 1, 0), min(y + 2, ny)):
                for h in range(max(x - 1, 0), min(x + 2, nx)):
                    value = float(image[k, j, h]) - here
                    total += value
                    squares += value * value
                    near += 1
        dz = (float(image[min(z + 1, nz - 1), y, x]) - float(image[max(z - 1, 0), y, x])) / spacing[0]
        dy = (float(image[z, min(y + 1, ny - 1), x]) - float(image[z, max(y - 1, 0), x])) / spacing[1]
        dx = (float(image[z, y, min(x + 1, nx - 1)]) - float(image[z, y, max(x - 1, 0)])) / spacing[2]
        out[i, 0] = here
        out[i, 1] = 0.5 * np.sqrt(dz * dz + dy * dy + dx * dx)
        out[i, 2] = np.sqrt(max(squares / near - (total / near) ** 2, 0.0))


@nb.njit(cache=True, nogil=True)
def of_slices(
    labels: npt.NDArray[Any], own: npt.NDArray[np.bool_], image: npt.NDArray[Any]
) -> tuple[npt.NDArray[np.int64], float, float]:
    """Voxels of a class in every slice, and sum and sum of squares of their intensities."""
    areas = np.zeros(labels.shape[0], np.int64)
    total = squares = 0.0
    for z in range(labels.shape[0]):
        for y in range(labels.shape[1]):
            for x in range(labels.shape[2]):
                if own[labels[z, y, x]]:
                    value = float(image[z, y, x])
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
