"""box: its rectangle, of a box of several slices the one in the middle."""

from __future__ import annotations

import numpy as np

from voxledger.imaging.volume import Grid
from voxledger.weak.label import WeakLabel
from voxledger.weak.prompt import Prompt


def prompts(weak: WeakLabel, grid: Grid) -> list[Prompt]:
    """One box in a plane: interactive networks take those.

    Examples
    --------
    >>> from voxledger.weak.example import measured_at, told
    >>> told(prompts(measured_at("box", (1, 2, 2), (3, 5, 6)), Grid.plain((5, 8, 8))))
    ['box at (2, 2, 2) of (1, 4, 5)']
    >>> told(prompts(measured_at("box", (1, 2, 2), (3, 2, 6)), Grid.plain((5, 8, 8))))
    ['box at (1, 2, 2) of (3, 1, 5)']
    """
    low, high = np.clip(np.rint(weak.points).astype(int), 0, np.array(grid.shape) - 1)
    if (low != high).all():
        low[0] = high[0] = (low[0] + high[0]) // 2
    z, y, x = (int(v) for v in low)
    return [Prompt("box", (z, y, x), np.ones(high - low + 1, np.bool_))]
