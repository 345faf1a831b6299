"""Tables that people fill in with a spreadsheet program and save as its own file, `.xlsx`."""

from __future__ import annotations

import zipfile
from datetime import datetime
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import ParseError

MOST_BYTES = 64 << 20
"""A table that unpacks to more was not filled in by a person."""
MOST_CELLS = 1_000_000


def read_xlsx(path: Path, column: str) -> list[list[str]]:
    """The lines of the one sheet whose first line has a column of that name, as text.

    Numbers are written out, a formula counts as what it last came to, and a date is one: what a spreadsheet made of a
    name is not guessed.

    Raises
    ------
    ValueError
        It cannot be read, is too large, or has no such sheet, or several.
    """
    from openpyxl import load_workbook

    try:
        with zipfile.ZipFile(path) as archive:
            if sum(info.file_size for info in archive.infolist()) > MOST_BYTES:
                raise ValueError(f"it unpacks to more than {MOST_BYTES} bytes")
        book = load_workbook(path, read_only=True, data_only=True)
        sheets = [_lines(sheet) for sheet in book.worksheets]
        book.close()
    except (zipfile.BadZipFile, ParseError, KeyError, OSError, TypeError, AttributeError) as error:
        raise ValueError(f"it is damaged: {error}") from None
    found = [lines for lines in sheets if lines and column in [cell.strip().lower() for cell in lines[0]]]
    if len(found) != 1:
        raise ValueError(f"{len(found) or 'no'} sheets of it have a column {column} in their first line")
    return found[0]


def _lines(sheet: Any) -> list[list[str]]:
    lines: list[list[str]] = []
    cells = 0
    for row in sheet.iter_rows(values_only=True):
        cells += len(row)
        if cells > MOST_CELLS:
            raise ValueError(f"it has more than {MOST_CELLS} cells")
        line = [_text(value) for value in row]
        if any(cell.strip() for cell in line) or lines:
            lines.append(line)
    return lines


def _text(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, datetime):
        return value.date().isoformat() if value.time() == datetime.min.time() else value.isoformat(" ")
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)
