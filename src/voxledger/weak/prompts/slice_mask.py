"""slice_mask: what was drawn becomes the inside of a lasso, in the same plane."""

from __future__ import annotations

from voxledger.imaging.volume import Grid
from voxledger.weak.label import WeakLabel
from voxledger.weak.prompt import Prompt


def prompts(weak: WeakLabel, grid: Grid) -> list[Prompt]:
    """One lasso.

    Examples
    --------
    >>> from voxledger.weak.example import drawn_in, told
    >>> told(prompts(drawn_in((2, slice(1, 4), slice(1, 3))), Grid.plain((5, 5, 5))))
    ['lasso at (2, 1, 1) of (1, 3, 2)']
    """
    return [Prompt("lasso", weak.start, weak.mask)]
