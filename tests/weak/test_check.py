"""Checks of a predicted object against the weak label that it was predicted from."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.errors import Misuse
from voxledger.imaging.volume import Grid
from voxledger.params import BoundsParams, InferParams
from voxledger.registry import WEAK_CHECKS
from voxledger.weak.check import Marked, bounds_of, checked, own_parts
from voxledger.weak.decisions import WeakDecision, read_weak_decisions, write_weak_decisions
from voxledger.weak.example import GRID, drawn_in, measured_at, predicted
from voxledger.weak.label import KINDS, WeakLabel

FIVE, ALL = slice(1, 6), slice(0, 8)
SLICE = drawn_in((3, FIVE, FIVE))
CORONAL = drawn_in((FIVE, 3, FIVE))
THREE = drawn_in((3, FIVE, FIVE), (FIVE, 3, FIVE), (FIVE, FIVE, 3))
RECIST = measured_at("recist", (3, 3, 1), (3, 3, 5))
BOTH = measured_at("recist", (3, 3, 1), (3, 3, 5), (3, 1, 3), (3, 5, 3))
BOX = measured_at("box", (3, 1, 1), (3, 5, 5))
THICK_BOX = measured_at("box", (1, 1, 1), (5, 5, 5))
POINT = measured_at("point", (3, 3, 3))
SCRIBBLE = drawn_in((3, 3, FIVE), kind="scribble")
CUBE = (FIVE, FIVE, FIVE)
DIAGONALS = measured_at("recist", (3, 1, 1), (3, 5, 5), (3, 1, 5), (3, 5, 1))
EVERY = [SLICE, CORONAL, THREE, DIAGONALS, BOX, THICK_BOX, POINT, SCRIBBLE]


def outcomes(marked: Marked) -> dict[str, tuple[float, bool]]:
    return {name: (round(value, 3), agrees) for name, value, _, agrees in checked(marked, bounds_of({}))}


@pytest.mark.parametrize("weak", EVERY)
def test_a_cube_fits_every_mark_of_it(weak: WeakLabel) -> None:
    found = outcomes(predicted(weak, CUBE))
    assert {"connected", "border"} < set(found)
    assert all(agrees for _, agrees in found.values()), found


@pytest.mark.parametrize("weak", EVERY)
def test_nothing_fits_no_mark(weak: WeakLabel) -> None:
    assert not outcomes(predicted(weak))["connected"][1]
    assert set(KINDS) == {w.kind for w in EVERY}


@pytest.mark.parametrize(
    ("weak", "where", "failed"),
    [
        (SLICE, [(FIVE, FIVE, slice(1, 4))], {}),  # 2 · 15 / (25 + 15)
        (SLICE, [(FIVE, FIVE, slice(1, 3))], {"agreement": 0.571}),  # 2 · 10 / (25 + 10)
        (CORONAL, [(slice(1, 3), FIVE, FIVE)], {"agreement": 0.571}),
        (CORONAL, [(FIVE, slice(1, 3), FIVE)], {"agreement": 0.0, "connected": 0.0}),
        (THREE, [(slice(1, 4), FIVE, FIVE)], {}),  # 2 · 43 / (61 + 43)
        (THREE, [(slice(1, 3), FIVE, FIVE)], {"agreement": 0.456}),
        (SLICE, [CUBE, (7, 7, slice(0, 8))], {}),
        (SLICE, [CUBE, (7, slice(6, 8), slice(0, 8))], {"connected": 0.887}),
        (SLICE, [(slice(3, 5), FIVE, FIVE), (ALL, 3, 3)], {}),
        (RECIST, [(FIVE, FIVE, slice(1, 4))], {"coverage": 0.6}),
        (RECIST, [(FIVE, slice(0, 8), slice(0, 8))], {"diameter": 2.263}),
        (RECIST, [(FIVE, 3, slice(0, 7))], {"diameter": 1.4}),
        (RECIST, [(3, 3, slice(2, 4))], {"coverage": 0.4, "diameter": 0.4}),
        (BOTH, [(FIVE, slice(2, 5), FIVE)], {"coverage": 0.778}),
        (BOX, [(FIVE, FIVE, slice(4, 8))], {"fit": 0.286}),
        (THICK_BOX, [(3, slice(2, 4), slice(2, 4))], {"fit": 0.16}),
        (POINT, [(FIVE, FIVE, slice(4, 6))], {"coverage": 0.0, "connected": 0.0}),
        (SCRIBBLE, [(FIVE, FIVE, slice(1, 4))], {"coverage": 0.6}),
    ],
)
def test_what_does_not_fit_is_told(weak: WeakLabel, where: list[Any], failed: dict[str, float]) -> None:
    found = outcomes(predicted(weak, *where))
    assert {name: value for name, (value, agrees) in found.items() if not agrees} == failed


@pytest.mark.parametrize(
    ("weak", "inside", "beside", "told"),
    [
        (POINT, 0.95, 0.4, (0.95, True)),
        (POINT, 0.85, 0.0, (0.85, False)),
        (SCRIBBLE, 0.85, 0.0, (0.85, False)),
        (SLICE, 0.55, 0.4, None),  # its size says more
    ],
)
def test_a_network_that_is_not_sure_is_told(
    weak: WeakLabel, inside: float, beside: float, told: tuple[float, bool] | None
) -> None:
    marked = predicted(weak, CUBE)
    probability = np.where(marked.mask, np.float16(inside), np.float16(beside))
    assert outcomes(replace(marked, probability=probability)).get("certainty") == told


def test_the_extent_is_in_diameters_along_the_normal() -> None:
    grid = Grid.plain((40, 8, 8), (4.0, 1.0, 1.0))
    weak = measured_at("recist", (20, 3, 1), (20, 3, 5))
    mask = np.zeros(grid.shape, np.bool_)
    mask[19:22, 2:5, 1:6] = True
    assert outcomes(Marked(weak, mask, grid))["extent"] == (0.8, True)
    mask[22, 3, 3] = True
    assert outcomes(Marked(weak, mask, grid))["extent"] == (1.6, False)
    mask[22] = False
    mask[30] = True  # a stray piece is no extent
    assert outcomes(Marked(weak, mask, grid))["extent"] == (0.8, True)


@pytest.mark.parametrize(
    ("crop", "share"),
    [
        ((ALL, ALL, ALL), 0.0),
        ((slice(0, 6), ALL, ALL), 0.2),
        ((slice(1, 8), slice(1, 8), ALL), 0.36),
        ((slice(0, 7), ALL, slice(0, 7)), 0.0),
        ((slice(5, 8), slice(5, 8), slice(5, 8)), 0.008),
        (None, 0.0),
    ],
)
def test_the_border_is_that_of_what_was_looked_at(crop: Any, share: float) -> None:
    assert outcomes(predicted(SLICE, CUBE, crop=crop))["border"] == (share, share == 0)


def test_a_point_on_the_edge_of_the_image_is_in_it() -> None:
    found = outcomes(predicted(measured_at("point", (7.9, -0.9, 8.0)), (slice(6, 8), slice(0, 2), slice(6, 8))))
    assert found["coverage"] == (1.0, True)


def test_every_object_is_judged_on_its_own_pieces() -> None:
    mask = np.zeros(GRID.shape, np.bool_)
    mask[0:3, 0:3, 0:3] = mask[5:8, 5:8, 5:8] = mask[0, 7, 7] = True
    one, other = measured_at("point", (1, 1, 1)), measured_at("point", (6, 6, 6))
    parts = own_parts(mask, [one, other], GRID)
    assert [int(part.sum()) for part in parts] == [28, 28]
    assert [outcomes(Marked(w, p, GRID))["connected"] for w, p in zip((one, other), parts, strict=True)] == [
        (0.964, True)
    ] * 2
    mask[3:5, 2, 2] = mask[4:6, 2:6, 2:6] = True  # both grow together: each has the whole
    assert [int(part.sum()) for part in own_parts(mask, [one, other], GRID)] == [int(mask.sum())] * 2


def test_bounds_come_from_the_parameters() -> None:
    params = InferParams(bounds={"agreement": {"low": 0.9}, "diameter": {"high": None}})
    bounds = bounds_of(params.bounds)
    assert {name: str(bound) for name, bound in bounds.items()} == {
        "agreement": ">=0.9",
        "border": "<=0",
        "certainty": ">=0.9",
        "connected": ">=0.9",
        "coverage": ">=0.8",
        "diameter": ">=0.7",
        "extent": "<=0.8",
        "fit": ">=0.5",
    }
    assert params.model_dump() == InferParams().model_dump(), "no prediction depends on them"
    assert bounds_of({"fit": BoundsParams(low=None)})["fit"].hold(0.0)
    with pytest.raises(ValueError, match="did you mean agreement"):
        InferParams(bounds={"agrement": {"low": 0.9}})


def test_the_log_is_read_as_it_was_written(folder: Path) -> None:
    rows = [
        WeakDecision(
            "a", "lesion", 1, "recist", "deeplesion", "0f" * 32, "inter", "diameter", 1.25, ">=0.7 <=1.4", True
        ),
        WeakDecision("b", "organ", 2, "box", "coco", "1f" * 32, "inter", "fit", 0.0, ">=0.5", False),
    ]
    write_weak_decisions("weak.csv", rows)
    assert read_weak_decisions("weak.csv") == rows
    Path("weak.csv").write_text("case_id\na\n")
    with pytest.raises(Exception, match="no log of weak labels"):
        read_weak_decisions("weak.csv")


def test_every_check_is_of_a_kind() -> None:
    assert all(set(WEAK_CHECKS.get(name).kinds) <= set(KINDS) for name in WEAK_CHECKS.names())
    with pytest.raises(Misuse):
        WEAK_CHECKS.get("agrement")
