"""DVC: its settings can be read, its keys by nobody else, and no other command of it is at work."""

from __future__ import annotations

from collections.abc import Iterator
from importlib.metadata import version

from voxledger.doctor.check import Check, Finding, ok, wrong
from voxledger.repository import CONFIG_LOCAL, dvc_remotes, require_nobody_runs


def look() -> Iterator[Finding]:
    """Settings, rights of `.dvc/config.local`, locks."""
    dvc_remotes()
    require_nobody_runs()
    if CONFIG_LOCAL.exists() and CONFIG_LOCAL.stat().st_mode & 0o077:
        yield wrong(f"{CONFIG_LOCAL}, where keys of remotes lie, can be read by others", f"`chmod 600 {CONFIG_LOCAL}`")
    else:
        yield ok(f"DVC {version('dvc')}")


CHECK = Check(look, in_repository=True)
