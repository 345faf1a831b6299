"""All metrics of one pair of masks, by the names that the tables use."""

from __future__ import annotations

from voxledger.evaluate.comparison import Comparison
from voxledger.evaluate.metrics.dice import dice
from voxledger.evaluate.metrics.hd95 import hd95_mm
from voxledger.evaluate.metrics.iou import iou
from voxledger.evaluate.metrics.surface_dice import surface_dice
from voxledger.evaluate.metrics.volume_error import volume_error_ml, volume_error_percent

DECIMALS = {
    "dice": 4,
    "iou": 4,
    "surface_dice": 4,
    "hd95_mm": 3,
    "volume_error_ml": 4,
    "volume_error_percent": 2,
}
"""Names of the metrics, in the order of the tables, and how many decimals are written of each."""


def measure(masks: Comparison, tolerance_mm: float) -> dict[str, float]:
    """Every metric by name; `tolerance_mm` is that of surface Dice."""
    return {
        "dice": dice(masks),
        "iou": iou(masks),
        "surface_dice": surface_dice(masks, tolerance_mm),
        "hd95_mm": hd95_mm(masks),
        "volume_error_ml": volume_error_ml(masks),
        "volume_error_percent": volume_error_percent(masks),
    }
