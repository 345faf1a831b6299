"""slices: a lasso for every plane that was drawn in, the largest first."""

from __future__ import annotations

from voxledger.imaging.volume import Grid
from voxledger.weak.geometry import cut, planes
from voxledger.weak.label import WeakLabel
from voxledger.weak.prompt import Prompt


def prompts(weak: WeakLabel, grid: Grid) -> list[Prompt]:
    """One lasso a plane; where planes cross, the voxels belong to both.

    Examples
    --------
    >>> from voxledger.weak.example import drawn_in, told
    >>> weak = drawn_in((2, slice(0, 5), slice(1, 4)), (slice(1, 4), 2, slice(1, 4)))
    >>> told(prompts(weak, Grid.plain((5, 5, 5))))
    ['lasso at (2, 0, 1) of (1, 5, 3)', 'lasso at (1, 2, 1) of (3, 1, 3)']
    """
    found = []
    for axis, index in planes(weak.mask):
        mask, (z, y, x) = cut(weak.mask, axis, index)
        found.append(Prompt("lasso", (weak.start[0] + z, weak.start[1] + y, weak.start[2] + x), mask))
    return found
