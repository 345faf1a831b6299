"""Commands as a person types them."""

from __future__ import annotations

import subprocess
from pathlib import Path


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
