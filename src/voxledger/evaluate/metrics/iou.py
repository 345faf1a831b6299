"""Intersection over union, the Jaccard index."""

from __future__ import annotations

import math

from voxledger.evaluate.comparison import Comparison


def iou(masks: Comparison) -> float:
    """|A ∩ B| / |A ∪ B|, in [0, 1]. NaN where both masks are empty, 0 where one is."""
    if masks.both_empty:
        return math.nan
    union = masks.reference_voxels + masks.prediction_voxels - masks.shared_voxels
    return masks.shared_voxels / union
