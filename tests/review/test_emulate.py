from __future__ import annotations

import itertools
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from small_round import anatomy

from voxledger.bundles.checks.swallowed import CHECK as SWALLOWED
from voxledger.bundles.comparison import Comparison
from voxledger.bundles.contradictions import contradictions
from voxledger.errors import Misuse, UnreadableImage
from voxledger.imaging.volume import Grid, Volume, write
from voxledger.params import EvaluateParams, Params
from voxledger.records.cases import Split
from voxledger.records.decisions import Decision, read_decisions
from voxledger.records.emulated import Looks, read_emulated
from voxledger.records.error_kind import ErrorKind
from voxledger.records.ledger import Origin
from voxledger.review.by_reference import ByReference
from voxledger.review.emulate import Read, Shown, _unknown, dice, error_type
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


def read_case(
    proposal: np.ndarray,
    reference: np.ndarray,
    asked: Sequence[str],
    reader: ByReference,
    attention: np.ndarray | None = None,
    spacing: tuple[float, float, float] = (1.0, 1.0, 1.0),
) -> Read:
    volume = Volume(proposal, Grid.plain(proposal.shape, spacing))
    return reader.read(Shown("c", SCHEMA, Path("image.nii.gz"), volume, reference, attention, asked))


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
    attention = blocks(draw, shape)
    asked = draw(st.lists(st.sampled_from(SCHEMA.names), min_size=1, unique=True))
    return blocks(draw, shape), blocks(draw, shape), attention, asked, draw(st.sampled_from([0.5, 0.9, 1.0]))


@pytest.mark.parametrize("sees_mm", [0, 1])
@pytest.mark.parametrize("looks", ["everywhere", "attention"])
@given(drawn=pairs())
@settings(max_examples=40, deadline=None)
def test_what_it_returns_never_contradicts_itself(
    looks: str, sees_mm: float, drawn: tuple[np.ndarray, np.ndarray, np.ndarray, list[str], float]
) -> None:
    proposal, reference, attention, asked, bound = drawn
    before, reader = proposal.copy(), ByReference(bound, looks=Looks(looks), sees_mm=sees_mm)
    result = read_case(proposal, reference, asked, reader, attention)
    assert np.array_equal(proposal, before)
    rows = {r.class_name: r for r in result.rows}
    assert list(rows) == asked
    found = contradictions(Comparison(SCHEMA, proposal, result.labels, rows), asked)
    assert [c for c in found if "turned back" not in c.problem] == []
    assert list(SWALLOWED.find(Comparison(SCHEMA, proposal, result.labels, rows))) == [], "the gate takes it in"
    for mask in reader.masks:
        decision, truth = rows[mask.class_name].decision, SCHEMA.mask(reference, mask.class_name)
        if looks == "everywhere" and not sees_mm:
            was, now = (dice(SCHEMA.mask(labels, mask.class_name), truth) for labels in (proposal, result.labels))
            assert decision is Decision.REVISE or was >= bound
            assert now >= bound or decision is Decision.ACCEPT
        assert (mask.added_path_mm > 0) <= (decision is Decision.REVISE)
        assert mask.added_path_mm <= mask.path_mm
        assert mask.looks <= 1


@given(pairs())
@settings(max_examples=30, deadline=None)
def test_what_is_far_off_is_rejected_and_left_as_it_was(
    drawn: tuple[np.ndarray, np.ndarray, np.ndarray, list[str], float],
) -> None:
    proposal, reference, _, asked, bound = drawn
    below = bound / 2
    result = read_case(proposal, reference, asked, ByReference(bound, below))
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
    result = read_case(proposal, reference, ["pancreas"], ByReference(0.5))
    assert [row.error_type for row in result.rows] == [ErrorKind.WRONG_CLASS]
    assert contradictions(Comparison(SCHEMA, proposal, result.labels, {"pancreas": result.rows[0]}), ["pancreas"]) == []


def _box(value: int, *where: slice, into: np.ndarray | None = None) -> np.ndarray:
    labels = np.zeros((6, 8, 9), np.uint8) if into is None else into.copy()
    labels[where] = value
    return labels


