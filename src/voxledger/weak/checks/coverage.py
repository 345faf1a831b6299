"""coverage: what was marked as inside lies inside.

Measured: share of the voxels of a line, one voxel wide, or of a point, that belong to the object.
"""

from __future__ import annotations

from voxledger.weak.check import Marked, WeakCheck


def measure(marked: Marked) -> float:
    """Share of the voxels.

    Examples
    --------
    >>> from voxledger.weak.example import measured_at, predicted
    >>> measure(predicted(measured_at("recist", (2, 4, 2), (2, 4, 5)), (2, 4, slice(1, 5))))
    0.75
    """
    return float(marked.mask[tuple(marked.marked.T)].mean())


CHECK = WeakCheck(measure, low=0.8, kinds=("recist", "scribble", "point"))
