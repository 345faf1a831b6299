from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from voxledger.errors import VoxledgerError
from voxledger.knowledge import trusted
from voxledger.records.ledger import (
    Entry,
    Neighbour,
    Origin,
    Signature,
    WeakMark,
    last_reviewed,
    read_ledger,
    write_ledger,
)

ENTRY = Entry("b", "liver", 2, Origin.REVISED, ("m1", "m2"), "alice", "bundle", "new", "old", 12.34567)


def test_rows_survive_sorted_by_case_and_schema(tmp_path: Path) -> None:
    changed = (Neighbour("aorta", "bob", "bundle"), Neighbour("cyst", "", ""))
    entries = [
        ENTRY,
        replace(ENTRY, class_name="aorta", changed_by=changed),
        replace(ENTRY, case_id="a", model_ids=(), reviewer=""),
    ]
    path = tmp_path / "ledger.csv"
    write_ledger(path, {(e.case_id, e.class_name): e for e in entries}, ["liver", "aorta"])
    lines = path.read_text().splitlines()
    assert [line.split(",")[:2] for line in lines[1:]] == [["a", "liver"], ["b", "liver"], ["b", "aorta"]]
    assert read_ledger(path)["b", "liver"] == replace(ENTRY, ml=12.3457)
    assert read_ledger(path)["b", "aorta"].changed_by == changed
    before = path.read_bytes()
    write_ledger(path, dict(reversed(read_ledger(path).items())), ["liver", "aorta"])
    assert path.read_bytes() == before


def test_a_ledger_of_before_the_neighbours_were_noted_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    write_ledger(path, {("b", "liver"): ENTRY}, ["liver"])
    path.write_text("".join(f"{line.rsplit(',', 4)[0]}\n" for line in path.read_text().splitlines()))
    assert path.read_text().splitlines()[0].endswith(",ml")
    assert read_ledger(path)["b", "liver"] == replace(ENTRY, ml=12.3457)


