"""scribble: the line that was drawn, three voxels wide."""

from __future__ import annotations

import numpy as np

from voxledger.imaging.volume import Grid
from voxledger.weak.geometry import thickened
from voxledger.weak.label import WeakLabel
from voxledger.weak.prompt import Prompt


def prompts(weak: WeakLabel, grid: Grid) -> list[Prompt]:
    """One scribble, in the plane of the line.

    Examples
    --------
    >>> from voxledger.weak.example import drawn_in, told
    >>> told(prompts(drawn_in((2, 2, slice(1, 4))), Grid.plain((5, 8, 8))))
    ['scribble at (2, 1, 0) of (1, 3, 5)']
    """
    return [thickened(np.argwhere(weak.mask) + weak.start, weak.mask.shape.index(1), grid.shape)]
