"""SHA-256 of files, taken once: what has the size, time and inode that it had when it was read is not read again.

DVC goes by the same three. As in git, a time is believed only once it is past: who writes in the moment in which a file
is read may leave the same time, so what was written just now is read again the next time.
"""

from __future__ import annotations

import json
import os
import time
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.imaging.volume import file_sha256
from voxledger.textfile import replace_text

JUST_NOW_NS = 2_000_000_000
"""Age in nanoseconds from which a time is past: that of the coarsest file system, FAT."""
Stamp = tuple[int, int, int, int]
"""Size in bytes, time of the last change in nanoseconds, inode; and 0, or the time at which the inode changed."""

_KEPT = (f"{layout.DATA}/", f"{layout.MODELS}/")
"""Files whose hashes are written down. Names of others, as they come from a hospital, stay out of the repository."""
_SECOND = 1_000_000_000


def no_memo() -> bool:
    """Whether everything is to be read and computed again (`voxledger round run --no-memo`)."""
    return bool(os.environ.get("VOXLEDGER_NO_MEMO"))


def stamp(status: os.stat_result) -> Stamp:
    """What tells whether a file has changed.

    Whole seconds come from archives, where files share them, and not from a write. Then nothing at all may have
    happened to the inode since, not even that it was linked.
    """
    by_archive = status.st_mtime_ns % _SECOND == 0
    return status.st_size, status.st_mtime_ns, status.st_ino, status.st_ctime_ns if by_archive else 0


def trusted_sha256(path: Path | str) -> str:
    """SHA-256 of a file's bytes; it is read only if it has changed since it was read last.

    Not for what was returned or released: whoever checks that reads it, see `voxledger.imaging.volume.file_sha256`.
    """
    path = os.fspath(path)
    hashes, before = _here(), os.stat(path)
    if (found := hashes.get(path, before)) is not None:
        return found
    began, digest = time.time_ns(), file_sha256(path)
    past = before.st_mtime_ns < began - JUST_NOW_NS and stamp(os.stat(path)) == stamp(before)
    hashes.put(path, before, digest if past else None)
    return digest


def note_sha256(path: Path | str, status: os.stat_result, digest: str) -> None:
    """Take note of a file that is known to hold what has this hash, and that nobody writes to."""
    _here().put(os.fspath(path), status, digest)


def save() -> None:
    """Write down what was noted, for other processes; nothing where that is not possible."""
    _here().save()


def forget_missing() -> None:
    """Leave out files that are not here any more."""
    _here().forget_missing()


Row = list[Any]
"""SHA-256, and what a stamp holds: as JSON has it, since most rows of a run are only compared."""


class _Hashes:
    """Those of one repository."""

    def __init__(self) -> None:
        self._file = layout.HASHES.absolute()
        self._seen: Stamp | None = None
        self._rows = {} if no_memo() else self._read()
        self._noted: set[str] = set()

    def get(self, name: str, status: os.stat_result) -> str | None:
        row = self._rows.get(name)
        return row[0] if row is not None and row[1:] == [*stamp(status)] else None

    def put(self, name: str, status: os.stat_result, digest: str | None) -> None:
        row = None if digest is None else [digest, *stamp(status)]
        if self._rows.get(name) == row:
            return
        if row is None:
            del self._rows[name]
        else:
            self._rows[name] = row
        if name.startswith(_KEPT):
            self._noted.add(name)

    def save(self) -> None:
        if self._noted and self._file.parent.is_dir():
            rows = self._rows
            if no_memo() or self._seen != self._on_disk():  # what others wrote stays
                rows = self._read() | rows
            if not no_memo():
                self._rows = rows
            self._write(rows)
            self._noted.clear()

    def forget_missing(self) -> None:
        self._rows = {name: row for name, row in (self._read() | self._rows).items() if os.path.exists(name)}
        self._write(self._rows)

    def _on_disk(self) -> Stamp | None:
        try:
            return stamp(os.stat(self._file))
        except OSError:
            return None

    def _read(self) -> dict[str, Row]:
        self._seen = self._on_disk()
        try:
            rows: dict[str, Row] = json.loads(self._file.read_text("utf-8"))
            return rows if set(map(type, rows.values())) <= {list} else {}
        except (OSError, ValueError, AttributeError):
            return {}

    def _write(self, rows: dict[str, Row]) -> None:
        with suppress(OSError):
            kept = {name: row for name, row in rows.items() if name.startswith(_KEPT)}
            replace_text(self._file, json.dumps(kept))
            self._seen = self._on_disk()


def _here() -> _Hashes:
    return _of(os.getcwd())


@cache
def _of(_: str) -> _Hashes:
    return _Hashes()
