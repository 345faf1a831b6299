"""Dice coefficient."""

from __future__ import annotations

import math

from voxledger.evaluate.comparison import Comparison
from voxledger.evaluate.metric import Metric
from voxledger.params import EvaluateParams


def dice(masks: Comparison, params: EvaluateParams) -> float:
    """2 |A ∩ B| / (|A| + |B|), in [0, 1] (Dice 1945).

    NaN where both masks are empty, 0 where one is.

    Parameters
    ----------
    masks
        Reference and predicted mask with their spacing in mm (z, y, x).
    params
        Not used.

    Examples
    --------
    >>> import numpy as np
    >>> from voxledger.evaluate.comparison import compare
    >>> reference = np.zeros((4, 4, 4), bool)
    >>> prediction = reference.copy()
    >>> reference[1, 1, 1:3] = prediction[1, 1, 1:2] = True
    >>> round(dice(compare(reference, prediction, (1.0, 1.0, 1.0)), EvaluateParams()), 4)
    0.6667
    """
    if masks.both_empty:
        return math.nan
    return 2 * masks.shared_voxels / (masks.reference_voxels + masks.prediction_voxels)


METRIC = Metric(dice, "Dice")
