"""A weak label: one mark of one object of a class in a case."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import Box
from voxledger.imaging.volume import Grid

Kind = Literal["slice_mask", "slices", "recist", "box", "point", "scribble"]
KINDS: tuple[Kind, ...] = get_args(Kind)


@dataclass(frozen=True)
class WeakLabel:
    """One mark of one object.

    Parameters
    ----------
    case_id, class_name
        What it marks.
    kind
        `slice_mask`: the object drawn in one plane; `slices`: in several, which may be orthogonal; `recist`: its
        longest diameter in a plane, and the short axis where it was measured; `box`: a rectangle in a plane, or
        around the object in several slices; `point`; `scribble`: a line drawn inside it.
    source
        What it came as: a member of `weak/readers/`.
    sha256
        Hash of the mark itself: what it says on the grid of the image, not of a file.
    start
        Lowest corner (z, y, x) of `mask` in the image.
    mask
        The voxels that were marked, (z, y, x), cut to their box; of `recist` and `box` empty (0, 0, 0).
    points
        `recist`: (2 or 4, 3) ends of the long and then the short axis; `box`: (2, 3) its lowest and highest voxel, both
        inclusive; `point`: (1, 3). As voxel indices (z, y, x), not rounded. Otherwise (0, 3).
    """

    case_id: str
    class_name: str
    kind: Kind
    source: str
    sha256: str
    start: tuple[int, int, int]
    mask: npt.NDArray[np.bool_]
    points: npt.NDArray[np.float64]


NO_MASK = np.zeros((0, 0, 0), np.bool_)
NO_POINTS = np.zeros((0, 3))
_DIGITS = 3
"""Of voxel indices, in what is hashed: thousandths of a voxel are rounding."""


def drawn(
    case_id: str, class_name: str, kind: Kind, source: str, mask: npt.NDArray[np.bool_], box: Box, grid: Grid
) -> WeakLabel:
    """A weak label of voxels; `mask` (z, y, x) fills `box` of the image."""
    start = (box[0].start, box[1].start, box[2].start)
    digest = _sha256(class_name, kind, [list(start), list(mask.shape)], grid, np.packbits(mask).tobytes())
    return WeakLabel(case_id, class_name, kind, source, digest, start, mask, NO_POINTS)


def measured(
    case_id: str, class_name: str, kind: Kind, source: str, points: npt.NDArray[np.float64], grid: Grid
) -> WeakLabel:
    """A weak label of points: voxel indices (z, y, x), one a row, in the order that `kind` asks for."""
    place = (np.round(points, _DIGITS) + 0.0).tolist()
    digest = _sha256(class_name, kind, place, grid)
    if kind == "point":
        z, y, x = (int(v) for v in np.clip(np.rint(points[0]), 0, np.array(grid.shape) - 1))
        return WeakLabel(case_id, class_name, kind, source, digest, (z, y, x), np.ones((1, 1, 1), np.bool_), points)
    return WeakLabel(case_id, class_name, kind, source, digest, (0, 0, 0), NO_MASK, points)


def _sha256(class_name: str, kind: Kind, place: list[list[float]], grid: Grid, voxels: bytes = b"") -> str:
    said = json.dumps([class_name, kind, place, grid.to_json()], sort_keys=True)
    return hashlib.sha256(said.encode() + b"\n" + voxels).hexdigest()
