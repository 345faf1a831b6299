"""Krippendorff's alpha against the examples that he published."""

from __future__ import annotations

import math
from itertools import product

import pytest

from voxledger.krippendorff import nominal_alpha

FOUR = """\
1 2 3 3 2 1 4 1 2 . . .
1 2 3 3 2 2 4 1 2 5 . 3
. 3 3 3 2 3 4 2 2 5 1 .
1 2 3 3 2 4 4 1 2 5 1 .
"""
"""Krippendorff 2011, part C: four observers, twelve units, some missing."""


def units(*observers: str) -> list[list[str]]:
    return [[v for v in of_unit if v != "."] for of_unit in zip(*(o.split() for o in observers), strict=True)]


@pytest.mark.parametrize(
    ("ratings", "published"),
    [
        pytest.param(units("0 1 0 0 0 0 0 0 1 0", "1 1 1 0 0 1 0 0 0 0"), 0.095, id="A: two observers, binary"),
        pytest.param(units("a a b b d c c c e d d a", "b a b b b c c c e d d d"), 0.692, id="B: two, nominal"),
        pytest.param(units(*FOUR.splitlines()), 0.743, id="C: four, with missing data"),
    ],
)
def test_published_examples(ratings: list[list[str]], published: float) -> None:
    assert nominal_alpha(ratings) == pytest.approx(published, abs=5e-4)


def by_definition(ratings: list[list[str]]) -> float:
    """Disagreement within units over that of all pairs, counted one by one."""
    rated = [u for u in ratings if len(u) > 1]
    pooled = [v for u in rated for v in u]
    inside = sum(
        (u[i] != u[j]) / (len(u) - 1) for u in rated for i, j in product(range(len(u)), repeat=2) if i != j
    ) / len(pooled)
    n = len(pooled)
    chance = sum(pooled[i] != pooled[j] for i, j in product(range(n), repeat=2) if i != j) / (n * (n - 1))
    return 1 - inside / chance


def test_it_is_what_its_definition_says() -> None:
    ratings = units("a b a c . a", "a b c c b .", "b b a c b .")
    assert nominal_alpha(ratings) == pytest.approx(by_definition(ratings), abs=1e-12)


@pytest.mark.parametrize(
    ("ratings", "alpha"),
    [
        ([["a", "a"], ["b", "b"]], 1.0),
        ([["a", "b"], ["b", "a"]], -0.5),
        ([["a", "a"], ["b", "b"], ["c"]], 1.0),
    ],
)
def test_agreement_and_disagreement(ratings: list[list[str]], alpha: float) -> None:
    assert nominal_alpha(ratings) == pytest.approx(alpha)


@pytest.mark.parametrize("ratings", [[], [["a"]], [["a"], ["b"]], [["a", "a"], ["a", "a"]]])
def test_where_nothing_can_be_said(ratings: list[list[str]]) -> None:
    assert math.isnan(nominal_alpha(ratings))
