"""The clock: signatures, receipts and the time of files go by it."""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

from voxledger.doctor.check import Check, Finding, ok, wrong
from voxledger.repository import git

TOLERANCE_SECONDS = 60.0
REMEDY = "set it (`timedatectl set-ntp true`), before anything is signed or committed"


def look() -> Iterator[Finding]:
    """Compared with the newest commit and tag here, and with the clock of the disk, which may be that of a server."""
    now = time.time()
    commits = git("for-each-ref", "--format=%(creatordate:unix)", check=False) if Path(".git").exists() else ""
    newest = max(map(int, commits.split()), default=0)
    with tempfile.TemporaryFile(dir=Path.cwd()) as stream:
        disk = os.fstat(stream.fileno()).st_mtime
    if newest > now + TOLERANCE_SECONDS:
        yield wrong(f"it says {_said(now)}, and the newest commit or tag here is of {_said(newest)}", REMEDY)
    elif abs(disk - now) > TOLERANCE_SECONDS:
        yield wrong(f"it says {_said(now)}, and a file written now is of {_said(disk)}", f"{REMEDY}, there too")
    else:
        yield ok(_said(now))


def _said(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%d %H:%M} UTC"


CHECK = Check(look)
