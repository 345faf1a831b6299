"""`data/confirmed.csv`: findings of returned labels that a curator confirmed as right, on record in git."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass, fields
from pathlib import Path

from voxledger.records.formats import TableFormat
from voxledger.textfile import as_text, read_text_if_there, write_table


@dataclass(frozen=True)
class Confirmed:
    """One finding of one return that was looked at and found right."""

    bundle: str
    """SHA-256 of the returned bundle: another return has to be confirmed anew."""
    case_id: str
    class_name: str
    """Empty where it is about the whole label map."""
    kind: str
    """Name of the check."""
    curator: str
    date: str
    reason: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What it confirms."""
        return self.bundle, self.case_id, self.class_name, self.kind


TABLE = TableFormat("confirmed", "a table of confirmed findings", (tuple(f.name for f in fields(Confirmed)),))


def read_confirmed(path: Path | str) -> list[Confirmed]:
    """Read the table; an empty file, or none, holds no confirmation."""
    text = read_text_if_there(path)
    if not text:
        return []
    with TABLE.rows(text, path) as rows:
        return [Confirmed(**row) for row in rows]


def write_confirmed(path: Path | str, rows: Iterable[Confirmed]) -> None:
    """Write the table, in the order given."""
    write_table(path, TABLE.columns, (asdict(row) | {"reason": as_text(row.reason)} for row in rows))
