"""What of the memo each stage used when it ran last: what a round needs to compute a change alone.

`.memo/used/<stage of dvc.yaml>.json` holds keys by folder of the memo. DVC does not run a stage of which nothing has
changed, so what its last run used stays needed.
"""

from __future__ import annotations

import atexit
import json
import os
import sys
from collections.abc import Iterable
from contextlib import suppress
from functools import cache
from pathlib import Path

from voxledger import layout, process
from voxledger.textfile import replace_text

Keys = dict[str, set[str]]
"""By folder of the memo."""


def note_used(stage: str, keys: Iterable[str]) -> None:
    """Take note that this process uses what is remembered under some keys."""
    _here().now.setdefault(stage, set()).update(keys)


def save_used() -> None:
    """Write down what this process used, beside what its stage used before: it may be killed before it is done."""
    _here().save()


def keep_used() -> None:
    """What the stage used before stays noted: this process did not come to its end."""
    _here().finished = False


def used() -> Keys:
    """What all stages used."""
    found: Keys = {}
    for path in layout.USED.glob("*.json"):
        for stage, keys in _read(path).items():
            found.setdefault(stage, set()).update(keys)
    return found


class _Used:
    """What this process uses of one repository."""

    def __init__(self) -> None:
        name = os.environ.get("DVC_STAGE") or Path(sys.argv[0]).stem
        self._file = layout.USED.absolute() / f"{Path(name).name}.json"
        self._before = _read(self._file)
        self.now: Keys = {}
        self.finished = True
        atexit.register(self._end)

    def save(self) -> None:
        both = {s: self.now.get(s, set()) | self._before.get(s, set()) for s in {*self.now, *self._before}}
        if both != self._before:
            self._write(both)

    def _end(self) -> None:
        if self.finished and not process.at_work and self.now:
            self._write(self.now)

    def _write(self, keys: Keys) -> None:
        if self._file.parents[1].is_dir():
            with suppress(OSError):
                replace_text(self._file, json.dumps({s: sorted(k) for s, k in sorted(keys.items())}))


def _read(path: Path) -> Keys:
    try:
        return {stage: set(keys) for stage, keys in json.loads(path.read_text("utf-8")).items()}
    except (OSError, ValueError, TypeError, AttributeError):
        return {}


def _here() -> _Used:
    return _of(Path.cwd())


@cache
def _of(_: Path) -> _Used:
    return _Used()
