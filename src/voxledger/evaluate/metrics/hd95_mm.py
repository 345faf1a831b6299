"""95th percentile of the Hausdorff distance."""

from __future__ import annotations

import math

import numpy as np

from voxledger.evaluate.comparison import Comparison, Floats
from voxledger.evaluate.metric import Metric
from voxledger.params import EvaluateParams

SHARE = 0.95


def hd95_mm(masks: Comparison, params: EvaluateParams) -> float:
    """Distance in mm within which 95 % of each surface's area lies from the other; the larger of both directions.

    NaN where both masks are empty, infinite where one is; means are taken over finite values and say how many.

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
    >>> hd95_mm(compare(reference, prediction, (1.0, 1.0, 0.5)), EvaluateParams())
    0.5
    """
    if masks.both_empty:
        return math.nan
    if not masks.reference_voxels or not masks.prediction_voxels:
        return math.inf
    s = masks.surfaces
    return max(_percentile(s.reference_mm, s.reference_mm2), _percentile(s.prediction_mm, s.prediction_mm2))


def _percentile(mm: Floats, mm2: Floats) -> float:
    order = np.argsort(mm, kind="stable")
    covered = np.cumsum(mm2[order])
    return float(mm[order][np.searchsorted(covered, SHARE * covered[-1])])


METRIC = Metric(hd95_mm, "HD95", unit="mm", decimals=3)
