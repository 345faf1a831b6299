"""The table of what readers drew."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from voxledger.errors import VoxledgerError
from voxledger.records.decisions import Decision
from voxledger.records.drawn import TABLE, Drawn, read_drawn, write_drawn

ROW = Drawn(1, "case_1", "liver", "ann", Decision.REVISE, 2.5, 12.5, 100.0, 4, 1.0, "")


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [ROW, replace(ROW, minutes=None, decision=Decision.ACCEPT, looks=0.25, emulated="attention")]
    write_drawn(tmp_path / "drawn.csv", rows)
    assert read_drawn(tmp_path / "drawn.csv") == rows
    first = (tmp_path / "drawn.csv").read_bytes()
    write_drawn(tmp_path / "drawn.csv", read_drawn(tmp_path / "drawn.csv"))
    assert (tmp_path / "drawn.csv").read_bytes() == first


@pytest.mark.parametrize("content", [None, ""])
def test_rounds_of_before_hold_nothing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "drawn.csv").write_text(content)
    assert read_drawn(tmp_path / "drawn.csv") == []


@pytest.mark.parametrize("row", ["1,c,liver,ann,revise,nan,1,1,1,1,", "1,c,liver,ann,draw,1,1,1,1,1,", "x,,,,,,,,,,"])
def test_damaged_rows_are_named(tmp_path: Path, row: str) -> None:
    path = tmp_path / "drawn.csv"
    path.write_text(",".join(TABLE.columns) + f"\n{row}\n")
    with pytest.raises(VoxledgerError, match=r"drawn\.csv, line 2"):
        read_drawn(path)


def test_minutes_from_a_case() -> None:
    assert (ROW.from_nothing(40), ROW.drawing(40)) == (10, 1.25)
    assert replace(ROW, added_path_mm=0.0, path_mm=0.0, classes=0).drawing(40) == 0
