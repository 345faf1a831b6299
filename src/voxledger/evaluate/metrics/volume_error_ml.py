"""Signed error of the predicted volume in ml."""

from __future__ import annotations

from voxledger.evaluate.comparison import Comparison
from voxledger.evaluate.metric import Metric
from voxledger.params import EvaluateParams


def volume_error_ml(masks: Comparison, params: EvaluateParams) -> float:
    """Predicted minus reference volume in ml; 0 where both masks are empty.

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
    >>> volume_error_ml(compare(reference, prediction, (1.0, 1.0, 1.0)), EvaluateParams())
    -0.001
    """
    return (masks.prediction_voxels - masks.reference_voxels) * masks.voxel_ml


METRIC = Metric(volume_error_ml, "Volume error", unit="ml", signed=True, mean=False)
