"""Commands as a person types them."""

from __future__ import annotations

import contextlib
import os
import subprocess
from pathlib import Path
from typing import Any

from voxledger.cli.demo import set_parameters


def run(*command: str, accept: tuple[int, ...] = (0,), cwd: Path | None = None) -> str:
    """Run a command that must end as accepted; returns all that it prints."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode in accept, f"{command} → {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def output(*command: str, cwd: Path | None = None) -> str:
    """Standard output of a command that must succeed."""
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)
    assert done.returncode == 0, f"{command} → {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout


def parameters(**values: Any) -> None:
    """Edit params.yaml for a schema of its own: no model to train, no rules unless they are given."""
    set_parameters({"retrain": {"models": {}}, "filter": {"rules": []}})
    set_parameters(values)


def fill(disk: Path, room: int = 0) -> None:
    """Leave that much room on a disk."""
    (disk / "filler").unlink(missing_ok=True)
    status = os.statvfs(disk)
    free = status.f_bavail * status.f_frsize
    with contextlib.suppress(OSError), open(disk / "filler", "wb", buffering=0) as stream:
        stream.write(b"\1" * (free - room))
