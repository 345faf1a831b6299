"""point: the voxel that was marked."""

from __future__ import annotations

from voxledger.imaging.volume import Grid
from voxledger.weak.label import WeakLabel
from voxledger.weak.prompt import Prompt


def prompts(weak: WeakLabel, grid: Grid) -> list[Prompt]:
    """One point.

    Examples
    --------
    >>> from voxledger.weak.example import measured_at, told
    >>> told(prompts(measured_at("point", (1.4, 2, 2)), Grid.plain((5, 8, 8))))
    ['point at (1, 2, 2) of (1, 1, 1)']
    """
    return [Prompt("point", weak.start, weak.mask)]
