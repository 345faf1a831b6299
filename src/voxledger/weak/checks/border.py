"""border: the object ends where it ends, and not where the network stopped looking.

Measured: share of the pieces that touch the mark on the border of what the network looked at, but for the border of the
image itself; 0 where it looked at all that it needed.
"""

from __future__ import annotations

import numpy as np

from voxledger.weak.check import Marked, WeakCheck


def measure(marked: Marked) -> float:
    """Share of the voxels.

    Examples
    --------
    >>> from voxledger.weak.example import drawn_in, predicted
    >>> weak = drawn_in((2, slice(1, 5), slice(1, 5)))
    >>> crop = (slice(0, 4), slice(0, 8), slice(0, 8))
    >>> measure(predicted(weak, (slice(0, 4), slice(1, 5), slice(1, 5)), crop=crop))
    0.25
    """
    found = marked.touching
    if marked.crop is None or not found.any():
        return 0.0
    edge = np.zeros(found.shape, np.bool_)
    for axis, side in enumerate(marked.crop):
        faces = np.moveaxis(edge[marked.crop], axis, 0)
        faces[0] |= side.start > 0
        faces[-1] |= side.stop < edge.shape[axis]
    return float((found & edge).sum() / found.sum())


CHECK = WeakCheck(measure, high=0.0)
