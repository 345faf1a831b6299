"""All records of a folder of the memo in one file, so that a run opens one and not thousands.

A record counts as long as its own file, `memo.json`, is the one that it was read from. The file may go at any time.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import Any

from voxledger.casemap.memo import RECORD, Record, Seal, as_seal, read_record, seal
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
        self._rows: dict[str, tuple[Seal, Record]] = {}
        with suppress(OSError, ValueError, TypeError):
            rows = json.loads(self._file.read_text("utf-8"))
            self._rows = {key: (as_seal(own), _record(*values)) for key, own, *values in rows}

    def read(self, folder: str) -> Record:
        """The record in a folder, see `voxledger.casemap.memo.read_record`."""
        key, own = folder.rpartition("/")[2], seal(os.stat(f"{folder}/{RECORD}"))
        row = self._rows.get(key)
        if row is not None and row[0] == own:
            return row[1]
        record = read_record(folder)
        if len(record.facts) <= _MOST_FACTS:
            self._rows[key], self._new = (own, record), True
        return record

    def save(self) -> None:
        """Write them down, if there are new ones."""
        if self._new:
            rows = ([key, own, r.outputs, r.facts, r.seals] for key, (own, r) in self._rows.items())
            with suppress(OSError):
                replace_text(self._file, "[\n" + ",\n".join(map(json.dumps, rows)) + "\n]\n")


def _record(outputs: dict[str, str], facts: str, seals: dict[str, Any]) -> Record:
    return Record(outputs, facts, {name: as_seal(values) for name, values in seals.items()})
