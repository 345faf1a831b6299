"""95th percentile of the Hausdorff distance."""

from __future__ import annotations

import math

import numpy as np

from voxledger.evaluate.comparison import Comparison, Floats

SHARE = 0.95


def hd95_mm(masks: Comparison) -> float:
    """Distance in mm within which 95 % of each surface's area lies from the other; the larger of both directions.

    NaN where both masks are empty, infinite where one is; means are taken over finite values and say how many.
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
