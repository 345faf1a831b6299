"""What an interactive network is told of each kind of weak label."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from voxledger.imaging.boxes import whole
from voxledger.imaging.volume import Grid
from voxledger.models.nninteractive.marks import cut
from voxledger.registry import PROMPTS
from voxledger.weak.ellipsoid import ellipsoid
from voxledger.weak.example import GRID, drawn_in, measured_at
from voxledger.weak.label import KINDS, WeakLabel
from voxledger.weak.prompts import prompts_of


def voxels(kind: str, *where: tuple[Any, ...]) -> tuple[str, frozenset[tuple[int, ...]]]:
    mask = np.zeros(GRID.shape, np.bool_)
    for part in where:
        mask[part] = True
    return kind, frozenset(map(tuple, np.argwhere(mask).tolist()))


FIVE = slice(1, 6)
CASES: list[tuple[WeakLabel, list[tuple[str, frozenset[tuple[int, ...]]]]]] = [
    (drawn_in((3, FIVE, slice(2, 4))), [voxels("lasso", (3, FIVE, slice(2, 4)))]),
    (drawn_in((FIVE, 3, slice(2, 4))), [voxels("lasso", (FIVE, 3, slice(2, 4)))]),
    (drawn_in((0, 0, 0)), [voxels("lasso", (0, 0, 0))]),
    (
        drawn_in((3, FIVE, FIVE), (FIVE, 3, FIVE), (FIVE, FIVE, 3)),
        [voxels("lasso", w) for w in ((3, FIVE, FIVE), (FIVE, 3, FIVE), (FIVE, FIVE, 3))],
    ),
    (drawn_in((2, FIVE, FIVE), (5, FIVE, 2)), [voxels("lasso", (2, FIVE, FIVE)), voxels("lasso", (5, FIVE, 2))]),
    (
        measured_at("recist", (3, 2, 2), (3, 2, 5)),
        [voxels("scribble", (3, 2, slice(1, 7)), (3, slice(1, 4), slice(2, 6)))],
    ),
    (
        measured_at("recist", (3, 4, 2), (3, 4, 6), (3, 2, 4), (3, 6, 4)),
        [
            voxels(
                "scribble",
                *((3, 4, slice(1, 8)), (3, slice(3, 6), slice(2, 7))),
                *((3, slice(1, 8), 4), (3, slice(2, 7), slice(3, 6))),
            )
        ],
    ),
    (
        measured_at("recist", (0, -0.9, 0.2), (0, 0.4, 1)),
        [voxels("scribble", (0, 0, slice(0, 3)), (0, 1, slice(0, 2)))],
    ),
    (measured_at("box", (1, 2, 3), (4, 5, 6)), [voxels("box", (2, slice(2, 6), slice(3, 7)))]),
    (measured_at("box", (1, 2, 3), (4, 2, 6)), [voxels("box", (slice(1, 5), 2, slice(3, 7)))]),
    (measured_at("box", (-0.6, 2, 3), (-0.6, 7.9, 3)), [voxels("box", (0, slice(2, 8), 3))]),
    (measured_at("point", (7.6, 0, -0.4)), [voxels("point", (7, 0, 0))]),
    (drawn_in((3, 4, slice(0, 3)), kind="scribble"), [voxels("scribble", (3, slice(3, 6), slice(0, 3)), (3, 4, 3))]),
    (
        drawn_in((slice(1, 4), 4, 4), kind="scribble"),
        [voxels("scribble", (slice(1, 4), 4, slice(3, 6)), (slice(0, 5), 4, 4))],
    ),
]


@pytest.mark.parametrize(("weak", "expected"), CASES)
def test_prompts(weak: WeakLabel, expected: list[tuple[str, frozenset[tuple[int, ...]]]]) -> None:
    found = prompts_of(weak, GRID)
    if weak.kind == "recist":
        guess, *found = found
        assert guess.kind == "guess"
        np.testing.assert_array_equal(cut(guess.mask, whole(GRID.shape), guess.start), ellipsoid(weak, GRID))
    told = [(p.kind, frozenset(map(tuple, (np.argwhere(p.mask) + p.start).tolist()))) for p in found]
    assert sorted(told, key=str) == sorted(expected, key=str)
    assert all(p.positive and p.mask.any() for p in found)
    assert all(1 in p.mask.shape for p in found), "they lie in a plane"


def test_every_kind_has_its_prompts() -> None:
    assert PROMPTS.names() == sorted(KINDS)
    assert {weak.kind for weak, _ in CASES} == set(KINDS)


def test_a_long_line_stays_in_the_image() -> None:
    grid = Grid.plain((3, 400, 500))
    guess, prompt = prompts_of(measured_at("recist", (1, -1, -1), (1, 400, 500)), grid)
    assert prompt.start == (1, 0, 0)
    assert prompt.mask.shape == (1, 400, 500)
    assert prompt.mask[0].any(axis=0).all()
    assert (guess.start, guess.mask.shape) == ((0, 0, 0), grid.shape)
    assert guess.mask.mean() > 0.9
