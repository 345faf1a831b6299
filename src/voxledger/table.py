"""Text files that are written whole or not at all: CSV tables, and any other text."""

from __future__ import annotations

import csv
import glob
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TextIO

from voxledger.disk import naming


def write_table(path: Path | str, columns: Sequence[str], rows: Iterable[Mapping[str, Any]]) -> None:
    """Write a CSV file: a header, then the rows in the order given, consumed one at a time.

    Raises `ValueError` for a row with a column that is not in `columns`; one that a row lacks stays empty.
    """
    with _replacing(Path(path)) as stream:
        writer = csv.DictWriter(stream, columns, lineterminator="\n")
        writer.writeheader()
        writer.writerows(rows)


def replace_text(path: Path | str, text: str) -> None:
    """Write a text file (UTF-8); its newlines stay as they are."""
    with _replacing(Path(path)) as stream:
        stream.write(text)


def fixed(value: float, decimals: int) -> str:
    """A number with a fixed count of decimals, never a negative zero; `nan` and `inf` by name."""
    text = f"{value:.{decimals}f}"
    return text.removeprefix("-") if not text.strip("-0.") else text


@contextmanager
def _replacing(path: Path) -> Iterator[TextIO]:
    path.parent.mkdir(parents=True, exist_ok=True)
    for leftover in path.parent.glob(f".{glob.escape(path.name)}.*"):
        if not _is_written(leftover.suffix.removeprefix(".")):
            leftover.unlink(missing_ok=True)
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with naming(path):
        try:
            with open(partial, "w", encoding="utf-8", newline="") as stream:
                yield stream
            os.replace(partial, path)
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def _is_written(process: str) -> bool:
    """Whether the process of this id may still be writing its part: what a killed one left would enter a commit."""
    if not process.isdigit():
        return True
    try:
        os.kill(int(process), 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True
