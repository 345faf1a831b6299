"""Ledger and readings of a version, against what came back, whoever makes the manifest fit."""

from __future__ import annotations

import csv
from dataclasses import replace
from pathlib import Path

import pytest
from small_round import Repo, repo, template

from voxledger.imaging.volume import file_sha256
from voxledger.params import ReviewParams
from voxledger.records.ledger import Ledger, Signature, read_ledger
from voxledger.records.manifest import Manifest
from voxledger.records.readings import read_readings
from voxledger.release.files_check import Findings
from voxledger.release.reviews_check import check_reviews
from voxledger.textfile import write_table

__all__ = ["repo", "template"]

LEDGER, READINGS = Path("data/release/ledger.csv"), Path("data/release/readings.csv")


@pytest.fixture
def settled(repo: Repo) -> Repo:
    """A round: of case_1 two readers revise the pancreas in the same way, differ on the lesion, and zoe settles it."""
    review = ReviewParams(consensus="adjudicate", adjudicator="zoe")
    repo.context = replace(repo.context, review=review)
    repo.export(*(("case_1", name, who) for who in ("alice", "bob") for name in ("pancreas", "lesion")), readers=2)
    for who, lesion in (("alice", "accept"), ("bob", "reject")):
        labels = repo.shown(who, "case_1").copy()
        labels[2, 2, 4] = 2
        row = replace(repo.row("case_1", "pancreas", "revise"), confirmed=True, comment="=the tail")
        other = replace(repo.row("case_1", "lesion", lesion), confirmed=True)
        repo.give_back(who, {"case_1": labels}, case_1={"pancreas": row, "lesion": other})
    repo.adjudicate()
    repo.give_back("zoe", None, case_1={"lesion": replace(repo.row("case_1", "lesion", "accept"), minutes=4.0)})
    repo.gate()
    repo.take_in()
    return repo


def change(path: Path, case: dict[str, str], **values: str) -> None:
    """Write other values into the lines of a table that fit; none: take them out."""
    with path.open(newline="") as stream:
        rows = list(csv.DictReader(stream))
    hit = [row for row in rows if case.items() <= row.items()]
    assert hit
    for row in hit:
        row.update(values)
    write_table(path, list(rows[0]), [row for row in rows if values or row not in hit])


PANCREAS, LESION = {"case_id": "case_1", "class_name": "pancreas"}, {"case_id": "case_1", "class_name": "lesion"}
NOT_THOSE = "its readings are not those of"


