"""Several returns of one bundle: together they say what each says, the newer where both do; all are kept."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from voxledger.bundles.inbox import look_into
from voxledger.bundles.merge import paint
from voxledger.errors import BundleRefused
from voxledger.imaging.volume import read_label, write
from voxledger.records.bundle import EMULATED, read_resample
from voxledger.records.clicks import Clicked, Clicks, GateMeasured, read_clicks, write_clicks
from voxledger.records.decisions import Decision, Row, read_decisions, to_csv
from voxledger.records.emulated import Emulated, EmulatedMask, Looks, read_emulated, write_emulated
from voxledger.review.receive import Received, receive

BUNDLES, INBOX = Path("data/round/bundles"), Path("data/inbox")
WORK = [("case_1", "liver", "alice"), ("case_1", "kidney_left", "alice"), ("case_2", "liver", "alice")]


@pytest.fixture
def sent(repo: Any) -> Any:
    repo.export(*WORK)
    return repo


def part(sent: Any, name: str, decisions: dict[tuple[str, str], str], drop: bool = True, **labels: np.ndarray) -> Path:
    """A return with some decisions; labels that are not given are left out."""
    folder = Path(name)
    shutil.copytree(sent.bundle("alice"), folder)
    for case in ("case_1", "case_2"):
        if case in labels:
            write(folder / f"labels/{case}.nii.gz", labels[case], sent_grid(sent))
        elif drop:
            (folder / f"labels/{case}.nii.gz").unlink()
    rows = {(c, n): Row(c, n) for c, n, _ in WORK}
    rows |= {(c, n): Row(c, n, Decision(d), 1.0) for (c, n), d in decisions.items()}
    (folder / "decisions.csv").write_text(to_csv(rows.values()), "utf-8")
    return folder


def sent_grid(sent: Any) -> Any:
    from small_round import GRID

    return GRID


def take(folder: Path) -> Received:
    return receive(folder, BUNDLES, INBOX, 1)


def decided() -> dict[tuple[str, str], str]:
    table = read_decisions(INBOX / "bundle-r01-alice/decisions.csv")
    return {key: row.decision.value for key, row in table.rows.items() if row.decision is not None}


def with_voxel(labels: np.ndarray, x: int, value: int) -> np.ndarray:
    changed = labels.copy()
    changed[0, 0, x] = value
    return changed


def emulated_by(folder: Path) -> Emulated:
    """Write and give the record of an emulated reader who drew all that a return decides on."""
    sizes = ("looks", "drawing_minutes", "added_path_mm", "path_mm", "error_ml", "error_ml_left", "dice")
    masks = [
        EmulatedMask(case_id=case, class_name=name, errors=0, errors_left=0, **dict.fromkeys(sizes, 1.0))
        for case, name, _ in WORK
    ]
    prices = ("sees_mm", "looking_minutes", "scratch_minutes", "path_tolerance_mm", "error_tolerance_mm")
    record = Emulated(looks=Looks.EVERYWHERE, masks=tuple(masks), **dict.fromkeys(prices, 1.0))
    write_emulated(folder, record)
    return record


def test_parts_by_case(sent: Any) -> None:
    """The first half, then the second alone: neither has all lines, nor all labels."""
    liver = with_voxel(sent.shown("alice", "case_1"), 3, 1)
    first = part(sent, "first", {("case_1", "liver"): "revise", ("case_1", "kidney_left"): "accept"}, case_1=liver)
    take(first)
    second = part(sent, "second", {("case_2", "liver"): "accept"})
    got = take(second)
    assert decided() == {
        ("case_1", "liver"): "revise",
        ("case_1", "kidney_left"): "accept",
        ("case_2", "liver"): "accept",
    }
    assert np.array_equal(read_label(got.folder / "labels/case_1.nii.gz"), liver)
    for source, kept in ((first, got.replaced), (second, got.part)):
        assert kept is not None
        assert {p.name: p.read_bytes() for p in kept.rglob("*") if p.is_file()} == {
            p.name: p.read_bytes() for p in source.rglob("*") if p.is_file()
        }
    sent.gate()
    sent.take_in()
    assert np.array_equal(sent.released("case_1")[0, 0, :6], liver[0, 0, :6])


def test_parts_by_class_of_one_case(sent: Any) -> None:
    """Liver first, from the proposal; then the kidney, from the proposal too: both corrections count."""
    shown = sent.shown("alice", "case_1")
    take(part(sent, "first", {("case_1", "liver"): "revise"}, case_1=with_voxel(shown, 3, 1)))
    kidney = {("case_1", "kidney_left"): "revise", ("case_2", "liver"): "accept"}
    got = take(part(sent, "second", kidney, case_1=with_voxel(shown, 8, 5)))
    assert np.array_equal(read_label(got.folder / "labels/case_1.nii.gz"), with_voxel(with_voxel(shown, 3, 1), 8, 5))
    assert set(decided().values()) == {"revise", "accept"}
    sent.gate()


def test_of_two_that_decide_on_one_class_the_one_received_last_counts(sent: Any) -> None:
    shown = sent.shown("alice", "case_1")
    take(part(sent, "first", {("case_1", "liver"): "revise"}, case_1=with_voxel(shown, 3, 1)))
    got = take(part(sent, "second", {("case_1", "liver"): "accept", ("case_1", "kidney_left"): "accept"}))
    assert decided() == {("case_1", "liver"): "accept", ("case_1", "kidney_left"): "accept"}
    assert got.part is None  # it says all that the first said
    assert not (got.folder / "labels/case_1.nii.gz").exists()
    assert not take(Path("first")).new  # received before: it does not become the last one
    assert decided()["case_1", "liver"] == "accept"


def test_a_label_that_was_sent_before_may_be_left_out(sent: Any) -> None:
    liver = with_voxel(sent.shown("alice", "case_1"), 3, 1)
    take(part(sent, "first", {("case_1", "liver"): "revise"}, case_1=liver))
    everything = {(c, n): "accept" for c, n, _ in WORK} | {("case_1", "liver"): "revise"}
    got = take(part(sent, "second", everything))
    assert np.array_equal(read_label(got.folder / "labels/case_1.nii.gz"), liver)
    sent.gate()


def test_what_cannot_be_read_without_a_doubt_counts_alone(sent: Any) -> None:
    take(part(sent, "first", {("case_1", "liver"): "accept"}))
    second = part(sent, "second", {("case_2", "liver"): "accept"})
    (second / "decisions.csv").write_text("case_id;class\nx;y\n")
    got = take(second)
    assert got.part is None
    assert got.replaced is not None
    assert (got.folder / "decisions.csv").read_bytes() == (second / "decisions.csv").read_bytes()


@pytest.mark.parametrize("broken", ["label", "table"])
def test_what_cannot_be_read_names_the_return_before_it_and_how_that_counts_again(sent: Any, broken: str) -> None:
    liver = with_voxel(sent.shown("alice", "case_1"), 3, 1)
    decisions = {("case_1", "liver"): "revise", ("case_1", "kidney_left"): "accept", ("case_2", "liver"): "accept"}
    first = part(sent, "first", decisions, case_1=liver)
    take(first)
    second = part(sent, "second", {("case_1", "kidney_left"): "revise"}, case_1=liver)
    file = second / ("labels/case_1.nii.gz" if broken == "label" else "decisions.csv")
    file.write_bytes(b"\x00" * 50)
    replaced = take(second).replaced
    again = f"or let what came before it count again, in its place: `voxledger review receive --replace {replaced}`"
    with pytest.raises(BundleRefused) as refused:
        sent.gate()
    assert replaced is not None
    assert again in str(refused.value)
    assert receive(replaced, BUNDLES, INBOX, 1, replace=True).new
    sent.gate()
    assert np.array_equal(read_label(INBOX / "bundle-r01-alice/labels/case_1.nii.gz"), liver)
    kept = {p.name for p in INBOX.glob("bundle-r01-alice.*")}
    assert any((INBOX / name / file.relative_to("second")).read_bytes() == file.read_bytes() for name in kept)


def test_an_empty_return_after_a_full_one_changes_nothing(sent: Any) -> None:
    first = part(sent, "first", {(c, n): "accept" for c, n, _ in WORK})
    take(first)
    got = take(part(sent, "second", {}, drop=False))
    assert got.part is not None
    assert got.replaced is None
    assert (got.folder / "decisions.csv").read_bytes() == (first / "decisions.csv").read_bytes()


KIDNEY = {("case_1", "kidney_left"): "revise", ("case_2", "liver"): "accept"}


def resave(folder: Path, name: str, change: Any = lambda image: image) -> None:
    """Write the label of case_1 under another name, or otherwise."""
    path = folder / "labels/case_1.nii.gz"
    image = change(sitk.ReadImage(str(path)))
    path.unlink()
    sitk.WriteImage(image, str(folder / "labels" / name))


def finer(image: Any) -> Any:
    return sitk.Expand(image, [1, 1, 2], sitk.sitkNearestNeighbor)


@pytest.mark.parametrize("name", ["case_1.nrrd", "case_1.mha", "case_1.mhd"])
def test_parts_in_other_formats(sent: Any, name: str) -> None:
    shown = sent.shown("alice", "case_1")
    first = part(sent, "first", {("case_1", "liver"): "revise"}, case_1=with_voxel(shown, 3, 1))
    resave(first, name)
    take(first)
    got = take(part(sent, "second", KIDNEY, case_1=with_voxel(shown, 8, 5)))
    assert [p.name for p in (got.folder / "labels").iterdir()] == ["case_1.nii.gz"]
    assert np.array_equal(read_label(got.folder / "labels/case_1.nii.gz"), with_voxel(with_voxel(shown, 3, 1), 8, 5))
    sent.gate()


@pytest.mark.parametrize("first_has_it", [True, False])
def test_voxels_in_a_file_of_their_own_go_with_their_label(sent: Any, first_has_it: bool) -> None:
    """What counts of case_1 is the newer label, or that of the older where the newer says nothing of the case."""
    shown = sent.shown("alice", "case_1")
    liver = {("case_1", "liver"): "revise", ("case_1", "kidney_left"): "accept"}
    with_data = part(sent, "with_data", liver, case_1=with_voxel(shown, 3, 1))
    resave(with_data, "case_1.mhd")
    other = part(sent, "other", {("case_2", "liver"): "accept"})
    got = [take(folder) for folder in ((with_data, other) if first_has_it else (other, with_data))][-1]
    assert sorted(p.name for p in (got.folder / "labels").iterdir()) == ["case_1.mhd", "case_1.raw"]
    sent.gate()


def test_a_table_of_another_name_is_that_of_its_part(sent: Any) -> None:
    first = part(sent, "first", {("case_1", "liver"): "accept"})
    (first / "decisions.csv").rename(first / "Decisions (1).csv")
    take(first)
    got = take(part(sent, "second", {("case_1", "kidney_left"): "accept", ("case_2", "liver"): "accept"}))
    assert len(decided()) == 3
    assert [p.name for p in got.folder.glob("[dD]ecisions*")] == ["decisions.csv"]
    sent.gate()


@pytest.mark.parametrize("resampled_first", [True, False])
def test_a_part_on_other_voxels_is_resampled_where_the_curator_says_so_and_the_return_says_it_was(
    sent: Any, resampled_first: bool
) -> None:
    shown = sent.shown("alice", "case_1")
    fine = part(sent, "fine", {("case_1", "liver"): "revise"}, case_1=with_voxel(shown, 3, 1))
    resave(fine, "case_1.nii.gz", finer)
    plain = part(sent, "plain", KIDNEY, case_1=with_voxel(shown, 8, 5))
    takes = [(fine, True), (plain, False)] if resampled_first else [(plain, False), (fine, True)]
    for folder, resample in takes:
        got = receive(folder, BUNDLES, INBOX, 1, resample=resample)
    assert np.array_equal(read_label(got.folder / "labels/case_1.nii.gz"), with_voxel(with_voxel(shown, 3, 1), 8, 5))
    assert read_resample(got.folder).drawn == ("case_1",)
    (one,) = look_into(BUNDLES, INBOX, Path("data/base/revisions"), 1).returned.values()
    assert (one.sha256, one.resampled) == (got.sha256, {"case_1"})
    sent.gate()
    assert sent.take_in()["case_1", "liver"].resampled
    for folder, resample in takes:
        assert not receive(folder, BUNDLES, INBOX, 1, resample=resample).new


@pytest.mark.parametrize("resampled_first", [True, False])
def test_the_note_stays_where_one_part_has_it(sent: Any, resampled_first: bool) -> None:
    """The label on other voxels is taken as it came, beside that of another case."""
    liver = {("case_1", "liver"): "revise", ("case_1", "kidney_left"): "accept"}
    fine = part(sent, "fine", liver, case_1=with_voxel(sent.shown("alice", "case_1"), 3, 1))
    resave(fine, "case_1.nii.gz", finer)
    other = part(sent, "other", {("case_2", "liver"): "accept"})
    for folder in (fine, other) if resampled_first else (other, fine):
        got = receive(folder, BUNDLES, INBOX, 1, resample=folder == fine)
    assert "case_1" in read_resample(got.folder).cases
    sent.gate()
    assert sent.take_in()["case_1", "liver"].resampled


def test_a_return_that_took_the_note_later_is_known_without_it(sent: Any) -> None:
    first = part(sent, "first", {("case_1", "liver"): "accept"})
    take(first)
    assert not receive(first, BUNDLES, INBOX, 1, resample=True).new
    take(part(sent, "second", {("case_1", "liver"): "reject", ("case_1", "kidney_left"): "accept"}))
    assert not take(first).new
    assert decided()["case_1", "liver"] == "reject"


@pytest.mark.parametrize("outside", ["unchanged", "empty"])
def test_a_part_that_was_cropped_is_read_as_the_parameter_says(sent: Any, outside: Any) -> None:
    shown = sent.shown("alice", "case_1")
    drawn = with_voxel(shown, 9, 1)
    first = part(sent, "first", {("case_1", "liver"): "revise"}, case_1=drawn)
    resave(first, "case_1.nii.gz", lambda image: image[8:, :, :])
    take(first)
    got = receive(part(sent, "second", KIDNEY, case_1=with_voxel(shown, 11, 5)), BUNDLES, INBOX, 1, outside=outside)
    expected = with_voxel(drawn, 11, 5)
    if outside == "empty":
        left = expected[..., :8]
        assert (left == 1).any()
        left[left == 1] = 0
    assert np.array_equal(read_label(got.folder / "labels/case_1.nii.gz"), expected)


def grown(shown: np.ndarray, name: str) -> np.ndarray:
    """A label map in which one class was corrected."""
    labels = shown.copy()
    if name == "pancreas":
        labels[1, 10:14, 4:14] = 2
        labels[4, 12:14, 4:6] = 0  # with a piece of the lesion
    elif name == "lesion":
        labels[5:7, 11:13, 5:8] = 3
        labels[3, 11:13, 5] = 2
    else:
        labels[4:6, 9:12, 3:6] = 1  # takes from the pancreas, and of the lesion
    return labels


@pytest.mark.parametrize("together", [("pancreas", "lesion"), ("liver", "pancreas"), ("liver", "lesion")])
@pytest.mark.parametrize("turned", [False, True])
def test_what_the_newer_one_drew_stays_inside_and_beside_what_the_older_one_drew(
    repo: Any, together: tuple[str, str], turned: bool
) -> None:
    repo.export(*(("case_2", name, "alice") for name in repo.names()))
    shown, (older, newer) = repo.shown("alice", "case_2"), together[::-1] if turned else together
    for name in (older, newer):
        folder = Path(name)
        shutil.copytree(repo.bundle("alice"), folder)
        (folder / "labels/case_2.nii.gz").unlink()
        write(folder / "labels/case_2.nii.gz", grown(shown, name), sent_grid(repo))
        others = {n: "" if n in together else "accept" for n in repo.names()}
        rows = [repo.row("case_2", n, "revise" if n == name else d) for n, d in others.items()]
        (folder / "decisions.csv").write_text(to_csv(rows), "utf-8")
        take(folder)
    got = read_label(INBOX / "bundle-r01-alice/labels/case_2.nii.gz")
    expected = grown(shown, older)
    drawn = grown(shown, newer)
    expected[drawn != shown] = drawn[drawn != shown]
    assert np.array_equal(got, expected)


@pytest.mark.parametrize(
    ("labels", "source", "name", "expected"),
    [
        ([0, 1, 1, 2], [1, 1, 0, 2], "liver", [1, 1, 0, 2]),
        ([2, 3, 3, 2], [2, 2, 3, 3], "lesion", [2, 2, 3, 3]),
        ([2, 3, 0, 0], [0, 0, 0, 0], "lesion", [2, 2, 0, 0]),
        ([2, 3, 0, 0], [0, 0, 0, 0], "pancreas", [0, 0, 0, 0]),
        ([0, 0, 0, 0], [0, 0, 0, 0], "liver", [0, 0, 0, 0]),
        ([1], [5], "liver", [5]),
    ],
)
def test_one_class_is_painted_and_nothing_else(
    labels: list[int], source: list[int], name: str, expected: list[int]
) -> None:
    from small_round import SCHEMA

    one, other = (np.array(values, np.uint8).reshape(1, 1, -1) for values in (labels, source))
    assert paint(SCHEMA, one, other, name).ravel().tolist() == expected


@pytest.mark.parametrize(("first", "second", "kept"), [("a", "", "a"), ("", "b", "b"), ("a", "b", "b"), ("", "", None)])
def test_the_record_of_clicks_is_that_of_the_newer_return_that_has_one(
    sent: Any, first: str, second: str, kept: str | None
) -> None:
    for model, key in ((first, ("case_1", "liver")), (second, ("case_2", "liver"))):
        folder = part(sent, f"from-{key[0]}", {key: "accept"})
        if model:
            gate = GateMeasured(cases=2, clicks=3, automatic=0.5, clicked=0.6, low=0.05)
            write_clicks(folder, Clicks(model=model, gate=gate, cases=(key[0],), clicks=()))
        take(folder)
    assert len(decided()) == 2
    record = read_clicks(INBOX / "bundle-r01-alice")
    assert (record.model if record else None) == kept


def test_clicks_of_a_person_at_one_model_are_those_of_both_returns(sent: Any) -> None:
    """The labels of the first count as well: who made them decides under which licence they may go out."""
    at = [Clicked(case_id="case_1", class_name="liver", voxel=(0, 0, x), present=True, helped=x == 1) for x in (1, 2)]
    after = Clicked(case_id="case_2", class_name="liver", voxel=(3, 3, 3), present=True, helped=False)
    first = part(sent, "first", {("case_1", "liver"): "accept"})
    write_clicks(first, Clicks(model="a", gate=None, cases=("case_1",), clicks=tuple(at)))
    take(first)
    second = part(sent, "second", {("case_2", "liver"): "accept"})
    write_clicks(second, Clicks(model="a", gate=None, cases=("case_1", "case_2"), clicks=(at[1], after)))
    record = read_clicks(take(second).folder)
    assert record == Clicks(model="a", gate=None, cases=("case_1", "case_2"), clicks=(*at, after))


@pytest.mark.parametrize("damaged", [False, True])
def test_what_a_person_decides_on_since_is_no_longer_that_of_an_emulated_reader(sent: Any, damaged: bool) -> None:
    first = part(sent, "first", {(case, name): "accept" for case, name, _ in WORK})
    record = emulated_by(first)
    if damaged:
        (first / EMULATED).write_text("{")
    take(first)
    got = take(part(sent, "second", {("case_1", "liver"): "accept"}))
    if damaged:
        assert (got.folder / EMULATED).read_text() == "{", "the gate names it"
        return
    left = read_emulated(got.folder)
    assert left is not None
    assert left.masks == tuple(mask for mask in record.masks if mask.class_name != "liver" or mask.case_id != "case_1")
    take(part(sent, "third", {("case_1", "kidney_left"): "accept"}))
    got = take(part(sent, "fourth", {("case_2", "liver"): "accept"}))
    assert len(decided()) == 3
    assert read_emulated(got.folder) is None


@pytest.mark.parametrize(
    ("labels", "source", "expected"),
    [
        ([2, 3, 0, 3], [3, 2, 2, 0], [2, 3, 2, 0]),
        ([0, 0, 5, 2], [3, 2, 3, 3], [2, 2, 2, 2]),
    ],
)
def test_a_class_inside_stays_where_it_is_if_it_is_told_apart(
    labels: list[int], source: list[int], expected: list[int]
) -> None:
    from small_round import SCHEMA

    one, other = (np.array(values, np.uint8).reshape(1, 1, -1) for values in (labels, source))
    assert paint(SCHEMA, one, other, "pancreas", ["lesion", "liver"]).ravel().tolist() == expected
