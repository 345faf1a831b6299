"""Tables of predicted quality and of judged masks; worklists with and without it."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from voxledger.errors import VoxledgerError
from voxledger.records.mask_quality import (
    JUDGED,
    PREDICTED,
    JudgedMask,
    MaskQuality,
    Quality,
    Signs,
    read_judged,
    read_predicted,
    write_judged,
    write_predicted,
)
from voxledger.records.worklist import WorkItem, read_worklist, write_worklist

QUALITY = Quality(0.9, 0.8, 0.95, 1.25, 0.5, 2.5, 0.125)
MASK = MaskQuality("case_1", "liver", Signs(2, 1.5, 0.25, 1.25, 0.0, 40.5, 0.00012345, 0.875), QUALITY)
PLAIN = replace(MASK, class_name="spleen", quality=None)
ITEM = WorkItem(1, "case_1", "liver", 1.5, 2.5, "attention", "ann", 15.0)


def test_what_is_predicted_is_read_as_it_was_written(tmp_path: Path) -> None:
    write_predicted(tmp_path / "quality.csv", [MASK, PLAIN])
    assert read_predicted(tmp_path / "quality.csv") == [MASK, PLAIN]
    write_predicted(tmp_path / "quality.csv", [])
    assert read_predicted(tmp_path / "quality.csv") == []


def test_what_was_judged_is_read_as_it_was_written(tmp_path: Path) -> None:
    rows = [JudgedMask(1, MASK, True, 0.875, 3.5, 0.25), JudgedMask(2, PLAIN, False, 1.0, 0.0, 0.0)]
    write_judged(tmp_path / "judged.csv", rows)
    assert read_judged(tmp_path / "judged.csv") == rows


@pytest.mark.parametrize("content", [None, ""])
def test_rounds_of_before_hold_nothing(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "table.csv").write_text(content)
    assert read_predicted(tmp_path / "table.csv") == []
    assert read_judged(tmp_path / "table.csv") == []


@pytest.mark.parametrize("cells", ["x,1", "1,c,liver,2,nothing"])
def test_damaged_rows_are_named(tmp_path: Path, cells: str) -> None:
    path = tmp_path / "judged.csv"
    path.write_text(",".join(JUDGED.columns) + f"\n{cells}\n")
    with pytest.raises(VoxledgerError, match=r"judged\.csv, line 2"):
        read_judged(path)
    path.write_text(",".join(PREDICTED.columns) + f"\n{cells}\n")
    with pytest.raises(VoxledgerError, match=r"judged\.csv, line 2"):
        read_predicted(path)


@pytest.mark.parametrize(
    ("items", "columns"),
    [([ITEM, replace(ITEM, class_name="spleen")], 8), ([ITEM, replace(ITEM, quality=QUALITY)], 15)],
)
def test_a_worklist_has_columns_for_quality_where_there_is_any(
    tmp_path: Path, items: list[WorkItem], columns: int
) -> None:
    path = tmp_path / "worklist.csv"
    write_worklist(path, items)
    assert len(path.read_text().splitlines()[0].split(",")) == columns
    assert read_worklist(path) == items
