"""A weak label: one mark of one object of a class in a case."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt

Kind = Literal["slice_mask", "slices", "recist", "box", "point", "scribble"]


@dataclass(frozen=True)
class WeakLabel:
    """One mark of one object.

    Parameters
    ----------
    case_id, class_name
        What it marks.
    kind
        `slice_mask`: the object drawn in one plane; `slices`: in several, which may be orthogonal; `recist`: its
        longest diameter in a plane, and the short axis where it was measured; `box`: a rectangle in a plane; `point`;
        `scribble`: a line drawn inside it.
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
