"""How images were acquired: `data/acquisition.csv`, the technical fields that were kept of DICOM headers."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path

from voxledger import layout
from voxledger.imaging.dicom_series import TECHNICAL
from voxledger.records.formats import TableFormat
from voxledger.textfile import read_text_if_there, write_table

COLUMNS = {keyword: re.sub(r"(?<=[a-z])(?=[A-Z])", "_", keyword).lower() for keyword in TECHNICAL}
"""Column of each field, by its DICOM keyword."""
_PLAIN = re.compile(r"[\w .,:/+()\[\]'-]{1,64}")
"""What a technical field may hold; free text is left out."""


@dataclass(frozen=True)
class Acquisition:
    """How the image of one case was acquired."""

    case_id: str
    values: Mapping[str, str]
    """By column; those that are not known are empty."""

    @classmethod
    def of(cls, case_id: str, header: Mapping[str, str]) -> Acquisition:
        """Of the values of a header, by keyword: those of technical fields that look like one."""
        said = {column: header.get(keyword, "").strip() for keyword, column in COLUMNS.items()}
        return cls(case_id, {c: text if _PLAIN.fullmatch(text) else "" for c, text in said.items()})


TABLE = TableFormat("acquisition", "a table of acquisitions", (("case_id", *COLUMNS.values()),))
FORMAT = TABLE.number


def read_acquisitions(path: Path | str = layout.ACQUISITION) -> list[Acquisition]:
    """The table, in its order; a file that is not there is an empty one."""
    text = read_text_if_there(path)
    if text is None:
        return []
    with TABLE.rows(text, path) as rows:
        return [Acquisition(row["case_id"], {c: row[c] for c in COLUMNS.values()}) for row in rows]


def add_acquisitions(new: Iterable[Acquisition], path: Path | str = layout.ACQUISITION) -> None:
    """Add rows, or put them in the place of those of the same case."""
    found = {one.case_id: one for one in (*read_acquisitions(path), *new)}
    if found:
        write_acquisitions(found.values(), path)


def write_acquisitions(rows: Iterable[Acquisition], path: Path | str = layout.ACQUISITION) -> None:
    """Write the table, sorted by case."""
    ordered = sorted(rows, key=lambda one: one.case_id)
    write_table(path, TABLE.columns, ({"case_id": one.case_id, **one.values} for one in ordered))
