"""Surface Dice at a tolerance, also called normalised surface distance."""

from __future__ import annotations

import math

from voxledger.evaluate.comparison import Comparison
from voxledger.evaluate.metric import Metric
from voxledger.params import EvaluateParams

ROUNDING_MM = 1e-6
"""A distance that exceeds the tolerance by less than this lies at it: 3 × 0.7 mm must count as 2.1 mm."""


def surface_dice(masks: Comparison, params: EvaluateParams) -> float:
    """Share of both surfaces' area within a tolerance of the other surface, in [0, 1].

    Nikolov et al. 2018 (arXiv:1809.04430). NaN where both masks are empty, 0 where one is.

    Parameters
    ----------
    masks
        Reference and predicted mask with their spacing in mm (z, y, x).
    params
        `tolerance_mm` is the tolerance in mm.

    Examples
    --------
    >>> import numpy as np
    >>> from voxledger.evaluate.comparison import compare
    >>> reference = np.zeros((4, 4, 4), bool)
    >>> prediction = reference.copy()
    >>> reference[1, 1, 1:3] = prediction[1, 1, 1:2] = True
    >>> masks = compare(reference, prediction, (1.0, 1.0, 1.0))
    >>> surface_dice(masks, EvaluateParams(tolerance_mm=1))
    1.0
    >>> surface_dice(masks, EvaluateParams(tolerance_mm=0.5)) < 1
    True
    """
    if masks.both_empty:
        return math.nan
    s, bound = masks.surfaces, params.tolerance_mm + ROUNDING_MM
    near = s.reference_mm2[s.reference_mm <= bound].sum() + s.prediction_mm2[s.prediction_mm <= bound].sum()
    return float(near / (s.reference_mm2.sum() + s.prediction_mm2.sum()))


METRIC = Metric(surface_dice, "Surface Dice at {tolerance_mm:.1f} mm")