def test_a_mask_that_was_resampled_says_so(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    write_ledger(path, {("b", "liver"): replace(ENTRY, resampled=True)}, ["liver"])
    assert path.read_text().splitlines()[1].endswith(",nearest,,")
    assert read_ledger(path)["b", "liver"].resampled


def test_who_signed_is_on_record(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    signatures = tuple(Signature(f"SHA256:a/b+{n}", f"2026-03-0{n}T12:30:00+00:00") for n in (1, 2))
    write_ledger(path, {("b", "liver"): replace(ENTRY, signatures=signatures)}, ["liver"])
    assert (
        path.read_text()
        .splitlines()[1]
        .endswith(",,,SHA256:a/b+1@2026-03-01T12:30:00+00:00;SHA256:a/b+2@2026-03-02T12:30:00+00:00,")
    )
    assert read_ledger(path)["b", "liver"].signatures == signatures


def test_a_ledger_of_before_there_were_signatures_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    write_ledger(path, {("b", "liver"): replace(ENTRY, resampled=True)}, ["liver"])
    path.write_text("".join(f"{line.rsplit(',', 2)[0]}\n" for line in path.read_text().splitlines()))
    assert path.read_text().splitlines()[0].endswith(",resampled")
    assert read_ledger(path)["b", "liver"] == replace(ENTRY, ml=12.3457, resampled=True)


def test_weak_labels_that_a_mask_is_from_are_on_record(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    weak = (WeakMark("recist", "deeplesion", "a" * 64), WeakMark("slice_mask", "nifti", "b" * 64))
    write_ledger(path, {("b", "liver"): replace(ENTRY, weak=weak)}, ["liver"])
    assert path.read_text().splitlines()[1].endswith(f",recist/deeplesion/{'a' * 64};slice_mask/nifti/{'b' * 64}")
    assert read_ledger(path)["b", "liver"].weak == weak


def test_a_ledger_of_before_there_were_weak_labels_is_read(tmp_path: Path) -> None:
    path = tmp_path / "ledger.csv"
    write_ledger(path, {("b", "liver"): replace(ENTRY, resampled=True)}, ["liver"])
    path.write_text("".join(f"{line.rsplit(',', 1)[0]}\n" for line in path.read_text().splitlines()))
    assert path.read_text().splitlines()[0].endswith(",signatures")
    assert read_ledger(path)["b", "liver"] == replace(ENTRY, ml=12.3457, resampled=True)


def test_a_signature_survives_as_text() -> None:
    one = Signature("SHA256:a/b+c", "2026-03-01T12:30:00+00:00")
    assert Signature.parse(str(one)) == one
    with pytest.raises(ValueError, match="Invalid isoformat"):
        Signature.parse("SHA256:a")


def test_no_file_is_an_empty_ledger(tmp_path: Path) -> None:
    assert read_ledger(tmp_path / "none.csv") == {}


@pytest.mark.parametrize(
    "text",
    [
        "case_id,origin\na,source\n",
        "{header}\na,liver,x,source,,,,,,0,,,,\n",
        "{header}\na,liver,0,magic,,,,,,0,,,,\n",
        "{header}\na,liver,0,source,,,,,,0,aorta,,,\n",
        "{header}\na,liver,0,source,,,,,,0,,,SHA256:a,\n",
        "{header}\na,liver,0,source,,,,,,0,,,,recist/json\n",
    ],
)
def test_damage_is_named(tmp_path: Path, text: str) -> None:
    path = tmp_path / "ledger.csv"
    write_ledger(path, {}, [])
    path.write_text(text.format(header=path.read_text().strip()))
    with pytest.raises(VoxledgerError, match=r"ledger\.csv"):
        read_ledger(path)


def test_two_rows_of_one_mask_are_refused(tmp_path: Path) -> None:
    """As a merge of two branches leaves them; the last one must not win without a word."""
    path = tmp_path / "ledger.csv"
    write_ledger(path, {}, [])
    rows = "a,liver,0,source,,,,,,1.0,,,,\na,liver,1,revised,,ann,b,,,2.0,,,,\n"
    path.write_text(path.read_text().strip() + "\n" + rows)
    with pytest.raises(VoxledgerError, match=r"ledger\.csv, line 3: a second row of case a, class liver"):
        read_ledger(path)


@pytest.mark.parametrize(
    ("origin", "expected"),
    [("source", True), ("accepted", True), ("revised", True), ("predicted", False), ("rejected", False)],
)
def test_trust(origin: str, expected: bool) -> None:
    ledger = {("b", "liver"): replace(ENTRY, origin=Origin(origin))}
    assert trusted(ledger, "b", "liver") is expected
    assert trusted(ledger, "b", "aorta") is False


def test_people_rank_above_models() -> None:
    ranked = sorted(Origin, key=lambda o: o.rank)
    assert [o.value for o in ranked] == ["rejected", "predicted", "source", "accepted", "revised"]


def test_last_reviewed_counts_cases_of_the_latest_round_only() -> None:
    def entry(case_id: str, name: str, origin: Origin, version: int, bundle: str = "b") -> Entry:
        return Entry(case_id, name, version, origin, (), "", bundle, "", "", 1.0)

    entries = [
        entry("a", "c0", Origin.REVISED, 1),
        entry("b", "c0", Origin.ACCEPTED, 2),
        entry("b", "c1", Origin.REJECTED, 2),
        entry("c", "c0", Origin.ACCEPTED, 2),
        entry("d", "c0", Origin.SOURCE, 3, ""),
        entry("t", "c0", Origin.REVISED, 4),
    ]
    ledger = {(e.case_id, e.class_name): e for e in entries}
    assert last_reviewed(ledger, {"a", "b", "c", "d"}) == (1, 2)
    assert last_reviewed({}, {"a"}) == (0, 0)
