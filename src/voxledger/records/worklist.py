"""The worklist `data/round/worklist.csv`: which classes of which cases people decide on, in which order, and who."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.records.cases import Case
from voxledger.records.formats import TableFormat, adding
from voxledger.records.mask_quality import QUALITY_COLUMNS, Quality, quality_of, quality_row
from voxledger.textfile import read_text, write_table

AUDIT = "audit"
"""Reason of cases that were drawn blindly from those that were not chosen. Reviewers must not be able to tell."""
NOT_FOUND = "organ not found"
"""Reason of cases in which a model of a region did not find its organ, so that nobody looked for what lies in it."""

REJECTED = "rejected before"
"""Reason of cases in which somebody rejected a class in an earlier round, and nobody has drawn or accepted it since."""

DISAGREES = "weak label disagrees"
"""Reason of cases in which what was predicted from a weak label does not fit it."""
FLAGS = (NOT_FOUND, REJECTED, DISAGREES)
"""Reasons of cases that come before those of the acquisition function, in this order."""


@dataclass(frozen=True)
class WorkItem:
    """One class of one case that a reviewer decides on."""

    rank: int
    """Position of the case, from 1."""
    case_id: str
    class_name: str
    attention_ml: float
    priority: float
    """Attention of all untrusted classes of the case, in ml."""
    reason: str
    """Why the case is on the worklist: one of `FLAGS`, the acquisition function that chose it, or `AUDIT`."""
    reviewer: str
    expected_minutes: float
    quality: Quality | None = None
    """What is predicted of the mask."""


_COLUMNS = tuple(f.name for f in fields(WorkItem) if f.name != "quality")
TABLE = TableFormat(
    "worklist",
    "a worklist",
    (_COLUMNS, (*_COLUMNS, *QUALITY_COLUMNS)),
    (adding(**dict.fromkeys(QUALITY_COLUMNS, "")),),
)
"""1: before quality was predicted, and where none is; 2: with what is predicted of each mask."""
FORMAT = TABLE.number


def read_worklist(path: Path | str = layout.WORKLIST) -> list[WorkItem]:
    """Read a worklist of any format so far, in its order of priority."""
    with TABLE.rows(read_text(path), path) as rows:
        return [
            WorkItem(
                int(row["rank"]),
                row["case_id"],
                row["class_name"],
                float(row["attention_ml"]),
                float(row["priority"]),
                row["reason"],
                row["reviewer"],
                float(row["expected_minutes"]),
                quality_of(row),
            )
            for row in rows
        ]


def write_worklist(path: Path | str, items: Iterable[WorkItem]) -> None:
    """Write the worklist in the order given."""
    rows = list(items)
    write_table(path, TABLE.headers[any(row.quality for row in rows)], map(_to_row, rows))


def on_worklist(cases: Sequence[Case], path: Path | str = layout.WORKLIST) -> list[Case]:
    """The cases that the worklist names."""
    named = {row.case_id for row in read_worklist(path)}
    return [case for case in cases if case.case_id in named]


def _to_row(row: WorkItem) -> dict[str, Any]:
    values = {k: f"{v:.4f}" if isinstance(v, float) else v for k, v in asdict(row).items() if k != "quality"}
    said = quality_row(row.quality) if row.quality else {}
    return {**values, "expected_minutes": f"{row.expected_minutes:.2f}", **said}
