"""What the memo holds, and what of it no open round needs: what no stage used when it ran last."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from voxledger.casemap import hashes
from voxledger.casemap.memo import RECORD, alone, forget
from voxledger.casemap.records import Records
from voxledger.casemap.used import used
from voxledger.layout import MEMO

ABANDONED_SECONDS = 7 * 24 * 3600
"""Age of the newest file from which what was begun and never finished is nobody's; other machines tell nothing else."""


@dataclass
class Held:
    """Entries of one folder of the memo, or some of them."""

    stage: str
    entries: int = 0
    bytes: int = 0
    shared_bytes: int = 0
    """Of them in files that are linked from elsewhere, such as outputs or DVC's cache: removing them frees nothing."""
    unneeded: int = 0
    """Entries that no open round needs."""
    unneeded_bytes: int = 0
    freed_bytes: int = 0
    """What removing those frees."""


@dataclass
class Contents:
    """What the memo holds."""

    stages: list[Held] = field(default_factory=list)
    abandoned: Held = field(default_factory=lambda: Held("unfinished"))
    """What killed runs began, if nothing was written there for a week."""


def contents() -> Contents:
    """Look at the memo; changes nothing."""
    found, needed = Contents(), used()
    for stage, entries in _stages():
        held = Held(stage)
        for entry in entries:
            _count(held, entry, _is_needed(entry, needed))
        found.stages.append(held)
    for folder in _abandoned():
        _count(found.abandoned, folder, False)
    return found


def prune() -> Contents:
    """Remove what no open round needs, and what is abandoned; returns what there was before.

    Of a folder of which no stage has said what it uses, as after an older version made it, everything stays. What
    stages at work have computed on the way they need until they are done, and say only then: this waits for them.
    """
    for locked in sorted(MEMO.glob("*/.lock")):
        with alone(locked.parent.name):
            pass
    before = contents()
    for held in before.stages:
        if held.unneeded:
            with alone(held.stage):
                needed = used()  # anew: who waited for a stage finds that it used more
                kept = [entry for entry in _entries(MEMO / held.stage) if _is_needed(entry, needed)]
                for entry in set(_entries(MEMO / held.stage)) - set(kept):
                    forget(entry)
                Records(held.stage).keep({entry.name for entry in kept})
    for folder in _abandoned():
        shutil.rmtree(folder, ignore_errors=True)
    hashes.forget_missing()
    return before


def _is_needed(entry: Path, needed: dict[str, set[str]]) -> bool:
    return entry.parent.name not in needed or entry.name in needed[entry.parent.name]


def _stages() -> Iterator[tuple[str, list[Path]]]:
    for folder in sorted(MEMO.iterdir()) if MEMO.is_dir() else []:
        if folder.is_dir() and not folder.name.startswith(".") and (entries := _entries(folder)):
            yield folder.name, entries


def _entries(folder: Path) -> list[Path]:
    return [p for p in folder.iterdir() if not p.name.startswith(".") and (p / RECORD).is_file()]


def _abandoned() -> list[Path]:
    """Hidden folders of the memo and of its folders in which nothing was written for a week."""
    hidden = [p for p in (*MEMO.glob(".*"), *MEMO.glob("*/.*")) if p.is_dir()]
    return [p for p in hidden if max(map(_changed, (p, *p.rglob("*")))) < time.time() - ABANDONED_SECONDS]


def _changed(path: Path) -> float:
    try:
        status = path.lstat()
    except FileNotFoundError:
        return time.time()
    return max(status.st_mtime, status.st_ctime)  # the time of a remembered file is that of its bytes


def _count(held: Held, folder: Path, needed: bool) -> None:
    held.entries += 1
    held.unneeded += not needed
    for name in (f"{top}/{file}" for top, _, files in os.walk(folder) for file in files):
        status = os.lstat(name)
        alone_here = status.st_nlink == 1
        held.bytes += status.st_size
        held.shared_bytes += 0 if alone_here else status.st_size
        if not needed:
            held.unneeded_bytes += status.st_size
            held.freed_bytes += status.st_size if alone_here else 0
