"""Signed error of the predicted volume in percent."""

from __future__ import annotations

import math

from voxledger.evaluate.comparison import Comparison
from voxledger.evaluate.metric import Metric
from voxledger.params import EvaluateParams


def volume_error_percent(masks: Comparison, params: EvaluateParams) -> float:
    """Predicted minus reference volume in percent of the reference; NaN where the reference is empty.

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
    >>> volume_error_percent(compare(reference, prediction, (1.0, 1.0, 1.0)), EvaluateParams())
    -50.0
    """
    if masks.reference_voxels == 0:
        return math.nan
    return 100 * (masks.prediction_voxels - masks.reference_voxels) / masks.reference_voxels


METRIC = Metric(volume_error_percent, "Volume error", unit="%", decimals=2, signed=True)