@pytest.mark.parametrize(
    ("path", "case", "values", "problem"),
    [
        (LEDGER, LESION, {"reviewer": "eve"}, "is of eve, and the return"),
        (LEDGER, LESION, {"origin": "revised"}, "is revised, and zoe said accept"),
        (LEDGER, LESION, {"bundle": "", "reviewer": ""}, "by nobody, and names no return"),
        (LEDGER, LESION, {"bundle": "e" * 64}, f"{NOT_THOSE} zoe"),
        (LEDGER, LESION, {"bundle": "", "reviewer": "", "origin": "predicted"}, f"{NOT_THOSE} nobody"),
        (LEDGER, PANCREAS, {"reviewer": "eve"}, f"{NOT_THOSE} eve"),
        (LEDGER, PANCREAS, {"reviewer": "alice"}, f"{NOT_THOSE} alice"),
        (LEDGER, PANCREAS, {"reviewer": "alice+eve"}, f"{NOT_THOSE} alice+eve"),
        (LEDGER, PANCREAS, {"origin": "accepted"}, "is accepted, which its readers did not say"),
        (LEDGER, PANCREAS, {"origin": "rejected"}, "is rejected, which its readers did not say"),
        (READINGS, {"reader": "zoe"}, {"minutes": "99.00"}, "minutes '99.00', and the return says '4.00'"),
        (READINGS, {"reader": "zoe"}, {"minutes": ""}, "minutes '', and the return says '4.00'"),
        (READINGS, {"reader": "zoe"}, {"comment": "ann was right"}, "comment 'ann was right', and the return says ''"),
        (READINGS, {"reader": "zoe"}, {"error_type": "boundary"}, "error_type 'boundary', and the return says 'none'"),
        (READINGS, {"reader": "zoe"}, {"mask_sha256": "e" * 64}, "another mask was accepted"),
        (READINGS, {"decision": "revise", "reader": "bob"}, {"mask_sha256": ""}, "says revise, with no mask"),
        (READINGS, {"decision": "reject"}, {"mask_sha256": "e" * 64}, "says reject, with a mask"),
        (READINGS, PANCREAS, {"consensus": "majority"}, "adjudicate and majority, and a round has one method"),
        (READINGS, {}, {"consensus": "majority"}, "consensus by majority, and params.yaml says adjudicate"),
        (READINGS, PANCREAS, {"consensus": ""}, "names no method of consensus"),
        (READINGS, LESION, {"outcome": "merged"}, f"{NOT_THOSE} zoe"),
        (READINGS, LESION, {"outcome": "counted"}, "counted of alice, counted of bob, counted of zoe cannot be"),
        (READINGS, {"reader": "zoe"}, {"outcome": "overruled"}, "overruled of zoe cannot be"),
        (READINGS, {"reader": "zoe"}, {}, "zoe: the return says accept, and there is no such reading"),
        (READINGS, {"version": "1"}, {}, "alice: the return says revise, and there is no such reading"),
    ],
)  # fmt: skip
def test_what_nobody_said_is_named(
    settled: Repo, path: Path, case: dict[str, str], values: dict[str, str], problem: str
) -> None:
    change(path, case, **values)
    assert any(problem in one for one in settled.doubts()), settled.doubts()


def test_who_was_overruled_does_not_become_the_adjudicator(settled: Repo) -> None:
    bundle = next(one.bundle for one in read_readings(READINGS) if one.reader == "alice")
    change(READINGS, {**LESION, "reader": "zoe"}, outcome="overruled")
    change(READINGS, {**LESION, "reader": "alice"}, outcome="counted")
    change(LEDGER, LESION, reviewer="alice", bundle=bundle)
    (problem,) = settled.doubts()
    assert problem.endswith("alice: overrules others, and params.yaml says that zoe does")


def test_the_mask_that_a_reader_drew_is_not_computed_again(settled: Repo) -> None:
    """docs/auditors.md says so."""
    change(READINGS, {"decision": "revise"}, mask_sha256="e" * 64)
    assert settled.doubts() == []


def test_rounds_before_there_were_readings_are_not_accused(settled: Repo) -> None:
    """The table of a repository that was upgraded is empty, or gone, and the ledger has rows of older rounds."""
    settled.next_round()
    change(LEDGER, PANCREAS)  # Nobody settled anything together then.
    for text in ("", READINGS.read_text().splitlines(keepends=True)[0]):
        READINGS.write_text(text)
        assert settled.doubts() == []
    READINGS.unlink()
    assert settled.doubts() == []


def test_readings_that_are_not_here_accuse_nobody(settled: Repo) -> None:
    signed = (Signature("SHA256:a", "2026-03-01T12:30:00+00:00"),)
    rows = {key: replace(row, signatures=signed) for key, row in read_ledger(LEDGER).items() if "+" in row.reviewer}
    assert rows
    READINGS.unlink()
    assert _said(rows, Findings()) != []
    assert _said(rows, Findings(unusable={READINGS.as_posix()})) == []
    READINGS.write_text("no such table\n")
    assert _said(rows, Findings()) == []


def _said(ledger: Ledger, found: Findings) -> list[str]:
    files = {p.as_posix(): file_sha256(p) for p in sorted(Path("data").rglob("*")) if p.is_file()}
    return check_reviews(found, Manifest("atlas", 1, "v1.0.0", files), ledger, False, None).problems
