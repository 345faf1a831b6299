"""The memo: how much is remembered of cases, and whether it is a folder at all."""

from __future__ import annotations

from collections.abc import Iterator

from voxledger.casemap.contents import contents
from voxledger.doctor.check import Check, Finding, note, ok, wrong
from voxledger.layout import MEMO


def look() -> Iterator[Finding]:
    """Entries and bytes, and what no open round needs."""
    if MEMO.exists() and not MEMO.is_dir():
        yield wrong(f"{MEMO} is no folder", f"`rm {MEMO}`: it is made again")
        return
    found = contents()
    held = [*found.stages, found.abandoned]
    said = f"{sum(h.entries for h in held)} entries, {sum(h.bytes for h in held) / 1e6:.1f} MB"
    freed = sum(h.freed_bytes for h in held)
    if freed:
        yield note(f"{said}, of which {freed / 1e6:.1f} MB are needed by no open round", "`voxledger memo prune`")
    else:
        yield ok(said)


CHECK = Check(look, in_repository=True)
