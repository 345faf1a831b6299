from __future__ import annotations

import itertools
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxledger.bundles.comparison import Comparison
from voxledger.bundles.contradictions import contradictions
from voxledger.errors import Misuse, UnreadableImage
from voxledger.imaging.volume import Grid, write
from voxledger.records.decisions import Decision, read_decisions
from voxledger.records.error_kind import ErrorKind
from voxledger.records.ledger import Origin
from voxledger.review.emulate import (
    LESION_MINUTES,
    LESION_SCRATCH_MINUTES,
    SERIES_MINUTES,
    SERIES_SCRATCH_MINUTES,
    dice,
    error_type,
    read_case,
)
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(
    name="abdomen",
    classes=(
        LabelClass(id=1, name="liver"),
        LabelClass(id=2, name="pancreas"),
        LabelClass(id=3, name="lesion", inside="pancreas", lesion=True),
        LabelClass(id=5, name="kidney_left"),
        LabelClass(id=6, name="kidney_right"),
    ),
)
GRID = Grid((10, 16, 20), (2.5, 0.8, 0.7), (-31.25, 12.5, 100.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))


def blocks(draw: st.DrawFn, shape: tuple[int, int, int]) -> np.ndarray:
    """A label map of some overlapping boxes, lesions inside the pancreas."""
    labels = np.zeros(shape, np.uint8)
    for value in draw(st.permutations([1, 2, 5, 6, 3])):
        if draw(st.booleans()):
            where = tuple(slice(*sorted((draw(st.integers(0, n - 1)), draw(st.integers(1, n))))) for n in shape)
            if value == 3:
                labels[where][labels[where] == 2] = 3
            else:
                labels[where] = value
    return labels


@st.composite
def pairs(draw: st.DrawFn) -> tuple[np.ndarray, np.ndarray, np.ndarray, list[str], float]:
    shape = (4, 6, 7)
    attention = blocks(draw, shape) > 0
    asked = draw(st.lists(st.sampled_from(SCHEMA.names), min_size=1, unique=True))
    return blocks(draw, shape), blocks(draw, shape), attention, asked, draw(st.sampled_from([0.5, 0.9, 1.0]))


@given(pairs())
@settings(max_examples=60, deadline=None)
def test_what_it_returns_never_contradicts_itself(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray, list[str], float],
) -> None:
    proposal, reference, attention, asked, bound = drawn
    before = proposal.copy()
    result = read_case(SCHEMA, "c", proposal, reference, attention, asked, bound)
    assert np.array_equal(proposal, before)
    rows = {r.class_name: r for r in result.rows}
    assert list(rows) == asked
    found = contradictions(Comparison(SCHEMA, proposal, result.labels, rows), asked)
    assert [c for c in found if "turned back" not in c.problem] == []
    for name, row in rows.items():
        truth = SCHEMA.mask(reference, name)
        assert (row.decision is Decision.ACCEPT) == (dice(SCHEMA.mask(proposal, name), truth) >= bound)
        if row.decision is Decision.REVISE:
            assert dice(SCHEMA.mask(result.labels, name), truth) >= bound


@given(pairs())
@settings(max_examples=30, deadline=None)
def test_what_is_far_off_is_rejected_and_left_as_it_was(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray, list[str], float],
) -> None:
    proposal, reference, attention, asked, bound = drawn
    below = bound / 2
    result = read_case(SCHEMA, "c", proposal, reference, attention, asked, bound, below)
    for row in result.rows:
        before, truth = (SCHEMA.mask(labels, row.class_name) for labels in (proposal, reference))
        assert (row.decision is Decision.REJECT) == (dice(before, truth) < below)
    if {row.decision for row in result.rows} <= {Decision.REJECT, Decision.ACCEPT}:
        assert np.array_equal(result.labels, proposal)


def test_it_says_so_when_a_class_comes_back_as_another() -> None:
    """The pancreas, all lesion, is liver and lies elsewhere: most of what differs is no wrong class, yet one is."""
    proposal = np.zeros((4, 6, 7), np.uint8)
    reference = proposal.copy()
    proposal[0, 0, 0], reference[0, 0, 0], reference[0, 0, 1:4] = 3, 1, 2
    result = read_case(SCHEMA, "c", proposal, reference, proposal > 9, ["pancreas"], 0.5)
    assert [row.error_type for row in result.rows] == [ErrorKind.WRONG_CLASS]
    assert contradictions(Comparison(SCHEMA, proposal, result.labels, {"pancreas": result.rows[0]}), ["pancreas"]) == []


def _box(value: int, *where: slice, into: np.ndarray | None = None) -> np.ndarray:
    labels = np.zeros((6, 8, 9), np.uint8) if into is None else into.copy()
    labels[where] = value
    return labels


def test_it_corrects_inside_the_attention_first_and_stops_there_if_that_is_enough() -> None:
    reference = _box(1, slice(0, 5), slice(0, 7), slice(0, 8))
    proposal = reference.copy()
    proposal[0:2, 0:5] = 0
    proposal[4, 6, 0:2] = 0
    attention = np.zeros(reference.shape, bool)
    attention[0:3] = True
    result = read_case(SCHEMA, "c", proposal, reference, attention, ["liver"], 0.95)
    assert np.array_equal(result.labels != reference, (proposal != reference) & ~attention)
    everything = read_case(SCHEMA, "c", proposal, reference, attention, ["liver"], 1.0)
    assert np.array_equal(everything.labels, reference)


EMPTY = np.zeros((6, 8, 9), np.uint8)
LIVER = _box(1, slice(1, 4), slice(1, 5), slice(1, 6))
PANCREAS = _box(2, slice(1, 4), slice(1, 5), slice(1, 6))
LESION = _box(3, slice(2, 3), slice(2, 4), slice(2, 4), into=PANCREAS)


