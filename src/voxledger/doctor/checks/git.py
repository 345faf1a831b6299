"""Git: new enough to sign with ssh keys, and knowing who commits."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from voxledger import layout
from voxledger.doctor.check import Check, Finding, note, ok, wrong
from voxledger.repository import git, run_tool

SIGNS_WITH_SSH = (2, 34)


def look() -> Iterator[Finding]:
    """Version, identity, and whether it reads the repository here, if there is one."""
    said = git("--version").strip()
    number = re.search(r"(\d+)\.(\d+)", said)
    if number and (int(number[1]), int(number[2])) < SIGNS_WITH_SSH:
        yield wrong(f"{said} does not sign with ssh keys", "install git 2.34 or newer")
    else:
        yield ok(said)
    if not git("var", "GIT_COMMITTER_IDENT", check=False):
        remedy = 'to close rounds here: `git config --global user.name "…"` and `… user.email …`'
        yield note("git does not know who you are", remedy)
    if not Path(".git").exists():
        return
    read = run_tool("git", "ls-files", layout.PIPELINE)  # runs nothing that `.git/config` names
    if read.returncode != 0:
        reason = read.stderr.decode("utf-8", "replace").strip()
        remedy = f"`git config --global --add safe.directory '{Path.cwd()}'`" if "safe.directory" in reason else reason
        yield wrong(f"git does not read this repository: {reason.splitlines()[0] if reason else ''}", remedy)
    lock = Path(".git/index.lock")
    if lock.exists():
        yield wrong(f"{lock} is there, as while git works, or after it was killed", f"`rm {lock}` if no git runs here")


CHECK = Check(look)
