"""certainty: the network is sure of what it drew, for marks that say nothing of a size to compare with.

Measured: mean probability of the voxels of the object; 0 where nothing was predicted, 1 where there are none.
"""

from __future__ import annotations

from voxledger.weak.check import Marked, WeakCheck


def measure(marked: Marked) -> float:
    """Mean probability.

    Examples
    --------
    >>> import numpy as np
    >>> from dataclasses import replace
    >>> from voxledger.weak.example import drawn_in, predicted
    >>> one = predicted(drawn_in((2, slice(1, 5), 3), kind="scribble"), (2, slice(1, 5), slice(2, 4)))
    >>> measure(replace(one, probability=np.where(one.mask, np.float32(0.75), 0)))
    0.75
    """
    if not marked.mask.any():
        return 0.0
    return 1.0 if marked.probability is None else float(marked.probability[marked.mask].mean(dtype=float))


CHECK = WeakCheck(measure, low=0.9, kinds=("point", "scribble"))
