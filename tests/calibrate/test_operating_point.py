"""Pooled curves: the highest threshold for a sensitivity, rates by hand, and how many lesions are enough."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from voxledger.calibrate.operating_point import (
    below,
    highest_threshold,
    hits_by_value,
    lesions_needed,
    operating_points,
    plotted_thresholds,
    provable,
    shows,
)
from voxledger.imaging.froc import CaseCurve, Part, case_curve, curve_of, tried_thresholds
from voxledger.imaging.tree import component_tree_of
from voxledger.statistics import resamples


def case(*lesion_peaks: float, false_peaks: tuple[float, ...] = ()) -> CaseCurve:
    """A case with one-voxel lesions of some probability, and one-voxel false alarms."""
    p = np.zeros((1, 2, 2 * (len(lesion_peaks) + len(false_peaks)) + 1), np.float32)
    lesions = np.zeros(p.shape, np.uint16)
    for k, peak in enumerate(lesion_peaks):
        p[0, 0, 2 * k] = peak
        lesions[0, 0, 2 * k] = k + 1
    for k, peak in enumerate(false_peaks, start=len(lesion_peaks)):
        p[0, 0, 2 * k] = peak
    return case_curve(p, lesions, [1] * len(lesion_peaks))


CASES = [case(0.9, 0.5), case(0.25, false_peaks=(0.7, 0.1)), case(false_peaks=(0.2,)), case()]


@pytest.mark.parametrize(
    ("sensitivity", "peak"), [(1.0, 0.25), (0.67, 0.25), (2 / 3, 0.5), (0.34, 0.5), (1 / 3, 0.9), (0.01, 0.9)]
)
def test_highest_threshold(sensitivity: float, peak: float) -> None:
    threshold, reached = highest_threshold(CASES, sensitivity) or (None, None)
    assert threshold == below(np.float32(peak))
    assert reached
    hits = sum(int(c.at(np.array([threshold]))[2][0]) for c in CASES)
    above = sum(int(c.at(np.array([peak], np.float32))[2][0]) for c in CASES)
    assert hits >= sensitivity * 3 > above


def test_lesions_that_are_too_small_are_neither_missed_nor_their_patients_healthy() -> None:
    p = np.zeros((1, 1, 8), np.float32)
    p[0, 0, [0, 1, 2, 4, 6]] = 0.9, 0.9, 0.9, 0.2, 0.6
    lesions = np.zeros(p.shape, np.uint16)
    lesions[0, 0, :3], lesions[0, 0, 4] = 1, 2
    tree = component_tree_of(p, 0.0, 26, None)
    both, large = (
        curve_of([Part(tree, tree.spans, lesions.ravel()[tree.voxel])], [3, 1], 0.1, least) for least in (0, 2)
    )
    assert (both.lesions, both.small, large.lesions, large.small) == (2, 0, 1, 1)
    assert highest_threshold([both], 1.0) == (below(np.float32(0.2)), True)
    assert highest_threshold([large], 1.0) == (below(np.float32(0.9)), True)
    only_small = CaseCurve(both.values, both.components, both.true_components, both.hits * 0, lesions=0, small=2)
    (point,) = operating_points([only_small, case()], [0.1], resamples(["a", "b"], 100, 0))
    assert point.false_positives_per_scan.value == 0.5  # that at 0.6; what lies on small ones is true
    assert point.patient_specificity.value == 1.0
    assert math.isnan(point.sensitivity.value)


def test_sensitivity_out_of_reach() -> None:
    missed = CaseCurve(CASES[0].values, CASES[0].components, CASES[0].true_components, CASES[0].hits, lesions=5)
    assert highest_threshold([missed], 0.99) == (below(np.float32(0.5)), False)
    assert highest_threshold([case(), case()], 0.99) is None
    assert highest_threshold([], 0.99) is None


LOST = CaseCurve(
    np.array([0.8, 0.4, 0.2, 0.1], np.float32), *(np.array([1, 2, 1, 1]),) * 2, hits=np.array([1, 2, 0, 1]), lesions=3
)
"""At 0.2 what was found grows together, and a rule takes it."""


@pytest.mark.parametrize(
    ("sensitivity", "highest", "floor", "peak", "reached"),
    [
        (0.3, 1.0, 0.0, 0.8, True),
        (0.6, 1.0, 0.0, 0.4, True),
        (1.0, 1.0, 0.0, 0.4, False),  # the lowest finds less
        (0.3, 0.15, 0.0, 0.1, True),
    ],
)
def test_lower_is_not_always_more(sensitivity: float, highest: float, floor: float, peak: float, reached: bool) -> None:
    assert highest_threshold([LOST], sensitivity, highest, floor) == (below(np.float32(peak)), reached)


def test_the_highest_threshold_allowed_does_where_it_finds_enough() -> None:
    assert highest_threshold([LOST], 0.3, 0.5) == (0.5, True)
    assert highest_threshold([LOST], 0.6, 0.15) == (below(np.float32(0.1)), False)
    taken = CaseCurve(LOST.values, LOST.components, LOST.components, LOST.hits * 0, lesions=3)
    assert highest_threshold([taken], 0.3) is None


def test_curves_that_hold_at_some_thresholds_are_asked_at_those_alone() -> None:
    thresholds = tried_thresholds(0.5, 0.003)
    values = np.nextafter(np.array(thresholds, np.float32), np.float32(1))
    ones = np.arange(len(thresholds)) >= 40
    tried = CaseCurve(values, *(ones.astype(np.int64),) * 3, lesions=1, tried="a rule")
    threshold, reached = highest_threshold([tried, case(0.02)], 1.0, 0.5, 0.003) or (0.0, False)
    assert (threshold in thresholds[40:], reached) == (True, True)
    assert threshold == max(t for t in thresholds[40:] if t < 0.02)
    plotted = plotted_thresholds([tried, case(0.02)], 10)
    assert set(plotted) <= set(thresholds)
    assert len(plotted) == 10


def test_ties_of_several_cases_are_one_step() -> None:
    values, hits = hits_by_value([case(0.5), case(0.5, 0.25)])
    assert (values.tolist(), hits.tolist()) == ([0.5, 0.25], [2, 3])


def test_rates_by_hand() -> None:
    low, high = operating_points(CASES, [0.15, 0.6], resamples(range(len(CASES)), 200, 1))
    assert low.sensitivity.value == 1.0
    assert low.false_positives_per_scan.value == 2 / 4  # 0.7 and 0.2
    assert low.patient_sensitivity.value == 1.0
    assert low.patient_specificity.value == 0.5  # of the two without lesion, one has the 0.2
    assert high.sensitivity.value == pytest.approx(1 / 3)
    assert high.patient_sensitivity.value == 1.0  # positive for a false alarm is positive
    assert high.patient_specificity.value == 1.0
    assert low.false_positives_per_scan.low <= 0.5 <= low.false_positives_per_scan.high
    assert operating_points(CASES, [0.15, 0.6], resamples(range(len(CASES)), 200, 1))[1] == high


def test_no_healthy_patient() -> None:
    point = operating_points([case(0.5)], [0.1], resamples(["a"], 100, 0))[0]
    assert math.isnan(point.patient_specificity.value)
    assert point.patient_specificity.to_json() == {"value": None, "low": None, "high": None}


def test_plotted_thresholds() -> None:
    assert plotted_thresholds(CASES, 100) == [below(np.float32(v)) for v in (0.9, 0.7, 0.5, 0.25, 0.2, 0.1)]
    many: Any = [case(*np.linspace(0.1, 0.9, 300).tolist())]
    assert 10 <= len(plotted_thresholds(many, 10)) <= 20
    assert plotted_thresholds([], 10) == []


@pytest.mark.parametrize(("sensitivity", "needed"), [(0.99, 299), (0.95, 59), (0.5, 5)])
def test_lesions_needed(sensitivity: float, needed: int) -> None:
    assert lesions_needed(sensitivity) == needed
    assert provable(needed) >= sensitivity > provable(needed - 1)


@pytest.mark.parametrize(
    ("lesions", "found", "shown"),
    [
        (299, 299, True),
        (298, 298, False),
        (299, 298, False),
        (300, 297, False),
        (473, 472, True),
        (1, 1, False),
        (9000, 0, False),
    ],
)
def test_a_sensitivity_is_shown_by_what_is_found_and_not_by_how_many_there_are(
    lesions: int, found: int, shown: bool
) -> None:
    assert shows(0.99, lesions, found) is shown


def test_no_number_shows_all() -> None:
    assert lesions_needed(1.0) is None
    assert not shows(1.0, 10_000, 10_000)
    assert provable(0) == 0.0
