"""Dice coefficient."""

from __future__ import annotations

import math

from voxledger.evaluate.comparison import Comparison


def dice(masks: Comparison) -> float:
    """2 |A ∩ B| / (|A| + |B|), in [0, 1]. NaN where both masks are empty, 0 where one is."""
    if masks.both_empty:
        return math.nan
    return 2 * masks.shared_voxels / (masks.reference_voxels + masks.prediction_voxels)
