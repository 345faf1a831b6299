"""Room and rights: whether files can be written where voxledger writes them."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from voxledger import layout
from voxledger.disk import disk_failure
from voxledger.doctor.check import Check, Finding, ok, wrong
from voxledger.repository import dvc_cache, is_root

LITTLE_BYTES = 1_000_000_000
"""Less free than this is said to be too little."""
PROBE_BYTES = 1 << 20


def look() -> Iterator[Finding]:
    """This folder, DVC's cache, the memo and the folder of temporary files: each is written to, and left as it was."""
    places = [Path.cwd(), Path(tempfile.gettempdir())]
    if is_root():
        places += [p for p in (layout.MEMO, dvc_cache()) if p.is_dir()]
    seen: set[tuple[int, bool]] = set()
    for place in places:
        finding = _written(place)
        # One line a disk, but one for every folder that cannot be written to.
        key = (place.stat().st_dev, not finding.remedy)
        if finding.remedy or key not in seen:
            yield finding
        seen.add(key)


def _written(place: Path) -> Finding:
    try:
        with tempfile.TemporaryFile(dir=place, buffering=0) as stream:
            for _ in range(4):
                stream.write(bytes(PROBE_BYTES // 4))
            os.fsync(stream.fileno())
    except OSError as error:
        error.filename, error.filename2 = str(place), None
        if (failure := disk_failure(error)) is None:
            raise
        return wrong(failure.problem, failure.remedy)
    free = shutil.disk_usage(place).free
    if free < LITTLE_BYTES:
        return wrong(
            f"{place}: {free / 1e9:.2f} GB free",
            f"free some: `voxledger memo prune`, `dvc gc --workspace --all-tags`, or delete `{layout.MEMO}`",
        )
    return ok(f"{place}: {free / 1e9:.0f} GB free")


CHECK = Check(look)