@pytest.mark.parametrize(
    ("name", "proposal", "reference", "expected"),
    [
        ("liver", EMPTY, LIVER, ErrorKind.FALSE_NEGATIVE),
        ("liver", LIVER, EMPTY, ErrorKind.FALSE_POSITIVE),
        ("liver", LIVER, PANCREAS, ErrorKind.WRONG_CLASS),
        ("pancreas", LIVER, PANCREAS, ErrorKind.WRONG_CLASS),
        ("lesion", PANCREAS, LESION, ErrorKind.FALSE_NEGATIVE),
        ("lesion", LESION, PANCREAS, ErrorKind.FALSE_POSITIVE),
        ("liver", LIVER, _box(1, slice(1, 4), slice(1, 5), slice(2, 7)), ErrorKind.BOUNDARY),
        ("kidney_left", _box(5, slice(0, 2)), _box(6, slice(0, 2)), ErrorKind.LEFT_RIGHT),
        ("liver", LIVER, _box(1, slice(5, 6), slice(6, 8), slice(1, 9), into=LIVER), ErrorKind.FALSE_NEGATIVE),
        ("liver", _box(1, slice(5, 6), slice(6, 8), slice(1, 9), into=LIVER), LIVER, ErrorKind.FALSE_POSITIVE),
        ("liver", LIVER, _box(0, slice(1, 4), slice(1, 5), slice(3, 4), into=LIVER), ErrorKind.MERGED),
        ("liver", _box(0, slice(1, 4), slice(1, 5), slice(3, 4), into=LIVER), LIVER, ErrorKind.SPLIT),
    ],
)
def test_error_types(name: str, proposal: np.ndarray, reference: np.ndarray, expected: ErrorKind) -> None:
    assert error_type(SCHEMA, name, proposal, reference) is expected


@pytest.mark.parametrize(
    ("proposal", "reference", "asked", "cost"),
    [
        (LESION, LESION, ["liver", "pancreas", "lesion"], SERIES_MINUTES),
        (EMPTY, EMPTY, ["liver"], SERIES_MINUTES),
        (PANCREAS, LESION, ["liver", "pancreas", "lesion"], LESION_MINUTES),
        (EMPTY, LESION, ["liver", "pancreas", "lesion"], LESION_SCRATCH_MINUTES),
        (EMPTY, PANCREAS, ["liver", "pancreas", "lesion"], SERIES_SCRATCH_MINUTES),
    ],
)
def test_the_minutes_of_a_case_add_up_to_its_cost(
    proposal: np.ndarray, reference: np.ndarray, asked: list[str], cost: float
) -> None:
    for order in itertools.permutations(asked):
        rows = read_case(SCHEMA, "c", proposal, reference, proposal > 0, order, 0.9).rows
        minutes = [row.minutes for row in rows if row.minutes is not None]
        assert sum(minutes) == pytest.approx(round(cost, 2))


def test_through_the_very_same_bundles(repo: Any) -> None:
    reference = Path("reference")
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:7, 1:8, 1:7] = 1
    labels[2:8, 9:13, 4:14] = 2
    labels[3:5, 10:12, 5:8] = 3
    labels[4:9, 2:6, 15:19] = 5
    for case in ("case_1", "case_2", "case_3"):
        write(reference / f"{case}.nii.gz", labels, GRID)
    names = [c.name for c in SCHEMA.classes]
    repo.export(*((c, n, r) for c, r in (("case_1", "ann"), ("case_2", "bob"), ("case_3", "bob")) for n in names))
    for reviewer in ("ann", "bob"):
        folder = repo.emulate(reviewer, reference, 1.0)
        assert sorted(p.name for p in folder.iterdir()) == sorted(p.name for p in repo.bundle(reviewer).iterdir())
        assert repo.emulate(reviewer, reference, 1.0) == folder
    repo.gate()
    ledger = repo.take_in()
    for case in ("case_1", "case_2", "case_3"):
        assert np.array_equal(repo.released(case), labels)
    assert ledger["case_2", "liver"].origin is Origin.ACCEPTED
    assert ledger["case_2", "kidney_right"].origin is Origin.REVISED
    table = read_decisions(Path("data/inbox/bundle-r01-bob/decisions.csv"))
    assert table.rows["case_2", "kidney_right"].error_type is ErrorKind.FALSE_POSITIVE
    assert sum(r.minutes or 0 for (c, _), r in table.rows.items() if c == "case_2") == pytest.approx(LESION_MINUTES)


def test_a_missing_reference_is_named(repo: Any) -> None:
    repo.export(("case_1", "liver", "ann"))
    Path("reference").mkdir()
    with pytest.raises(Misuse, match="no reference label of case case_1"):
        repo.emulate("ann", Path("reference"))
    assert not Path("data/inbox/bundle-r01-ann").exists()


@pytest.mark.parametrize("suffix", [".nii.gz", ".nii", ".nrrd", ".mha"])
def test_a_truncated_reference_is_refused_and_not_read_as_background(repo: Any, suffix: str) -> None:
    """ITK reads what is missing as zeros: the reader would erase organs that the reference holds."""
    repo.export(("case_1", "liver", "ann"))
    path = Path("reference") / f"case_1{suffix}"
    labels = np.random.default_rng(0).integers(0, 2, GRID.shape).astype(np.uint8)
    write(path, labels, GRID)
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(UnreadableImage, match=rf"reference/case_1{suffix} is damaged or incomplete"):
        repo.emulate("ann", Path("reference"))
    assert not Path("data/inbox/bundle-r01-ann").exists()
