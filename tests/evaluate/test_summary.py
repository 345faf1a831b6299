"""Means by set, generation and model, and gains on shared cases."""

from __future__ import annotations

import math

import pytest

from voxledger.evaluate.case_metrics import Generation
from voxledger.evaluate.metric import averaged
from voxledger.evaluate.summary import Row, gains, summarise

BASE, NEXT = Generation.BASE, Generation.NEXT


def row(set_name, case_id, generation, class_name, dice, model="unet", ml=1.0):
    return Row(set_name, case_id, generation, model, class_name, ml, dict.fromkeys(averaged(), 0.5) | {"dice": dice})


def test_order_means_and_classes():
    rows = [
        row("external/a", "x", NEXT, "liver", 0.3),
        row("test", "p", NEXT, "liver", 0.8),
        row("test", "p", NEXT, "cyst", math.nan),
        row("test", "q", NEXT, "liver", 0.6),
        row("test", "q", NEXT, "cyst", 0.1),
        row("test", "p", BASE, "liver", 0.5),
    ]
    found = summarise(rows, ["liver", "cyst"], 100, 0, {})
    assert [(s.set_name, s.generation) for s in found] == [("test", BASE), ("test", NEXT), ("external/a", NEXT)]
    after = found[1]
    assert (after.mean.mean, after.mean.n) == (pytest.approx((0.7 + 0.1) / 2), 2)
    assert {c: i.n for c, i in after.classes.items()} == {"liver": 2, "cyst": 1}
    assert after.other["iou"].mean == 0.5
    assert list(found[0].classes) == ["liver"]


def test_gain_is_over_the_cases_of_both():
    rows = [
        row("test", "p", BASE, "liver", 0.5),
        row("test", "q", BASE, "liver", 0.6),
        row("test", "r", BASE, "liver", 0.0),
        row("test", "p", NEXT, "liver", 0.6),
        row("test", "q", NEXT, "liver", 0.7),
        row("test", "s", NEXT, "liver", 1.0),
        row("test", "p", NEXT, "liver", 0.9, model="new"),
    ]
    (gain,) = gains(rows, ["liver"], 200, 0, {})
    assert (gain.model, gain.base.mean, gain.next.mean, gain.gain.n) == (
        "unet",
        pytest.approx(0.55),
        pytest.approx(0.65),
        2,
    )
    assert (gain.gain.mean, gain.gain.low, gain.gain.high) == pytest.approx((0.1, 0.1, 0.1))


@pytest.mark.parametrize(
    ("before", "after", "gain", "pairs", "new", "lost"),
    [
        # A class that is newly learnt, at 0.40, turned a gain of 0.02 into a loss of 0.24.
        ({"liver": 0.9}, {"liver": 0.92, "cyst": 0.4}, 0.02, 2, {"cyst": 0.4}, {}),
        ({"liver": 0.9, "cyst": 0.4}, {"liver": 0.92}, 0.02, 2, {}, {"cyst": 0.4}),
        ({"liver": 0.9, "cyst": 0.4}, {"liver": 0.92, "cyst": 0.5}, 0.06, 4, {}, {}),
        # Of a class that both know, a case where one of them has no value is no pair, and the class is not new.
        ({"liver": 0.9, "cyst": math.nan}, {"liver": 0.92, "cyst": 0.0}, 0.02, 2, {}, {}),
        ({"liver": 0.9}, {"cyst": 0.4}, math.nan, 0, {"cyst": 0.4}, {"liver": 0.9}),
        ({"liver": math.nan}, {"liver": math.nan, "cyst": math.nan}, math.nan, 0, {}, {}),
    ],
)
def test_a_gain_is_over_the_same_classes_of_the_same_cases(before, after, gain, pairs, new, lost):
    rows = [
        row(set_name, case_id, generation, name, dice)
        for set_name in ("test", "external/a")
        for case_id in ("p", "q")
        for generation, found in ((BASE, before), (NEXT, after))
        for name, dice in found.items()
    ]
    for found in gains(rows, ["liver", "cyst"], 100, 0, {}):
        assert found.gain.mean == pytest.approx(gain, nan_ok=True)
        assert found.next.mean - found.base.mean == pytest.approx(gain, nan_ok=True)
        assert found.pairs == pairs
        assert {name: i.mean for name, i in found.new.items()} == new
        assert {name: i.mean for name, i in found.lost.items()} == lost
        assert sum(c.gain.n for c in found.classes.values()) == pairs


def test_classes_pair_case_by_case():
    """Base knows the liver of p and q, next that of q and r; each knows the cyst of another case."""
    rows = [
        row("test", "p", BASE, "liver", 0.1),
        row("test", "q", BASE, "liver", 0.6),
        row("test", "p", BASE, "cyst", 0.2),
        row("test", "q", NEXT, "liver", 0.7),
        row("test", "r", NEXT, "liver", 0.9),
        row("test", "q", NEXT, "cyst", 0.8),
    ]
    (found,) = gains(rows, ["liver", "cyst"], 100, 0, {})
    assert (found.gain.mean, found.pairs, found.gain.n) == (pytest.approx(0.1), 1, 1)
    assert list(found.classes) == ["liver"]
    assert (found.new, found.lost) == ({}, {})


def test_false_alarms_that_come_or_go_are_no_pair_but_are_counted():
    """Where both masks are empty there is no Dice, so a false alarm that went would leave no trace in the gain."""
    rows = [
        row("test", case_id, generation, "cyst", dice, ml=0.0)
        for case_id, before, after in (
            ("p", 0.0, math.nan),
            ("q", 0.0, 0.0),
            ("r", math.nan, 0.0),
            ("s", 0.0, math.nan),
        )
        for generation, dice in ((BASE, before), (NEXT, after))
    ]
    rows.append(row("test", "p", BASE, "liver", 0.0, ml=0.0))
    (found,) = gains(rows, ["liver", "cyst"], 100, 0, {})
    assert found.false_alarms == (3, 2)


def test_nothing():
    assert summarise([], ["liver"], 100, 0, {}) == []
    assert gains([], ["liver"], 100, 0, {}) == []
