"""The history of rounds."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path

import pytest

from voxledger.errors import VoxledgerError
from voxledger.records.history import TABLE, HistoryRow, as_written, read_history, write_history

ROW = HistoryRow(
    round=1,
    set="external/site-b",
    stage="next",
    model="unet",
    dice=0.5,
    low=0.4,
    high=0.6,
    n=4,
    share_labelled=0.25,
    cases_reviewed=1,
    minutes=2.5,
    minutes_total=10.0,
    cases_trusted_by_review=1,
    scratch_minutes_total=90.0,
    audited=5,
    audited_with_errors=1,
    audited_population="abc",
    decisions=3,
    decisions_timed=2,
    cases_complete=1,
    cases_partly=0,
    classes=("organ", "lesion"),
    gain=-0.01,
    gain_pairs=4,
    metrics={"iou": "0.4000"},
)
NOTHING = replace(
    ROW,
    set="",
    stage="",
    model="",
    dice=None,
    low=None,
    high=None,
    n=0,
    classes=(),
    gain=None,
    gain_pairs=None,
    metrics={},
)


@pytest.mark.parametrize("rows", [[ROW], [ROW, NOTHING], [replace(ROW, audited=None, audited_with_errors=None)]])
def test_read_what_was_written(tmp_path: Path, rows: list[HistoryRow]) -> None:
    write_history(tmp_path / "history.csv", rows, ["iou", "hd95_mm"])
    assert read_history(tmp_path / "history.csv") == rows
    header = (tmp_path / "history.csv").read_text().splitlines()[0].split(",")
    assert header == [*TABLE.columns, "iou", "hd95_mm"]


def test_a_mean_of_nothing_is_kept_as_one(tmp_path: Path) -> None:
    write_history(tmp_path / "history.csv", [replace(ROW, dice=math.nan)])
    (found,) = read_history(tmp_path / "history.csv")
    assert found.dice is not None
    assert math.isnan(found.dice)


def test_digits_are_those_of_the_file() -> None:
    assert as_written(replace(ROW, dice=0.123456, minutes=1.005)).dice == 0.1235


@pytest.mark.parametrize(("number", "told"), [(1, {}), (2, {"audited": 5}), (3, {"audited": 5, "decisions": 3})])
def test_every_format_is_read(tmp_path: Path, number: int, told: dict[str, int]) -> None:
    write_history(tmp_path / "history.csv", [replace(ROW, metrics={})])
    columns = len(TABLE.headers[number - 1])
    lines = [",".join(line.split(",")[:columns]) for line in (tmp_path / "history.csv").read_text().splitlines()]
    (tmp_path / "history.csv").write_text("\n".join(lines) + "\n")
    (found,) = read_history(tmp_path / "history.csv")
    assert (found.dice, found.minutes_total) == (0.5, 10.0)
    assert {k: getattr(found, k) for k in ("audited", "decisions") if getattr(found, k) is not None} == told


def test_a_damaged_history_names_the_line(tmp_path: Path) -> None:
    write_history(tmp_path / "history.csv", [ROW, ROW])
    text = (tmp_path / "history.csv").read_text()
    (tmp_path / "history.csv").write_text(text.replace(",90.00,", ",many,"))
    with pytest.raises(VoxledgerError, match=r"history\.csv, line 2"):
        read_history(tmp_path / "history.csv")
