"""Formats of records: which ones there were, and how a record of an older one becomes one of today's.

A JSON record carries the number of its format; one without a number is of format 1. A table is told by its header:
every format of a table has a header of its own, so that what a column means never changes under its name.
`data/format.json` says up to which format the tables of a repository are written, so that a voxledger that is older
than a table can tell it from a damaged one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.repository import file_at
from voxledger.textfile import Rows, table, unreadable

Upgrade = Callable[[dict[str, Any]], dict[str, Any]]
"""Values of a record of format n as they are in format n + 1."""


def upgraded(values: dict[str, Any], upgrades: Sequence[Upgrade], what: str, remedy: str = "") -> dict[str, Any]:
    """Bring the values of a JSON record to today's format, which is the one behind the last upgrade.

    Parameters
    ----------
    values
        The record; its number stands under `format`, and is 1 where there is none.
    upgrades
        From format 1 to 2, from 2 to 3, and so on.
    what
        Names the record in errors: its path, with " at TAG" where it was read from a version.
    remedy
        What to do about a newer record, instead of updating voxledger.

    Raises
    ------
    Misuse
        It is of a newer format.
    VoxledgerError
        Its format is not a number from 1.
    """
    number = values.get("format", 1)
    if not isinstance(number, int) or isinstance(number, bool) or number < 1:
        raise unreadable(what, f"its format is {number!r}")
    if number > len(upgrades) + 1:
        raise _newer(what, number, len(upgrades) + 1, remedy)
    for upgrade in upgrades[number - 1 :]:
        values = upgrade(values)
    return {**values, "format": len(upgrades) + 1}


def numbered(values: dict[str, Any], number: int) -> dict[str, Any]:
    """Values of a JSON record with the number of their format, as they are written; those of format 1 have none."""
    return values if number == 1 else {"format": number, **values}


@dataclass(frozen=True)
class TableFormat:
    """The formats of a table, oldest first: the header of each, and the upgrades of a row from one to the next."""

    name: str
    """What `data/format.json` calls it."""
    title: str
    """What errors call it, such as "a ledger"."""
    headers: tuple[tuple[str, ...], ...]
    upgrades: tuple[Upgrade, ...] = ()
    more_columns: bool = False
    """Whether today's header may go on with further columns."""

    @property
    def number(self) -> int:
        """Today's format."""
        return len(self.headers)

    @property
    def columns(self) -> list[str]:
        """Today's header."""
        return list(self.headers[-1])

    @contextmanager
    def rows(self, text: str, what: Path | str) -> Iterator[Iterator[dict[str, str]]]:
        """The rows of a table of any format so far, as rows of today's.

        What goes wrong with a row, here or where the caller converts its values, names file and line.

        Raises
        ------
        Misuse
            The table is of a newer format.
        VoxledgerError
            It is damaged.
        """
        with table(text, what) as rows:
            yield self._upgraded(rows, self._number_of(rows, str(what)))

    def _number_of(self, rows: Rows, what: str) -> int:
        header = rows.fieldnames or []
        if self.more_columns and header[: len(self.columns)] == self.columns:
            return self.number
        if tuple(header) in self.headers:
            return self.headers.index(tuple(header)) + 1
        path, _, tag = what.partition(" at ")
        said = table_formats(tag or None).get(self.name, 1)
        if said > self.number:
            raise _newer(what, said, self.number)
        raise unreadable(path if not tag else what, f"it is not {self.title}: its columns are {header}")

    def _upgraded(self, rows: Rows, number: int) -> Iterator[dict[str, str]]:
        for row in rows:
            values: dict[str, Any] = row
            for upgrade in self.upgrades[number - 1 :]:
                values = upgrade(values)
            yield values


def adding(**columns: str) -> Upgrade:
    """The upgrade that adds columns with the same value in every row."""
    return lambda row: {**row, **columns}


def table_formats(revision: str | None = None) -> dict[str, int]:
    """What `data/format.json` says, here or in a version; nothing where there is none: its tables are of format 1."""
    text = file_at(revision, layout.FORMATS)
    try:
        return {str(name): int(number) for name, number in json.loads(text or "{}").items()}
    except (ValueError, TypeError, AttributeError) as error:
        raise unreadable(f"{layout.FORMATS} at {revision}" if revision else layout.FORMATS, str(error)) from None


def _newer(what: str, number: int, known: int, remedy: str = "") -> Misuse:
    return Misuse(
        f"{what} has format {number}, and this voxledger reads at most format {known}",
        remedy or "update voxledger: a newer one wrote this",
    )
