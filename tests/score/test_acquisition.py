"""Chance that minds the foreground, and turns of the classes."""

from __future__ import annotations

import math
import time

import numpy as np
import pytest

from voxledger.registry import ACQUISITION
from voxledger.score.acquisition.stratified import gumbel
from voxledger.score.table import CaseScore, ClassScore

NAMES = ("foreground_random", "stratified")


def case(case_id: str, entropy: dict[str, float], seen: tuple[str, ...] = ()) -> CaseScore:
    return CaseScore(
        case_id,
        tuple(
            ClassScore(case_id, name, 2, 0.0, 0.0, 0.0, 0.0, 1.0 if name in seen else 0.0, value, 1.0, False)
            for name, value in entropy.items()
        ),
    )


def order(name: str, cases: list[CaseScore], seed: str = "0") -> list[str]:
    found: list[str] = ACQUISITION.get(name).order(cases, seed)
    return found


POOL = [case(f"c{i:02}", {"liver": 0.1, "cyst": 0.01}, ("liver",) if i % 2 else ()) for i in range(30)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize(
    "cases",
    [
        pytest.param([], id="no case"),
        pytest.param([case("a", {"liver": 0.0})], id="nothing seen and no entropy"),
        pytest.param([case("a", {})], id="a case without an open class"),
        pytest.param(POOL, id="many"),
    ],
)
def test_every_case_has_one_place_whatever_order_they_come_in(name: str, cases: list[CaseScore]) -> None:
    found = order(name, cases)
    assert sorted(found) == sorted(c.case_id for c in cases)
    assert order(name, cases[::-1]) == found
    if len(cases) > 1:
        assert order(name, cases, "1") != found


def test_two_of_three_places_go_to_cases_in_which_something_is_seen() -> None:
    seen = {c.case_id for c in POOL if any(s.predicted_ml for s in c.classes)}
    for seed in map(str, range(20)):
        first = order("foreground_random", POOL, seed)[:9]
        assert all(first[i] in seen for i in (0, 1, 3, 4, 6, 7))
    anywhere = [order("foreground_random", POOL, str(seed))[2] for seed in range(40)]
    assert 0 < sum(one not in seen for one in anywhere) < 40


def test_rare_classes_are_drawn_as_often_as_others() -> None:
    pool = [case(f"c{i:02}", {"liver": 0, "cyst": 0}, ("cyst",) if i == 7 else ("liver",)) for i in range(40)]
    early = sum("c07" in order("foreground_random", pool, str(seed))[:3] for seed in range(200))
    assert early / 200 == pytest.approx(1 - 0.5**2, abs=0.12), "of two draws of a class one is the cyst's"


def test_classes_take_turns() -> None:
    """The liver is everywhere a million times as uncertain, but for one case that only the cyst speaks for."""
    pool = [case(f"c{i}", {"liver": 1e6 * 10.0**i, "cyst": 1e-9}) for i in range(8)]
    pool.append(case("x", {"liver": 1e-9, "cyst": 1e3}))
    assert all("x" in order("stratified", pool, str(seed))[:2] for seed in range(20))
    assert order("entropy", pool)[-1] == "x"


def test_a_case_is_taken_with_a_probability_that_rises_with_its_entropy() -> None:
    pool = [case("a", {"liver": 3.0}), case("b", {"liver": 1.0})]
    first = [order("stratified", pool, str(seed))[0] for seed in range(600)]
    assert first.count("a") / 600 == pytest.approx(0.75, abs=0.06), "3 against 1"


def test_noise_is_that_of_gumbel() -> None:
    drawn = np.array([gumbel(str(i), "seed") for i in range(4000)])
    assert drawn.mean() == pytest.approx(0.5772, abs=0.06)
    assert drawn.std() == pytest.approx(math.pi / math.sqrt(6), abs=0.06)


@pytest.mark.parametrize("name", NAMES)
def test_a_pool_of_thousands_takes_seconds(name: str) -> None:
    classes = {f"k{i}": 0.1 for i in range(10)}
    pool = [case(f"c{i:04}", classes, tuple(classes)) for i in range(3000)]
    started = time.process_time()
    order(name, pool)
    assert time.process_time() - started < 5
