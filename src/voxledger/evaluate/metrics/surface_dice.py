"""Surface Dice at a tolerance, also called normalised surface distance."""

from __future__ import annotations

import math

from voxledger.evaluate.comparison import Comparison

ROUNDING_MM = 1e-6
"""A distance that exceeds the tolerance by less than this lies at it: 3 × 0.7 mm must count as 2.1 mm."""


def surface_dice(masks: Comparison, tolerance_mm: float) -> float:
    """Share of both surfaces' area within `tolerance_mm` of the other surface, in [0, 1].

    Nikolov et al. 2018 (arXiv:1809.04430). NaN where both masks are empty, 0 where one is.
    """
    if masks.both_empty:
        return math.nan
    s, bound = masks.surfaces, tolerance_mm + ROUNDING_MM
    near = s.reference_mm2[s.reference_mm <= bound].sum() + s.prediction_mm2[s.prediction_mm <= bound].sum()
    return float(near / (s.reference_mm2.sum() + s.prediction_mm2.sum()))
