"""Every metric on masks whose values can be worked out by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis.extra.numpy import arrays

from voxledger.evaluate.comparison import compare
from voxledger.evaluate.metric import all_metrics, measure
from voxledger.params import EvaluateParams

NAN, INF = math.nan, math.inf


def voxels(*places, shape=(6, 6, 6)):
    mask = np.zeros(shape, bool)
    for place in places:
        mask[place] = True
    return mask


EMPTY = voxels()
ONE = voxels((3, 3, 3))
NEXT_ONE = voxels((3, 3, 4))
PAIR = voxels((3, 3, 3), (3, 3, 4))
CORNER = voxels((0, 0, 0))
FULL = np.ones((6, 6, 6), bool)

CASES = [
    # reference, prediction, spacing, tolerance:
    # dice, iou, surface dice, added path mm, HD95 mm, error ml, added path percent, error percent
    (EMPTY, EMPTY, (1, 1, 1), 1, (NAN, NAN, NAN, NAN, NAN, 0, NAN, NAN)),
    (ONE, EMPTY, (1, 1, 1), 1, (0, 0, 0, 1, INF, -0.001, 100, -100)),
    (EMPTY, ONE, (2, 1, 1), 1, (0, 0, 0, 0, INF, 0.002, NAN, NAN)),
    (ONE, ONE, (3, 1, 1), 0, (1, 1, 1, 0, 0, 0, 0, 0)),
    (CORNER, CORNER, (3, 1, 1), 0, (1, 1, 1, 0, 0, 0, 0, 0)),
    (FULL, FULL, (1, 1, 1), 0, (1, 1, 1, 0, 0, 0, 0, 0)),
    (ONE, NEXT_ONE, (1, 1, 1), 1, (0, 0, 1, 1, 1, 0, 100, 0)),
    (ONE, NEXT_ONE, (1, 1, 1), 0.9, (0, 0, 0.5, 1, 1, 0, 100, 0)),
    (ONE, NEXT_ONE, (1, 1, 5), 1, (0, 0, 0.5, 5**0.5, 5, 0, 100, 0)),
    (ONE, PAIR, (1, 1, 0.7), 0.7, (2 / 3, 0.5, 1, 0, 0.7, 0.0007, 0, 100)),
    (PAIR, ONE, (1, 1, 1), 1, (2 / 3, 0.5, 1, 1, 1, -0.001, 50, -50)),
    (ONE, voxels((3, 3, 0)), (1, 1, 0.7), 2.1, (0, 0, 1, 0.7**0.5, 2.1, 0, 100, 0)),
]


@pytest.mark.parametrize(("reference", "prediction", "spacing", "tolerance", "expected"), CASES)
def test_values(reference, prediction, spacing, tolerance, expected):
    found = measure(compare(reference, prediction, spacing), EvaluateParams(tolerance_mm=tolerance))
    assert list(found) == list(all_metrics())
    assert list(found.values()) == pytest.approx(expected, nan_ok=True, abs=1e-12)


def test_hd95_leaves_out_a_small_far_piece_and_not_a_large_one():
    reference = np.zeros((8, 40, 60), bool)
    reference[2:6, 4:36, 4:36] = True
    small, large = reference.copy(), reference.copy()
    small[3, 10, 55] = True
    large[2:6, 4:36, 45:55] = True
    assert measure(compare(reference, small, (1, 1, 1)), EvaluateParams())["hd95_mm"] == 0
    assert measure(compare(reference, large, (1, 1, 1)), EvaluateParams())["hd95_mm"] > 10


@settings(max_examples=40, deadline=None)
@given(a=arrays(bool, (3, 4, 5)), b=arrays(bool, (3, 4, 5)))
def test_ranges_and_symmetry(a, b):
    here, there = (measure(compare(*pair, (2, 1, 0.5)), EvaluateParams(tolerance_mm=1)) for pair in ((a, b), (b, a)))
    for name in ("dice", "iou", "surface_dice", "hd95_mm"):
        assert here[name] == pytest.approx(there[name], nan_ok=True)
    assert here["volume_error_ml"] == pytest.approx(-there["volume_error_ml"])
    if a.any() or b.any():
        assert 0 <= here["iou"] <= here["dice"] <= 1
        assert here["dice"] == pytest.approx(2 * here["iou"] / (1 + here["iou"]))
        assert (here["dice"] == 1) == np.array_equal(a, b)


@pytest.mark.parametrize(
    ("axis", "tolerance", "expected"),
    [(0, 0, 12.0), (1, 0, 8 * 5**0.5), (2, 0, 8 * 5**0.5), (0, 1, 0.0), (0, 0.9, 12.0)],
)
def test_added_path_is_drawn_in_the_slices_of_an_axis(axis, tolerance, expected):
    """A plate of 2 by 4 by 4 voxels that was moved by one along x."""
    reference, prediction = np.zeros((4, 8, 8), bool), np.zeros((4, 8, 8), bool)
    reference[1:3, 2:6, 2:6], prediction[1:3, 2:6, 1:5] = True, True
    params = EvaluateParams(path_tolerance_mm=tolerance)
    found = measure(compare(reference, prediction, (5.0, 1.0, 1.0), axis), params)
    assert found["added_path_mm"] == pytest.approx(expected)
