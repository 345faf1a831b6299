"""Added path length in percent of the whole contour: how much of the drawing is left to do."""

from __future__ import annotations

import math

import numpy as np

from voxledger.evaluate.comparison import Comparison
from voxledger.evaluate.metric import Metric
from voxledger.evaluate.metrics.added_path_mm import added_path_mm
from voxledger.imaging.path_length import added_path_length
from voxledger.params import EvaluateParams


def added_path_percent(masks: Comparison, params: EvaluateParams) -> float:
    """Added path length in percent of that from nothing, which is the whole contour; NaN where the reference is empty.

    Parameters
    ----------
    masks
        Reference and predicted mask with their spacing in mm (z, y, x), and the axis across their slices.
    params
        As for `added_path_mm`.

    Examples
    --------
    >>> from voxledger.evaluate.comparison import compare
    >>> reference = np.zeros((4, 4, 4), bool)
    >>> prediction = reference.copy()
    >>> reference[1, 1, 1:3] = prediction[1, 1, 1:2] = True
    >>> added_path_percent(compare(reference, prediction, (1.0, 1.0, 1.0)), EvaluateParams())
    50.0
    """
    if masks.reference_voxels == 0:
        return math.nan
    nothing = np.zeros_like(masks.reference)
    whole = added_path_length(nothing, masks.reference, masks.spacing_mm, axis=masks.axis).mm
    return 100 * added_path_mm(masks, params) / whole


METRIC = Metric(added_path_percent, "Added path", unit="%", decimals=2)