def test_one_corrects_everything_and_the_other_what_attention_touches() -> None:
    reference = _box(1, slice(0, 5), slice(0, 7), slice(0, 8))
    proposal = reference.copy()
    proposal[0:2, 0:3, 0:3] = 0
    proposal[1, 6, 6:8] = proposal[4, 6, 0:2] = 0
    attention = np.zeros_like(reference)
    attention[1:3, 2, 2] = 1
    everywhere, pointed = ByReference(1.0), ByReference(1.0, looks=Looks.ATTENTION)
    assert np.array_equal(read_case(proposal, reference, ["liver"], everywhere).labels, reference)
    result = read_case(proposal, reference, ["liver"], pointed, attention)
    corrected = np.argwhere(result.labels != proposal)
    assert {tuple(v) for v in corrected} == {(1, y, x) for y in range(3) for x in range(3)}, (
        "neither another slice of the same error, nor another error of the same slice"
    )
    assert (everywhere.masks[0].errors_left, everywhere.masks[0].error_ml_left) == (0, 0)
    (mask,) = pointed.masks
    assert mask.error_ml_left == pytest.approx((9 + 2 + 2) / 1000)
    assert mask.looks == pytest.approx((2 + 1) / 5), "two slices and one region of the five slices of the liver"


EMPTY = np.zeros((6, 8, 9), np.uint8)
LIVER = _box(1, slice(1, 4), slice(1, 5), slice(1, 6))


@pytest.mark.parametrize(
    ("attention", "decision", "looks", "left"),
    [
        pytest.param(EMPTY, Decision.ACCEPT, 0.0, 60, id="no attention: nothing is seen, all is missed"),
        pytest.param(None, Decision.REVISE, 1.0, 0, id="nobody predicted it: there is nothing to go by"),
        pytest.param(LIVER, Decision.REVISE, 1.0, 0, id="all of it"),
        pytest.param(_box(5, slice(0, 6)), Decision.ACCEPT, 0.0, 60, id="attention of another class"),
    ],
)
def test_who_looks_where_attention_points_sees_nothing_else(
    attention: np.ndarray | None, decision: Decision, looks: float, left: int
) -> None:
    reader = ByReference(0.9, looks=Looks.ATTENTION)
    result = read_case(EMPTY, LIVER, ["liver"], reader, attention)
    (row,), (mask,) = result.rows, reader.masks
    assert (row.decision, mask.looks) == (decision, looks)
    assert mask.error_ml_left == pytest.approx(left / 1000)
    assert row.minutes == pytest.approx(0.5 * looks + (43 if decision is Decision.REVISE else 0))


PANCREAS = _box(2, slice(1, 4), slice(1, 5), slice(1, 6))
LESION = _box(3, slice(2, 3), slice(2, 4), slice(2, 4), into=PANCREAS)
SPLIT_LIVER = _box(5, slice(1, 4), slice(1, 5), slice(3, 5), into=LIVER)


@pytest.mark.parametrize(
    ("proposal", "reference", "outer", "name"),
    [
        pytest.param(LESION, EMPTY, "pancreas", "lesion", id="what lay around it is gone"),
        pytest.param(SPLIT_LIVER, LIVER, "liver", "kidney_left", id="it is of another"),
    ],
)
def test_what_a_correction_of_another_class_swallows_is_no_longer_called_right(
    proposal: np.ndarray, reference: np.ndarray, outer: str, name: str
) -> None:
    """Attention points at the other class alone; the gate refuses who accepts a class and erases it."""
    attention = np.where(SCHEMA.mask(proposal, outer) & ~SCHEMA.mask(proposal, name), SCHEMA[outer].id, 0)
    attention |= np.where((reference != proposal) & SCHEMA.mask(reference, outer), SCHEMA[outer].id, 0)
    result = read_case(proposal, reference, [outer, name], ByReference(0.9, looks=Looks.ATTENTION), attention)
    assert np.array_equal(result.labels, reference)
    assert [row.decision for row in result.rows] == [Decision.REVISE, Decision.REVISE]
    found = Comparison(SCHEMA, proposal, result.labels, {row.class_name: row for row in result.rows})
    assert list(SWALLOWED.find(found)) == []


