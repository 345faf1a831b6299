"""recist: the ellipsoid of the measured axes as a guess, and the axes as one scribble, three voxels wide."""

from __future__ import annotations

import numpy as np

from voxledger.imaging.volume import Grid
from voxledger.weak.ellipsoid import solid
from voxledger.weak.geometry import line, thickened
from voxledger.weak.label import WeakLabel
from voxledger.weak.prompt import Prompt


def prompts(weak: WeakLabel, grid: Grid) -> list[Prompt]:
    """A guess, and a scribble in the slice of the measurement: the long axis, and the short one where it was measured.

    Examples
    --------
    >>> from voxledger.weak.example import measured_at, told
    >>> weak = measured_at("recist", (2, 3, 1), (2, 3, 6), (2, 1, 3), (2, 5, 3))
    >>> told(prompts(weak, Grid.plain((5, 8, 8))))
    ['guess at (0, 1, 1) of (5, 5, 6)', 'scribble at (2, 0, 0) of (1, 7, 8)']
    """
    axes = np.concatenate([line(weak.points[a : a + 2], grid.shape) for a in range(0, len(weak.points), 2)])
    guess, (z, y, x) = solid(weak, grid)
    return [Prompt("guess", (z.start, y.start, x.start), guess), thickened(axes, 0, grid.shape)]
