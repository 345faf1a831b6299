"""Minutes of people against added path length, and what savings come to."""

from __future__ import annotations

import json

import numpy as np
import pytest

from voxledger import statistics
from voxledger.evaluate.cost import ENOUGH, cost_metrics, fit_metrics
from voxledger.evaluate.cost_section import cost_section
from voxledger.records.decisions import Decision
from voxledger.records.drawn import CLICKED, Drawn
from voxledger.statistics import robust_line

ACCEPT, REVISE, REJECT = Decision.ACCEPT, Decision.REVISE, Decision.REJECT


def row(added: float = 0.0, minutes: float | None = 1.0, decision: Decision = REVISE, **other: object) -> Drawn:
    values = {"path_mm": 1000.0, "classes": 2, "looks": 1.0, "emulated": "", **other}
    return Drawn(1, "c", "liver", "ann", decision, minutes, added, **values)  # type: ignore[arg-type]


def timed(count: int, slope: float = 6.0, look: float = 0.75) -> list[Drawn]:
    """Minutes with some noise, a slip of the pen, and a break for lunch."""
    rng = np.random.default_rng(0)
    rows = [
        row(mm, look + slope * mm / 1000 + float(rng.normal(0, 0.05))) for mm in np.linspace(50, 900, count).tolist()
    ]
    return [*rows[:-2], row(rows[-2].added_path_mm, 55.0), row(rows[-1].added_path_mm, 0.0)]


def test_the_line_is_that_of_most_masks() -> None:
    found = fit_metrics([*timed(30), *(row(0.0, 0.75, ACCEPT) for _ in range(10))])
    assert (found["masks"], found["revised"]) == (40, 30)
    assert found["low"] < found["minutes_per_metre"] < found["high"]
    assert found["minutes_per_metre"] == pytest.approx(6.0, abs=0.15)
    assert found["minutes_without_drawing"] == pytest.approx(0.75, abs=0.1)


@pytest.mark.parametrize(
    ("rows", "masks", "revised"),
    [
        pytest.param([], 0, 0, id="nobody read"),
        pytest.param(timed(ENOUGH - 1), ENOUGH - 1, ENOUGH - 1, id="one too few"),
        pytest.param([row(0.0, 0.5, ACCEPT)] * 90, 90, 0, id="nothing was revised"),
        pytest.param([row(5.0, None)] * 90, 0, 0, id="blank minutes are unknown"),
        pytest.param([row(5.0, 1.0, emulated="everywhere")] * 90, 0, 0, id="minutes of an emulated reader are none"),
        pytest.param([row(0.0, 2.0, REJECT)] * 90, 0, 0, id="rejected"),
        pytest.param([row(5.0, 1.0)] * 90, 90, 90, id="all of one length"),
    ],
)
def test_it_says_when_there_is_nothing_to_fit(rows: list[Drawn], masks: int, revised: int) -> None:
    found = fit_metrics(rows)
    assert (found["masks"], found["revised"], found["minutes_per_metre"]) == (masks, revised, None)


def test_where_most_masks_tie_there_is_no_interval_and_no_nan_in_json() -> None:
    rows = [*(row(0.0, 1.0) for _ in range(24)), row(1000.0, 2.0)]
    found = fit_metrics(rows)
    assert (found["minutes_per_metre"], found["low"], found["high"]) == (1.0, None, None)
    json.dumps(found, allow_nan=False)
    cost = cost_metrics(rows, 0.5, 40.0)
    html = cost_section({"cost": cost, "cost_so_far": cost, "fit": found, "emulated": []}, 40.0, 2.0)
    assert "1.00 a metre (too many tie for an interval)" in html


def test_masks_of_one_length_are_not_said_to_be_too_few() -> None:
    rows = [row(5.0, 1.0)] * 90
    cost = cost_metrics(rows, 0.5, 40.0)
    html = cost_section({"cost": cost, "cost_so_far": cost, "fit": fit_metrics(rows), "emulated": []}, 40.0, 2.0)
    assert "are not fitted to added path length: all of it is the same" in html


def test_of_very_many_masks_so_many_are_drawn_as_memory_holds_and_always_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    noise = np.random.default_rng(1).normal(size=1000)
    points = [(float(x), 1 + 2 * float(x) + float(off)) for x, off in enumerate(noise)]
    of_all = robust_line(points)
    monkeypatch.setattr(statistics, "MOST_POINTS", 100)
    found = robust_line(points)
    assert found is not None
    assert found != of_all
    assert found.slope == pytest.approx(2.0, abs=0.01)
    assert robust_line(points) == found


@pytest.mark.parametrize(
    ("rows", "nothing", "savings"),
    [
        pytest.param([], 0, (None, None, None), id="nothing was read"),
        pytest.param([row(0, decision=ACCEPT)], 20, (0.9875, 0.975, 0.95), id="accepted: a look"),
        pytest.param([row(500)], 20, (0.4875, 0.475, 0.45), id="half of the contour"),
        pytest.param([row(1000)], 20, (-0.0125, -0.025, -0.05), id="all of it: a look more than from nothing"),
        pytest.param([row(0, decision=REJECT, path_mm=0.0)], 0, (None, None, None), id="rejected: nothing is there"),
        pytest.param([row(0, decision=ACCEPT, path_mm=0.0, classes=0)], 0, (None, None, None), id="an empty case"),
        pytest.param([row(500, looks=0.1)], 20, (0.49875, 0.4975, 0.495), id="a tenth of a look"),
        pytest.param([row(500, emulated=CLICKED)], 0, (None, None, None), id="clicks are counted elsewhere"),
    ],
)
def test_savings(rows: list[Drawn], nothing: float, savings: tuple[float | None, ...]) -> None:
    found = cost_metrics(rows, 0.5, 40.0)
    assert found["from_nothing_minutes"] == nothing
    assert tuple(one["saving"] for one in found["assumed"]) == pytest.approx(savings, abs=1e-4)
    html = cost_section({"cost": found, "cost_so_far": found, "fit": fit_metrics(rows), "emulated": []}, 40.0, 2.0)
    assert ("What reading cost" in html) == bool(found["masks"])


@pytest.mark.parametrize("points", [[], [(1.0, 2.0)], [(1.0, 2.0), (1.0, 5.0)]])
def test_no_line_through_one_place(points: list[tuple[float, float]]) -> None:
    assert robust_line(points) is None
