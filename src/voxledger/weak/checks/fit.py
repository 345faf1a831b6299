"""fit: in the plane of a box, the object fills it and does not leave it.

Measured: overlap (intersection over union) of the box and the box around the object in that plane.
"""

from __future__ import annotations

import numpy as np

from voxledger.weak.check import Marked, WeakCheck


def measure(marked: Marked) -> float:
    """Intersection over union; 0 where there is no object in that plane.

    Examples
    --------
    >>> from voxledger.weak.example import measured_at, predicted
    >>> measure(predicted(measured_at("box", (2, 1, 1), (2, 4, 4)), (2, slice(1, 5), slice(3, 7))))
    0.3333333333333333
    """
    found, _ = marked.in_plane(marked.touching)
    told, _ = marked.in_plane(marked.prompted)
    if not found.any():
        return 0.0
    shared, both = 1.0, [1.0, 1.0]
    for axis in range(2):
        (a, b), (c, d) = (_side(mask, axis) for mask in (found, told))
        shared *= max(min(b, d) - max(a, c) + 1, 0)
        both = [both[0] * (b - a + 1), both[1] * (d - c + 1)]
    return shared / (sum(both) - shared)


def _side(mask: np.ndarray, axis: int) -> tuple[int, int]:
    hits = np.flatnonzero(mask.any(axis=1 - axis))
    return int(hits[0]), int(hits[-1])


CHECK = WeakCheck(measure, low=0.5, kinds=("box",))