def test_a_class_that_no_model_knows_is_looked_for_everywhere() -> None:
    volume, reader = Volume(EMPTY, Grid.plain(EMPTY.shape)), ByReference(0.9, looks=Looks.ATTENTION)
    shown = Shown("c", SCHEMA, Path("i"), volume, LIVER, EMPTY, ["liver"], frozenset({"liver"}))
    assert [row.decision for row in reader.read(shown).rows] == [Decision.REVISE]
    assert reader.masks[0].error_ml_left == 0


def missed_livers(repo: Any, known: Sequence[str]) -> Path:
    """A bundle of a case in which the models that know these classes found all but the liver; returns references."""
    truth = anatomy()
    repo.add_case("case_4", Split.POOL, None, np.where(truth == 1, 0, truth))
    rows = [row for row in repo.predicted if row.case_id == "case_4"]
    repo.predicted = [replace(row, classes=tuple(known)) for row in rows]
    write(Path("reference/case_4.nii.gz"), truth, GRID)
    repo.export(*(("case_4", name, "ann") for name in ("liver", "pancreas")))
    return Path("reference")


@pytest.mark.parametrize("known", [SCHEMA.names, SCHEMA.names[1:], []], ids=["known", "unknown", "no model has a say"])
def test_nothing_points_at_what_models_know_and_did_not_find(repo: Any, known: list[str]) -> None:
    """Also where it is in no proposal and no attention of the whole bundle."""
    folder = repo.emulate("ann", missed_livers(repo, known), looks=Looks.ATTENTION)
    noted = read_emulated(folder)
    assert noted is not None
    liver = next(mask for mask in noted.masks if mask.class_name == "liver")
    assert (liver.looks, liver.errors_left) == ((0, 1) if "liver" in known else (1, 0))


def test_a_bundle_of_before_does_not_say_what_models_know(repo: Any) -> None:
    missed_livers(repo, SCHEMA.names)
    bundle, notes = repo.bundle("ann"), repo.bundle("ann") / "review.json"
    assert _unknown(repo.manifest("ann"), bundle) == {"case_4": frozenset()}
    notes.unlink()
    assert _unknown(repo.manifest("ann"), bundle) == {"case_4": frozenset({"liver"})}
    notes.write_text(json.dumps({"format": 1, "cases": {"case_4": {"modality": "CT"}}}))
    assert _unknown(repo.manifest("ann"), bundle) == {"case_4": frozenset({"liver"})}


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


ALL = ["liver", "pancreas", "lesion"]
POINT = _box(1, 2, 3, 4)


@pytest.mark.parametrize(
    ("proposal", "reference", "asked", "drawn"),
    [
        pytest.param(LESION, LESION, ALL, {}, id="nothing to correct: looks alone"),
        pytest.param(EMPTY, EMPTY, ["liver"], {}, id="nothing there"),
        pytest.param(LIVER, EMPTY, ["liver"], {}, id="a class is emptied: what is erased is not drawn"),
        pytest.param(EMPTY, PANCREAS, ALL, {"pancreas": 43}, id="nobody labelled it: the minutes of a case"),
        pytest.param(EMPTY, LESION, ALL, {"pancreas": 21.5, "lesion": 21.5}, id="two classes share them"),
        pytest.param(PANCREAS, LESION, ALL, {"lesion": 21.5}, id="a lesion that was missed"),
        pytest.param(EMPTY, POINT, ["liver"], {"liver": 43}, id="a single voxel"),
        pytest.param(LIVER, _box(1, 3, 2, 6, into=LIVER), ["liver"], {"liver": 43 / 42}, id="one voxel of 42"),
        pytest.param(LIVER, _box(0, 1, into=LIVER), ["liver"], {}, id="a slice is erased"),
        pytest.param(_box(0, 1, into=LIVER), LIVER, ["liver"], {"liver": 43 / 3}, id="one slice of three is drawn"),
    ],
)
def test_minutes_are_looks_and_what_is_drawn(
    proposal: np.ndarray, reference: np.ndarray, asked: list[str], drawn: dict[str, float]
) -> None:
    for order in itertools.permutations(asked):
        reader = ByReference(1.0)
        rows = read_case(proposal, reference, order, reader).rows
        expected = {name: 0.5 + drawn.get(name, 0) for name in order}
        assert {r.class_name: r.minutes for r in rows} == pytest.approx(expected, abs=5e-3)
        assert reader.noted.looking == pytest.approx(0.5 * len(asked))
        assert reader.noted.drawing == pytest.approx(sum(drawn.values()), abs=1e-3)


