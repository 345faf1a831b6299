"""extent: the object reaches not much further from the plane of the mark than half of what it is wide there.

Measured: distance in mm from that plane to the furthest voxel of the pieces that touch the mark, as a share of the
longest diameter that was given: of a drawing, of a measured line, or the longer side of a box.
"""

from __future__ import annotations

import numpy as np

from voxledger.weak.check import Marked, WeakCheck
from voxledger.weak.diameter import longest, outer_length


def measure(marked: Marked) -> float:
    """Share of the diameter.

    Examples
    --------
    >>> from voxledger.weak.example import measured_at, predicted
    >>> measure(predicted(measured_at("recist", (2, 4, 2), (2, 4, 5)), (slice(2, 8), 4, 4)))
    1.25
    """
    axis, index = marked.plane
    told = np.flatnonzero(marked.touching.any(axis=tuple(a for a in range(3) if a != axis)))
    if told.size == 0:
        return 0.0
    return float(np.abs(told - index).max()) * marked.grid.spacing[axis] / _width(marked)


def _width(marked: Marked) -> float:
    plane, spacing = marked.in_plane(marked.prompted)
    if marked.weak.kind == "recist":
        return outer_length(marked.weak.points[0, 1:], marked.weak.points[1, 1:], spacing)
    if marked.weak.kind == "box":
        sides = (np.ptp(np.flatnonzero(plane.any(axis=1 - a))) + 1 for a in range(2))
        return float(max(side * mm for side, mm in zip(sides, spacing, strict=True)))
    return longest(plane, spacing)[1]


CHECK = WeakCheck(measure, high=0.8, kinds=("slice_mask", "recist", "box"))
