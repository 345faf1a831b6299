"""All records of a folder of the memo in one file, so that a run opens one and not thousands.

A record counts as long as the files that it names have its seals, or, of a job that left none, as long as its own file,
`memo.json`, is the one that it was read from. The file begins with the SHA-256 of the rest, and may go at any time.
"""

from __future__ import annotations

import json
import os
from collections.abc import Collection
from contextlib import suppress
from typing import Any

from voxledger.casemap.memo import RECORD, Record, as_seal, read_record, seal, text_sha256
from voxledger.layout import MEMO
from voxledger.textfile import replace_text

FILE = "records.json"
_MOST_FACTS = 2000
"""Characters; longer facts stay in their own files, since this one is written anew for every changed case."""


class Records:
    """Those of one folder of the memo; for whoever holds its lock, see `voxledger.casemap.memo.alone`."""

    def __init__(self, stage: str) -> None:
        self._file = MEMO / stage / FILE
        self._new = False
        self._rows: dict[str, list[Any]] = {}
        """By key: seal of `memo.json`, and what a record holds, as JSON has them."""
        with suppress(OSError, ValueError):
            digest, _, rows = self._file.read_text("utf-8").partition("\n")
            if digest == text_sha256(rows):
                self._rows = json.loads(rows)

    def read(self, folder: str, anew: bool = False) -> Record:
        """The record in a folder, see `voxledger.casemap.memo.read_record`.

        Parameters
        ----------
        anew
            Whether the one that is known did not fit, so that only what lies in the folder counts.
        """
        key = folder.rpartition("/")[2]
        row = self._rows.get(key)
        if row is not None and not anew and (row[1] or row[0] == [*seal(os.stat(f"{folder}/{RECORD}"))]):
            return _record(row)
        own = seal(os.stat(f"{folder}/{RECORD}"))
        record = read_record(folder)
        if len(record.facts) <= _MOST_FACTS:
            self._rows[key], self._new = [[*own], record.outputs, record.facts, record.seals], True
        return record

    def keep(self, keys: Collection[str]) -> None:
        """Leave out all others."""
        rows = {key: row for key, row in self._rows.items() if key in keys}
        self._new, self._rows = len(rows) < len(self._rows), rows
        self.save()

    def save(self) -> None:
        """Write them down, if they are others than were read."""
        if self._new:
            with suppress(OSError):
                rows = json.dumps(self._rows)
                replace_text(self._file, f"{text_sha256(rows)}\n{rows}")


def _record(row: list[Any]) -> Record:
    _, outputs, facts, seals = row
    return Record(outputs, facts, {name: as_seal(values) for name, values in seals.items()})
