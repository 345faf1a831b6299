"""`errors.csv`: one row for every region that a reviewer changed, of this round and all before it."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from voxledger.errors import VoxledgerError
from voxledger.textfile import read_text, restoring, table, write_table

COLUMNS = [
    "round",
    "case_id",
    "class_name",
    "source",
    "kind",
    "criterion",
    "voxels",
    "ml",
    "added_voxels",
    "found",
    "models",
]
"""`criterion` is that of most of the attention on the region, empty where there is none; `found`: if there is any."""

ErrorRow = dict[str, str]


def read_errors(path: Path | str) -> list[ErrorRow]:
    """Read the errors so far; an empty file holds none."""
    with table(read_text(path), path) as rows:
        if rows.fieldnames not in (None, COLUMNS):
            raise VoxledgerError(f"{path} is not a table of errors: its columns are {rows.fieldnames}", restoring(path))
        return list(rows)


def write_errors(path: Path | str, rows: Iterable[ErrorRow]) -> None:
    """Write errors in the order given."""
    write_table(path, COLUMNS, rows)
