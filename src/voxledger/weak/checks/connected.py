"""connected: the object is what was marked, and nothing elsewhere.

Measured: share of the object in pieces that touch what was marked.
"""

from __future__ import annotations

from voxledger.weak.check import Marked, WeakCheck


def measure(marked: Marked) -> float:
    """Share of the voxels; 0 where there is no object.

    Examples
    --------
    >>> from voxledger.weak.example import measured_at, predicted
    >>> measure(predicted(measured_at("point", (2, 4, 4)), (2, 4, slice(3, 6)), (6, 6, 6)))
    0.75
    """
    return float(marked.touching.sum() / max(marked.mask.sum(), 1))


CHECK = WeakCheck(measure, low=0.9)
