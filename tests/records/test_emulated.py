"""The record of an emulated reader: read as it was written, and refused where it is none or does not fit."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from small_round import repo, template

from voxledger.errors import Misuse, VoxledgerError
from voxledger.records.bundle import EMULATED
from voxledger.records.emulated import (
    Emulated,
    EmulatedMask,
    Looks,
    misfits,
    parse_emulated,
    read_emulated,
    write_emulated,
)
from voxledger.review.by_reference import ByReference

__all__ = ["repo", "template"]

MASK = EmulatedMask(
    case_id="case_1", class_name="liver", looks=0.25, drawing_minutes=2.0, added_path_mm=10.0, path_mm=100.0, errors=2,
    errors_left=1, error_ml=0.5, error_ml_left=0.25, dice=0.9,
)  # fmt: skip
RECORD = Emulated(
    looks=Looks.ATTENTION, sees_mm=0.0, looking_minutes=0.5, scratch_minutes=43.0, path_tolerance_mm=0.0,
    error_tolerance_mm=2.0, masks=(MASK,),
)  # fmt: skip


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    assert read_emulated(tmp_path) is None
    write_emulated(tmp_path, RECORD)
    assert read_emulated(tmp_path) == RECORD
    assert (RECORD.looking, RECORD.drawing) == (0.125, 2.0)
    assert "1 of 2 errors beyond 2 mm left, 0.25 of 0.50 ml" in str(RECORD)
    assert json.loads((tmp_path / EMULATED).read_text())["format"] == 1


def changed(path: str, value: object) -> bytes:
    values: Any = RECORD.model_dump(mode="json")
    place = values
    *way, last = path.split(".")
    for part in way:
        place = place[int(part)] if isinstance(place, list) else place[part]
    place[last] = value
    return json.dumps(values).encode()


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"{", "emulated.json"),
        (b"[]", "emulated.json"),
        (changed("extra", 1), "extra"),
        (changed("format", "1"), "format"),
        (changed("looks", "nowhere"), "looks"),
        (changed("looking_minutes", "NaN"), "looking_minutes"),
        (changed("masks.0.looks", -1.0), "masks.0.looks"),
        (changed("masks.0.dice", 1.5), "masks.0.dice"),
        (changed("masks.0.errors", 0.5), "masks.0.errors"),
    ],
)
def test_what_is_none_is_refused(content: bytes, problem: str) -> None:
    with pytest.raises(VoxledgerError, match=problem):
        parse_emulated(content, "emulated.json")


def test_a_newer_one_asks_for_an_update() -> None:
    with pytest.raises(Misuse, match="format 2"):
        parse_emulated(changed("format", 2), "emulated.json")


@pytest.mark.parametrize(
    ("masks", "problem"),
    [
        ((MASK,), ""),
        ((MASK, MASK), "lists a mask twice"),
        ((MASK.model_copy(update={"class_name": "lesion"}),), "class lesion of case case_1, which the bundle does not"),
        ((MASK.model_copy(update={"case_id": "case_9"}),), "class liver of case case_9, which the bundle does not"),
    ],
)
def test_what_does_not_fit_holds_a_return_back(repo: Any, masks: tuple[EmulatedMask, ...], problem: str) -> None:
    repo.export(("case_1", "liver", "ann"))
    found = misfits(RECORD.model_copy(update={"masks": masks}), repo.manifest("ann"))
    assert [problem in one for one in found] == [True] * bool(problem)
    folder = repo.give_back("ann")
    write_emulated(folder, RECORD.model_copy(update={"masks": masks}))
    if problem:
        with pytest.raises(VoxledgerError, match=problem):
            repo.gate()
    else:
        repo.gate()


def test_a_reader_who_reads_nothing_notes_nothing(tmp_path: Path) -> None:
    ByReference(0.9).note(tmp_path)
    found = read_emulated(tmp_path)
    assert found is not None
    assert (found.masks, found.looking, found.drawing) == ((), 0, 0)
