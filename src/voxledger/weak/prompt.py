"""A prompt: what an interactive network is told about one object."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class Prompt:
    """One prompt, on the grid of the image.

    Parameters
    ----------
    kind
        `lasso`: an outline's inside, in one plane; `scribble`: a line; `box`: a rectangle in one plane; `point`;
        `guess`: what the object is taken for before it is marked, first of all prompts and never alone.
    start
        Lowest corner (z, y, x) of `mask` in the image.
    mask
        (z, y, x) cut to its box: what a lasso encloses, the voxels of a scribble, the whole of a box, the one voxel of
        a point, every voxel of a guess. Of a lasso and a box one axis has length 1.
    positive
        Whether it says what belongs to the object; otherwise what does not.
    """

    kind: Literal["lasso", "scribble", "box", "point", "guess"]
    start: tuple[int, int, int]
    mask: npt.NDArray[np.bool_]
    positive: bool = True
