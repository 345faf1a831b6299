"""Pool the curves of all cases, and find the threshold that keeps the wanted sensitivity after the rules.

The rule is that of Efficient Human-in-the-Loop Pancreatic Tumor Annotation: of all thresholds that find the wanted
share of the lesions, the highest, because it raises the fewest false alarms.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from voxledger.imaging.froc import CaseCurve, tried_thresholds
from voxledger.statistics import Rate, Resamples, rates, ratio

CONFIDENCE = 0.95
"""One-sided confidence with which a sensitivity is called supported."""
ROUNDING = 1e-9
"""Lesions; forgives the rounding of sensitivity times lesions."""


@dataclass(frozen=True)
class OperatingPoint:
    """What a threshold finds and costs, over cases, with intervals."""

    threshold: float
    """A voxel is predicted when its probability is above."""
    sensitivity: Rate
    """Share of the lesions found."""
    false_positives_per_scan: Rate
    patient_sensitivity: Rate
    """Share of the patients with a lesion in whom anything is predicted."""
    patient_specificity: Rate
    """Share of the patients without a lesion in whom nothing is predicted."""


def lesion_count(curves: Sequence[CaseCurve]) -> int:
    """Lesions in all cases that are to be found."""
    return sum(c.lesions for c in curves)


def hits_by_value(curves: Sequence[CaseCurve]) -> tuple[npt.NDArray[np.float32], npt.NDArray[np.int64]]:
    """Lesions hit in all cases by the masks {p >= value}, at the values where that number changes, descending.

    Lower thresholds may hit fewer: a rule may take what has grown.
    """
    values = np.concatenate([c.values for c in curves]) if curves else np.empty(0, np.float32)
    changes = [np.diff(c.hits, prepend=0) for c in curves]
    steps = np.concatenate(changes) if changes else np.empty(0, np.int64)
    values, steps = values[steps != 0], steps[steps != 0]
    distinct, inverse = np.unique(-values, return_inverse=True)
    return -distinct, np.cumsum(np.bincount(inverse, weights=steps, minlength=distinct.size)).astype(np.int64)


def below(value: np.float32) -> float:
    """The highest threshold (float32) that a voxel of probability `value` lies above."""
    return float(np.nextafter(np.float32(value), np.float32(0)))


def candidates(curves: Sequence[CaseCurve], highest: float, floor: float) -> list[float]:
    """Descending thresholds, from `highest` on, of which the others hit what one of these does.

    Where a curve does not hold at all thresholds, those at which such curves do.
    """
    if any(curve.tried for curve in curves):
        return tried_thresholds(highest, floor)
    values, _ = hits_by_value(curves)
    return [float(np.float32(highest)), *(below(value) for value in values[values <= np.float32(highest)])]


def highest_threshold(
    curves: Sequence[CaseCurve], sensitivity: float, highest: float = 1.0, floor: float = 0.0
) -> tuple[float, bool] | None:
    """The highest threshold that finds `sensitivity` of the lesions, and whether any threshold does.

    Where none does, the highest that finds as many as can be found; None where no lesion can be.

    Parameters
    ----------
    highest, floor
        Between these it lies, ends included.
    """
    thresholds = candidates(curves, highest, floor)
    at = np.array(thresholds, np.float32)
    hits = sum((c.at(at)[2] for c in curves), np.zeros(at.size, np.int64))
    if hits.max() == 0:
        return None
    needed = hits_needed(sensitivity, lesion_count(curves))
    reached = bool(hits.max() >= needed)
    return thresholds[int(np.argmax(hits >= (needed if reached else hits.max())))], reached


def operating_points(
    curves: Sequence[CaseCurve], thresholds: Sequence[float], draws: Resamples
) -> list[OperatingPoint]:
    """What each threshold finds and costs; `draws` of the patients of these curves are the same for all of them."""
    at = np.array(thresholds, np.float32)
    counts = [c.at(at) for c in curves]
    points = []
    for k, threshold in enumerate(thresholds):
        rows = []
        for curve, (components, true, hits) in zip(curves, counts, strict=True):
            ill, positive = curve.lesions > 0, components[k] > 0
            healthy = not ill and not curve.small
            rows.append(
                [
                    hits[k],
                    curve.lesions,
                    components[k] - true[k],
                    1,
                    ill and positive,
                    ill,
                    healthy and not positive,
                    healthy,
                ]
            )
        statistics = [ratio(0, 1), ratio(2, 3), ratio(4, 5), ratio(6, 7)]
        points.append(OperatingPoint(threshold, *rates(np.array(rows, float), statistics, draws)))
    return points


def plotted_thresholds(curves: Sequence[CaseCurve], limit: int) -> list[float]:
    """Thresholds that show the curve, descending: at most `limit` where lesions are gained or lost, as many between.

    Where a curve does not hold at all thresholds, there are those alone at which it does.
    """
    tried = [c for c in curves if c.tried]
    gains, _ = hits_by_value([] if tried else curves)
    every = np.unique(np.concatenate([c.values for c in tried or curves])) if curves else np.empty(0, np.float32)
    chosen = np.concatenate([_spread(gains, limit), _spread(every, limit)])
    return sorted({below(value) for value in chosen}, reverse=True)


def _spread(values: npt.NDArray[np.float32], limit: int) -> npt.NDArray[np.float32]:
    places = np.unique(np.linspace(0, values.size - 1, min(limit, values.size)).round().astype(np.int64))
    return values.take(places)


def hits_needed(sensitivity: float, lesions: int) -> int:
    """Lesions that have to be found for a share of them."""
    return math.ceil(sensitivity * lesions - ROUNDING)


def lesions_needed(sensitivity: float) -> int | None:
    """Lesions that would show a sensitivity at `CONFIDENCE` if all were found (exact binomial); None for 100 %."""
    return math.ceil(math.log(1 - CONFIDENCE) / math.log(sensitivity)) if sensitivity < 1 else None


def shows(sensitivity: float, lesions: int, found: int) -> bool:
    """Whether that many of the lesions found show a sensitivity at `CONFIDENCE` (exact binomial).

    Examples
    --------
    >>> shows(0.99, 299, 299), shows(0.99, 299, 298), shows(0.99, 473, 472)
    (True, False, True)
    """
    if sensitivity == 1:
        return False
    hit, missed, n = math.log(sensitivity), math.log1p(-sensitivity), lesions
    chances = (
        math.exp(math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1) + k * missed + (n - k) * hit)
        for k in range(n - found + 1)
    )
    return sum(chances) <= 1 - CONFIDENCE


def provable(lesions: int) -> float:
    """The highest sensitivity that this many lesions can show at `CONFIDENCE`, when all are found."""
    return float((1 - CONFIDENCE) ** (1 / lesions)) if lesions else 0.0
