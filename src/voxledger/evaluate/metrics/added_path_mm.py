"""Added path length: how much contour has to be drawn to make the prediction the reference."""

from __future__ import annotations

import math

from voxledger.evaluate.comparison import Comparison
from voxledger.evaluate.metric import Metric
from voxledger.imaging.path_length import added_path_length
from voxledger.params import EvaluateParams


def added_path_mm(masks: Comparison, params: EvaluateParams) -> float:
    """Length in mm of the reference's contour, slice by slice, that does not lie on that of the prediction.

    Vaassen et al. 2020 (doi:10.1016/j.phro.2019.12.001). NaN where both masks are empty, 0 where the reference is: what
    is only erased is not drawn.

    Parameters
    ----------
    masks
        Reference and predicted mask with their spacing in mm (z, y, x), and the axis across their slices.
    params
        `path_tolerance_mm` is the distance in mm, in the slice, within which a contour need not be drawn anew.

    Examples
    --------
    >>> import numpy as np
    >>> from voxledger.evaluate.comparison import compare
    >>> reference = np.zeros((4, 4, 4), bool)
    >>> prediction = reference.copy()
    >>> reference[1, 1, 1:3] = prediction[1, 1, 1:2] = True
    >>> added_path_mm(compare(reference, prediction, (1.0, 1.0, 1.0)), EvaluateParams())
    1.0
    """
    if masks.both_empty:
        return math.nan
    tolerance_mm = params.path_tolerance_mm
    return added_path_length(masks.prediction, masks.reference, masks.spacing_mm, tolerance_mm, masks.axis).mm


METRIC = Metric(added_path_mm, "Added path", unit="mm", decimals=1, mean=False)
