"""`data/licences.csv`: models and sources whose licence a curator let a release declare otherwise, on record in git."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from voxledger.records.formats import TableFormat
from voxledger.textfile import as_text, read_text_if_there, write_table


@dataclass(frozen=True)
class Override:
    """One model or source, whose conditions a declared licence does not keep, and why that is right."""

    model_id: str
    """Of a source: `source:` and its name."""
    licence: str
    """Of the model or source."""
    declared: str
    """Of the release: another one has to be allowed anew."""
    curator: str
    date: str
    reason: str

    @property
    def key(self) -> tuple[str, str, str]:
        """What it allows."""
        return self.model_id, self.licence, self.declared


TABLE = TableFormat(
    "licences", "a table of licences that a curator allowed", (tuple(f.name for f in fields(Override)),)
)


def read_overrides(path: Path | str) -> list[Override]:
    """Read the table; an empty file, or none, allows nothing."""
    text = read_text_if_there(path)
    if not text:
        return []
    with TABLE.rows(text, path) as rows:
        return [Override(**row) for row in rows]


def write_overrides(path: Path | str, rows: Iterable[Override]) -> None:
    """Write the table, in the order given."""
    write_table(path, TABLE.columns, (asdict(row) | {"reason": as_text(row.reason)} for row in rows))
