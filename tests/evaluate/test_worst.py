"""Which cases and classes are shown as the worst."""

from __future__ import annotations

import math

from voxledger.evaluate.case_metrics import Generation
from voxledger.evaluate.summary import Row
from voxledger.evaluate.worst import EXTERNAL_PICTURES, TEST_PICTURES, worst_rows
from voxledger.records.card import ENSEMBLE


def row(set_name, case_id, class_name, dice, model=ENSEMBLE, generation=Generation.NEXT):
    return Row(set_name, case_id, generation, model, class_name, 1.0, {"dice": dice})


def shown(rows):
    return [(r.set_name, r.case_id, r.class_name, round(mean, 3)) for r, mean in worst_rows(rows)]


def test_worst_class_of_the_worst_cases():
    rows = [
        row("test", "a", "liver", 0.9),
        row("test", "a", "cyst", 0.1),
        row("test", "b", "liver", 0.4),
        row("test", "b", "cyst", 0.3),
        row("test", "c", "liver", 0.8),
        row("test", "c", "cyst", math.nan),
        row("external/x", "d", "liver", 0.2),
        row("test", "c", "liver", 0.0, model="unet"),
        row("test", "c", "liver", 0.0, generation=Generation.BASE),
    ]
    assert shown(rows) == [
        ("test", "b", "cyst", 0.35),
        ("test", "a", "cyst", 0.5),
        ("test", "c", "liver", 0.8),
        ("external/x", "d", "liver", 0.2),
    ]


def test_a_single_model_stands_for_the_ensemble():
    assert shown([row("test", "a", "liver", 0.9, model="unet")]) == [("test", "a", "liver", 0.9)]


def test_ties_and_limits():
    rows = [row(s, f"case-{i:02}", "liver", 0.5) for s in ("test", "external/x") for i in range(20)][::-1]
    found = shown(rows)
    assert [f[1] for f in found if f[0] == "test"] == [f"case-{i:02}" for i in range(TEST_PICTURES)]
    assert len(found) == TEST_PICTURES + EXTERNAL_PICTURES


def test_nothing_to_show():
    assert shown([]) == []
    assert shown([row("test", "a", "liver", math.nan)]) == []