SQUARE = np.zeros((1, 12, 12), np.uint8)
SQUARE[0, 2:9, 2:9] = 1


@pytest.mark.parametrize(
    ("turn", "spacing"),
    [
        pytest.param((0, 1, 2), (5.0, 0.8, 0.8), id="axial"),
        pytest.param((1, 0, 2), (0.8, 5.0, 0.8), id="thick slices along y"),
        pytest.param((1, 2, 0), (0.8, 0.8, 5.0), id="thick slices along x"),
    ],
)
def test_contours_are_drawn_in_the_slices_of_the_acquisition(
    turn: tuple[int, int, int], spacing: tuple[float, float, float]
) -> None:
    wider = SQUARE.copy()
    wider[0, 2:9, 9] = 1
    reader = ByReference(1.0)
    read_case(SQUARE.transpose(turn), wider.transpose(turn), ["liver"], reader, spacing=spacing)
    (mask,) = reader.masks
    assert (mask.added_path_mm, mask.path_mm) == pytest.approx((7 * 0.8, 26 * 0.8))


@pytest.mark.parametrize(("sees_mm", "voxels"), [(0, 36), (1.5, 8), (4, 0)])
def test_what_nobody_sees_is_left_and_not_paid_for(sees_mm: float, voxels: int) -> None:
    """A shell of one voxel around a square, with a bump of three voxels by two on it."""
    reference = np.zeros_like(SQUARE)
    reference[0, 1:10, 1:10] = 1
    reference[0, 4:6, 9:12] = 1
    reader = ByReference(1.0, sees_mm=sees_mm)
    result = read_case(SQUARE, reference, ["liver"], reader)
    assert int((result.labels != SQUARE).sum()) == voxels
    (mask,), (row,) = reader.masks, result.rows
    assert (row.decision is Decision.ACCEPT) == (voxels == 0) == (mask.drawing_minutes == 0)
    assert mask.error_ml_left == pytest.approx((36 - voxels) / 1000)


def test_a_contour_within_the_tolerance_is_not_charged_where_that_is_wanted() -> None:
    wider = SQUARE.copy()
    wider[0, 2:9, 9] = 1
    params = Params(evaluate=EvaluateParams(path_tolerance_mm=1.0, looking_minutes=0))
    reader = ByReference(1.0, params=params)
    assert [r.minutes for r in read_case(SQUARE, wider, ["liver"], reader).rows] == [0]


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
        sent = [p.name for p in repo.bundle(reviewer).iterdir()]
        assert sorted(p.name for p in folder.iterdir()) == sorted([*sent, "emulated.json"])
        assert repo.emulate(reviewer, reference, 1.0) == folder
    repo.gate()
    ledger = repo.take_in()
    for case in ("case_1", "case_2", "case_3"):
        assert np.array_equal(repo.released(case), labels)
    assert ledger["case_2", "liver"].origin is Origin.ACCEPTED
    assert ledger["case_2", "kidney_right"].origin is Origin.REVISED
    table = read_decisions(Path("data/inbox/bundle-r01-bob/decisions.csv"))
    assert table.rows["case_2", "kidney_right"].error_type is ErrorKind.FALSE_POSITIVE
    noted = read_emulated(Path("data/inbox/bundle-r01-bob"))
    assert noted is not None
    assert sum(r.minutes or 0 for r in table.rows.values()) == pytest.approx(noted.looking + noted.drawing, abs=0.05)
    assert {mask.errors_left for mask in noted.masks} == {0}


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
