"""The table of what every reader said, which goes from round to round."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import pytest

from voxledger.errors import VoxledgerError
from voxledger.records.decisions import Decision
from voxledger.records.readings import (
    Outcome,
    Reading,
    joint_bundle,
    joint_reviewer,
    read_readings,
    settled,
    write_readings,
)

READING = Reading(
    2, "c, é", "liver", "alice", Decision.REVISE, 2.5, "boundary", "was small", "a" * 64, "b" * 64, "majority",
    Outcome.MERGED,
)  # fmt: skip
REJECTED = replace(
    READING,
    decision=Decision.REJECT,
    minutes=None,
    mask_sha256="",
    consensus="",
    outcome=Outcome.COUNTED,
    difficulty="hard",
)


@pytest.mark.parametrize("rows", [[], [READING], [READING, REJECTED]])
def test_read_what_was_written(tmp_path: Path, rows: list[Reading]) -> None:
    path = tmp_path / "data/release/readings.csv"
    write_readings(path, rows)
    assert read_readings(path) == rows
    before = path.read_bytes()
    write_readings(path, read_readings(path))
    assert path.read_bytes() == before
    assert b"\r" not in before


def test_a_table_of_format_1_says_nothing_of_difficulty(tmp_path: Path) -> None:
    path = tmp_path / "readings.csv"
    write_readings(path, [READING])
    header, row = path.read_text().splitlines()
    path.write_text(f"{header.removesuffix(',difficulty')}\n{row.removesuffix(',')}\n")
    assert read_readings(path) == [READING]


def test_none_is_there_and_none_is_in_it(tmp_path: Path) -> None:
    assert read_readings(tmp_path / "readings.csv") == []
    (tmp_path / "readings.csv").write_text("")
    assert read_readings(tmp_path / "readings.csv") == []


def test_comments_are_no_formulas(tmp_path: Path) -> None:
    write_readings(tmp_path / "readings.csv", [replace(READING, comment="=1+1\r\nno")])
    assert read_readings(tmp_path / "readings.csv")[0].comment == "'=1+1\nno"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("revise", "maybe"),
        ("merged", "lost"),
        ("class_name", "class"),
        ("merged,", "merged,very"),
        *(("2.50", minutes) for minutes in ("long", "nan", "inf", "-1", "1_0", "1e3", "9" * 400)),
    ],
)
def test_what_is_damaged_is_named(tmp_path: Path, old: str, new: str) -> None:
    path = tmp_path / "readings.csv"
    write_readings(path, [READING])
    path.write_text(path.read_text().replace(old, new))
    with pytest.raises(VoxledgerError, match=r"readings\.csv"):
        read_readings(path)


def test_several_readers_as_the_ledger_calls_them() -> None:
    assert joint_reviewer(["bob", "alice"]) == "alice+bob"
    assert joint_bundle(["b", "a"]) == joint_bundle(["a", "b"]) == hashlib.sha256(b"a\nb\n").hexdigest()


@pytest.mark.parametrize(
    ("said", "decision"),
    [
        ([("accept", "counted")], "accept"),
        ([("reject", "counted")], "reject"),
        ([("accept", "merged"), ("accept", "merged"), ("revise", "merged")], "accept"),
        ([("accept", "merged"), ("revise", "merged"), ("revise", "merged")], "revise"),
        ([("reject", "merged"), ("reject", "merged"), ("revise", "merged")], "reject"),
        ([("reject", "overruled"), ("reject", "overruled"), ("revise", "counted")], "revise"),
        ([("accept", "overruled"), ("revise", "overruled"), ("reject", "counted")], "reject"),
        ([("accept", "pending"), ("reject", "pending")], None),
    ],
)
def test_what_readers_came_to(said: list[tuple[str, str]], decision: str | None) -> None:
    rows = [replace(READING, decision=Decision(one), outcome=Outcome(outcome)) for one, outcome in said]
    assert [one.decision for one in settled(rows)] == ([] if decision is None else [decision])


def test_rounds_are_settled_one_by_one() -> None:
    found = settled(
        [replace(REJECTED, version=3), replace(REJECTED, version=1), READING, replace(READING, case_id="d")]
    )
    assert [(one.version, one.case_id, one.decision) for one in found] == [
        (1, "c, é", "reject"), (2, "c, é", "revise"), (2, "d", "revise"), (3, "c, é", "reject"),
    ]  # fmt: skip
