"""What every metric is: a number for two masks, and how tables and the report show it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from voxledger.errors import Misuse
from voxledger.evaluate.comparison import Comparison
from voxledger.params import EvaluateParams
from voxledger.registry import METRICS

_UNITS = ("", "mm", "ml", "%")
"""Metrics come in this order in tables and reports, those of one unit by name."""
_TAKEN = frozenset(
    {"set", "case_id", "class_name", "stage", "model", "round", "reference_ml", "low", "high", "n", "classes"}
)
"""Other columns of the same tables."""


@dataclass(frozen=True)
class Metric:
    """One metric; the file that holds it, as `METRIC`, has its name."""

    measure: Callable[[Comparison, EvaluateParams], float]
    """Gets both masks and the parameters of the stage. NaN where it is undefined, infinite where it has no bound: such
    values enter no mean."""
    title: str
    """Heading in the report; fields of the parameters may stand in it, as in `at {tolerance_mm:g} mm`."""
    unit: str = ""
    """Empty for a share, else `mm`, `ml`, `%` or another."""
    decimals: int = 4
    """In tables; the report shows one less."""
    signed: bool = False
    """Whether the report puts a plus before what is above 0."""
    mean: bool = True
    """Whether its mean over classes of all sizes says anything."""


def all_metrics() -> dict[str, Metric]:
    """Every metric by name, in the order of the tables: shares, then mm, ml, percent and other units.

    Raises
    ------
    Misuse
        A metric of another package has the name of another column.

    Examples
    --------
    >>> list(all_metrics())
    ['dice', 'iou', 'surface_dice', 'added_path_mm', 'hd95_mm', 'volume_error_ml', 'added_path_percent', \
'volume_error_percent']
    """
    found: dict[str, Metric] = METRICS.all()
    for name in found.keys() & _TAKEN:
        raise Misuse(
            f"{METRICS.origin(name)} has a metric {name}, but a column is called that", "uninstall the package"
        )
    place = {unit: i for i, unit in enumerate(_UNITS)}
    order = sorted(found, key=lambda name: (place.get(found[name].unit, len(place)), found[name].unit, name))
    return {name: found[name] for name in order}


def averaged() -> dict[str, Metric]:
    """The metrics beside Dice whose mean over all classes is given."""
    return {name: metric for name, metric in all_metrics().items() if metric.mean and name != "dice"}


def measure(masks: Comparison, params: EvaluateParams) -> dict[str, float]:
    """Measure two masks by every metric.

    Parameters
    ----------
    masks
        Reference and prediction.
    params
        Parameters of the stage, such as the tolerance of surface Dice in mm.
    """
    return {name: metric.measure(masks, params) for name, metric in all_metrics().items()}
