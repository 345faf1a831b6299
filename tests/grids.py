"""Grids as viewers change them."""

from __future__ import annotations

import numpy as np

from voxledger.imaging.volume import Grid


def regridded(
    labels: np.ndarray, image: Grid, axes: tuple[int, ...], flips: tuple[bool, ...], moved: tuple[tuple[int, int], ...]
) -> tuple[np.ndarray, Grid]:
    """Voxels (z, y, x) and grid of a label map with its sides moved, then flipped, then its axes in another order.

    `moved` says by axis of the image how many voxels were cut off (or added, below 0) at begin and end.
    """
    padded = np.pad(labels, [(max(-a, 0), max(-b, 0)) for a, b in moved])
    cut = padded[tuple(slice(max(a, 0), n - max(b, 0)) for n, (a, b) in zip(padded.shape, moved, strict=True))]
    steps = np.reshape(image.direction, (3, 3))[:, ::-1]
    origin = np.array(image.origin) + steps @ [a * s for (a, _), s in zip(moved, image.spacing, strict=True)]
    signs = []
    for axis, flip in enumerate(flips):
        if flip:
            cut = np.flip(cut, axis)
            origin = origin + steps[:, axis] * image.spacing[axis] * (cut.shape[axis] - 1)
        signs.append(-1.0 if flip else 1.0)
    found = cut.transpose(axes)
    columns = (steps * signs)[:, list(axes)][:, ::-1]
    z, y, x = (image.spacing[a] for a in axes)
    a, b, c = found.shape
    ox, oy, oz = (float(v) for v in origin)
    return found, Grid((a, b, c), (z, y, x), (ox, oy, oz), tuple(float(v) for v in columns.ravel()))
