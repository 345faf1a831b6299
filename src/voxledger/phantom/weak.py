"""Weak labels: the mask of one slice, or a RECIST diameter, both taken from the reference labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.volume import Grid
from voxledger.weak.diameter import longest


def largest_slice(mask: npt.NDArray[np.bool_]) -> int:
    """Index of the axial slice with most voxels of a non-empty mask (z, y, x); the lowest of several."""
    return int(np.argmax(mask.sum(axis=(1, 2))))


def slice_mask(labels: npt.NDArray[np.uint8], ids: list[int]) -> npt.NDArray[np.uint8]:
    """The labels `ids` in the axial slice that shows most of them; zero elsewhere (z, y, x)."""
    wanted = np.isin(labels, ids)
    k = largest_slice(wanted)
    weak = np.zeros_like(labels)
    weak[k][wanted[k]] = labels[k][wanted[k]]
    return weak


def recist(mask: npt.NDArray[np.bool_], grid: Grid, name: str) -> dict[str, Any]:
    """The longest diameter in an axial slice, as RECIST 1.1 measures it (Eisenhauer 2009).

    The slice is the one in which a connected piece (8 neighbours) of the mask has the longest diameter.

    Parameters
    ----------
    mask
        Non-empty lesion mask (z, y, x).
    grid
        Its grid.
    name
        Class of the lesion.

    Returns
    -------
    dict
        `type`, `class`, `slice` (z index), `points_lps_mm` (the centres of the two end voxels, which lie on
        the border of the lesion) and `long_diameter_mm` (between the outer edges of these voxels).
    """
    best: tuple[float, int, npt.NDArray[Any]] | None = None
    for k in np.flatnonzero(mask.any(axis=(1, 2))).tolist():
        ends, length = longest(mask[k], grid.spacing[1:])
        if best is None or length > best[0]:
            best = (length, k, ends)
    if best is None:
        raise ValueError(f"{name}: an empty mask has no diameter")
    length, k, ends = best
    cosines = np.reshape(grid.direction, (3, 3))
    points = [
        [round(float(v), 3) for v in np.asarray(grid.origin) + cosines @ (np.array([x, y, k]) * grid.spacing[::-1])]
        for y, x in ends
    ]
    return {
        "type": "recist",
        "class": name,
        "slice": k,
        "points_lps_mm": points,
        "long_diameter_mm": round(length, 2),
    }
