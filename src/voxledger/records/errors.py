"""The table of errors: every region that a reviewer changed, of this round and all before it.

`reports/errors.csv` is written by the round that found them; the next one starts from it as `data/base/errors.csv`.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from voxledger.records.formats import TableFormat
from voxledger.textfile import read_text, write_table


@dataclass(frozen=True)
class Error:
    """One region of one class of one case in which a reviewer changed what was proposed."""

    case_id: str
    class_name: str
    source: str
    """Where the case comes from."""
    kind: str
    """What was wrong, as `score/taxonomy.py` tells it apart."""
    criterion: str
    """Criterion of most of the attention on the region, empty where there is none."""
    voxels: int
    ml: float
    added_voxels: int
    """Voxels of the region that the reviewer added; the others were taken away."""
    found: bool
    """Whether any attention lay on the region."""
    models: tuple[str, ...]
    """Models that made the error: on most of the region they say what the reviewer took back."""


@dataclass(frozen=True)
class ErrorRow(Error):
    """An error and the round in which it was found."""

    round: int


TABLE = TableFormat("errors", "a table of errors", (("round", *(f.name for f in fields(Error))),))
FORMAT = TABLE.number


def read_errors(path: Path | str) -> list[ErrorRow]:
    """Read the errors so far, of any format; an empty file holds none."""
    text = read_text(path)
    if not text:
        return []
    with TABLE.rows(text, path) as rows:
        return [
            ErrorRow(
                row["case_id"],
                row["class_name"],
                row["source"],
                row["kind"],
                row["criterion"],
                int(row["voxels"]),
                float(row["ml"]),
                int(row["added_voxels"]),
                {"true": True, "false": False}[row["found"]],
                tuple(row["models"].split(";")) if row["models"] else (),
                round=int(row["round"]),
            )
            for row in rows
        ]


def write_errors(path: Path | str, errors: Iterable[ErrorRow]) -> None:
    """Write errors in the order given."""
    write_table(path, TABLE.columns, map(_to_row, errors))


def _to_row(error: ErrorRow) -> dict[str, Any]:
    return {
        **asdict(error),
        "ml": f"{error.ml:.4f}",
        "found": str(error.found).lower(),
        "models": ";".join(error.models),
    }
