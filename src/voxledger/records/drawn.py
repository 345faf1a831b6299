"""What every reader drew, and the minutes that they gave: of this round and all before it.

`reports/drawn.csv` is written by the round that measured it; the next one starts from it as `data/base/drawn.csv`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from voxledger import minutes as cost
from voxledger.records.decisions import Decision, parse_minutes
from voxledger.records.formats import TableFormat
from voxledger.textfile import read_text_if_there, write_table

CLICKED = "clicked"
"""Of a reader who clicked, in `Drawn.emulated`."""


@dataclass(frozen=True)
class Drawn:
    """One class of one case, as one reader handed it in."""

    round: int
    case_id: str
    class_name: str
    """As the class was called in that round."""
    reader: str
    decision: Decision
    minutes: float | None
    """As the reader gave them."""
    added_path_mm: float
    """Added path length: contour that is new; 0 where nothing was revised."""
    path_mm: float
    """The whole contour; 0 where the mask is empty or was rejected."""
    classes: int
    """Classes that are in the case, as the reader handed it in."""
    looks: float
    """Share of a look at everything: of people 1, whom nobody watched."""
    emulated: str
    """How an emulated reader read: `everywhere`, `attention` or `clicked`; empty for people."""

    def drawing(self, scratch_minutes: float) -> float:
        """Minutes of drawing, from those of a case from nothing."""
        return cost.drawing(scratch_minutes, self.classes, self.added_path_mm, self.path_mm)

    def from_nothing(self, scratch_minutes: float) -> float:
        """Minutes to draw the mask from nothing, from those of a case."""
        return cost.from_nothing(scratch_minutes, self.classes, self.path_mm)


TABLE = TableFormat("drawn", "a table of what was drawn", (tuple(f.name for f in fields(Drawn)),))
FORMAT = TABLE.number


def read_drawn(path: Path | str) -> list[Drawn]:
    """Read what was drawn so far; a file that is not there, or is empty, holds nothing."""
    text = read_text_if_there(path)
    if not text:
        return []
    with TABLE.rows(text, path) as rows:
        return [
            Drawn(
                int(row["round"]),
                row["case_id"],
                row["class_name"],
                row["reader"],
                Decision(row["decision"]),
                parse_minutes(row["minutes"]),
                float(row["added_path_mm"]),
                float(row["path_mm"]),
                int(row["classes"]),
                float(row["looks"]),
                row["emulated"],
            )
            for row in rows
        ]


def write_drawn(path: Path | str, drawn: Iterable[Drawn]) -> None:
    """Write what was drawn in the order given."""
    write_table(
        path,
        TABLE.columns,
        (
            asdict(row)
            | {
                "minutes": "" if row.minutes is None else f"{row.minutes:.2f}",
                "added_path_mm": f"{row.added_path_mm:.1f}",
                "path_mm": f"{row.path_mm:.1f}",
                "looks": f"{row.looks:.4f}",
            }
            for row in drawn
        ),
    )
