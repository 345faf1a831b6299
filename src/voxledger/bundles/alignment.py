"""How well the border of a label map follows the edges of its image."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import product
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.bundles.merge import LabelMap

MOST_SLICES, MOST_POINTS = 64, 20_000
"""Of which the border is looked at, evenly spread: enough for two digits, at any size of a volume."""
RADIUS = 3
"""Of the derivative of a Gaussian with a standard deviation of one voxel."""
_AT_ONCE = 4096


def alignment(image: npt.NDArray[Any], labels: LabelMap, spacing: tuple[float, float, float]) -> float | None:
    """Share of the gradient of the image, along the border of all that is labelled, that points across the border.

    The mean over border voxels of |g · n| over the mean of |g|, with g the gradient of the image and n the normal of
    the border: 1 where the border follows edges, 0.5 where they point anywhere.

    Parameters
    ----------
    image, labels
        On the same grid (z, y, x).
    spacing
        In mm (z, y, x).

    Returns
    -------
    float or None
        None where nothing is labelled, or the image is flat along all of the border.
    """
    points = np.concatenate([*_border(labels), np.zeros((0, 3), np.intp)])
    points = points[:: max(1, -(-len(points) // MOST_POINTS))]
    across = steepness = 0.0
    for start in range(0, len(points), _AT_ONCE):
        some = points[start : start + _AT_ONCE]
        edge = _gradient(image, some, spacing)
        normal = _gradient(labels, some, spacing, binary=True)
        normal /= np.maximum(np.linalg.norm(normal, axis=1, keepdims=True), 1e-12)
        across += float(np.abs((edge * normal).sum(axis=1)).sum())
        steepness += float(np.linalg.norm(edge, axis=1).sum())
    return across / steepness if steepness else None


def _border(labels: LabelMap) -> Iterator[npt.NDArray[np.intp]]:
    """Voxels (z, y, x) that are labelled and have one of 6 neighbours that is not, in some of the slices."""
    for z in range(0, len(labels), max(1, -(-len(labels) // MOST_SLICES))):
        here = labels[z] != 0
        if not here.any():
            continue
        inner = np.pad(here, 1, mode="edge")
        inside = inner[:-2, 1:-1] & inner[2:, 1:-1] & inner[1:-1, :-2] & inner[1:-1, 2:]
        inside &= (labels[max(z - 1, 0)] != 0) & (labels[min(z + 1, len(labels) - 1)] != 0)
        y, x = np.nonzero(here & ~inside)
        yield np.stack([np.full_like(y, z), y, x], axis=1)


def _gradient(
    values: npt.NDArray[Any],
    points: npt.NDArray[np.intp],
    spacing: tuple[float, float, float],
    binary: bool = False,
) -> npt.NDArray[np.float32]:
    """Derivatives of Gaussians at points (n, 3), a mm; of what is not 0 if `binary`."""
    offsets = np.asarray(list(product(range(-RADIUS, RADIUS + 1), repeat=3)))
    kernel = offsets * np.exp(-0.5 * (offsets**2).sum(axis=1, keepdims=True)) / np.asarray(spacing)
    at = np.clip(points[:, None] + offsets, 0, np.asarray(values.shape) - 1)
    around = values[at[..., 0], at[..., 1], at[..., 2]]
    around = (around != 0 if binary else around).astype(np.float32)
    found: npt.NDArray[np.float32] = (around - around.mean(axis=1, keepdims=True)) @ kernel.astype(np.float32)
    return found
