"""Means by set, generation and model, and gains on shared cases."""

from __future__ import annotations

import math

import pytest

from voxledger.evaluate.case_metrics import Generation
from voxledger.evaluate.summary import OTHER_METRICS, Row, gains, summarise

BASE, NEXT = Generation.BASE, Generation.NEXT


def row(set_name, case_id, generation, class_name, dice, model="unet"):
    return Row(
        set_name, case_id, generation, model, class_name, 1.0, dict.fromkeys(OTHER_METRICS, 0.5) | {"dice": dice}
    )


def test_order_means_and_classes():
    rows = [
        row("external/a", "x", NEXT, "liver", 0.3),
        row("test", "p", NEXT, "liver", 0.8),
        row("test", "p", NEXT, "cyst", math.nan),
        row("test", "q", NEXT, "liver", 0.6),
        row("test", "q", NEXT, "cyst", 0.1),
        row("test", "p", BASE, "liver", 0.5),
    ]
    found = summarise(rows, ["liver", "cyst"], 100, 0)
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
    (gain,) = gains(rows, ["liver"], 200, 0)
    assert (gain.model, gain.base.mean, gain.next.mean, gain.gain.n) == (
        "unet",
        pytest.approx(0.55),
        pytest.approx(0.65),
        2,
    )
    assert (gain.gain.mean, gain.gain.low, gain.gain.high) == pytest.approx((0.1, 0.1, 0.1))


def test_nothing():
    assert summarise([], ["liver"], 100, 0) == []
    assert gains([], ["liver"], 100, 0) == []
