"""agreement: in the planes that somebody drew in, the object looks as it was drawn.

Measured: Dice of the object and the drawing, in all planes of the drawing. Of what is measured here it says most about
how good an object is.
"""

from __future__ import annotations

import numpy as np

from voxledger.weak.check import Marked, WeakCheck
from voxledger.weak.geometry import planes


def measure(marked: Marked) -> float:
    """Dice.

    Examples
    --------
    >>> from voxledger.weak.example import drawn_in, predicted
    >>> weak = drawn_in((2, slice(1, 5), slice(1, 5)))
    >>> measure(predicted(weak, (slice(0, 6), slice(1, 5), slice(3, 7))))
    0.5
    """
    here = np.zeros(marked.mask.shape, np.bool_)
    for axis, index in planes(marked.weak.mask):
        np.moveaxis(here, axis, 0)[index + marked.weak.start[axis]] = True
    shared = int(marked.mask[tuple(marked.marked.T)].sum())
    return 2 * shared / (len(marked.marked) + int((marked.mask & here).sum()))


CHECK = WeakCheck(measure, low=0.7, kinds=("slice_mask", "slices"))
