"""Signed error of the predicted volume."""

from __future__ import annotations

import math

from voxledger.evaluate.comparison import Comparison


def volume_error_ml(masks: Comparison) -> float:
    """Predicted minus reference volume in ml; 0 where both masks are empty."""
    return (masks.prediction_voxels - masks.reference_voxels) * masks.voxel_ml


def volume_error_percent(masks: Comparison) -> float:
    """Predicted minus reference volume in percent of the reference; NaN where the reference is empty."""
    if masks.reference_voxels == 0:
        return math.nan
    return 100 * (masks.prediction_voxels - masks.reference_voxels) / masks.reference_voxels
