"""Remotes: within reach, and what comes from them is hashed."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator

from voxledger.doctor.check import Check, Finding, note, ok, wrong
from voxledger.extras import install
from voxledger.process import environment_here
from voxledger.repository import dvc_remotes, dvc_settings, round_tags, without_tracebacks

SECONDS = 60
"""For which an answer is waited."""


def look() -> Iterator[Finding]:
    """Every remote of DVC: `verify true`, and one look at what lies there."""
    remotes = dvc_remotes()
    if not remotes:
        yield note("there is no remote: the data is on this disk alone", "`dvc remote add --default NAME URL`")
        return
    if "core.remote" not in dvc_settings():
        yield wrong(
            "no remote is the default: `dvc push` and `round close` do not know where to", "`dvc remote default NAME`"
        )
    for name, options in remotes.items():
        if options.get("verify") != "true":
            yield wrong(
                f"{name}: what comes from it is not hashed, so that what was altered there is taken",
                f"`dvc remote modify {name} verify true`",
            )
        yield _reached(name, _without_password(options.get("url", "")))


def _reached(name: str, url: str) -> Finding:
    command = [sys.executable, "-P", "-m", "dvc", "list-url", f"remote://{name}"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=SECONDS, env=environment_here()
        )
    except subprocess.TimeoutExpired:
        return wrong(f"{name}: {url} gave no answer within {SECONDS} s", "check the network, or the mounted disk")
    if done.returncode == 0:
        return ok(f"{name}: {url} is within reach")
    said = without_tracebacks(done.stderr).splitlines()
    reason = next((line.removeprefix("ERROR: ") for line in said if line.startswith("ERROR")), "no reason was given")
    for extra in ("ssh", "s3"):
        if f"dvc-{extra}" in done.stderr or f"dvc[{extra}]" in done.stderr:
            return wrong(f"{name}: {url} needs what is not installed", install(extra))
    if "does not exist" in reason and not round_tags():
        return note(f"{name}: nothing is at {url} yet", "the first `dvc push` brings it there")
    return wrong(
        f"{name}: {url} is out of reach: {_without_password(reason)}",
        "check address, network, mount and keys, see docs/remotes.md",
    )


def _without_password(text: str) -> str:
    return re.sub(r"(://[^/:@\s]*):[^/@\s]*@", r"\1@", text)


CHECK = Check(look, in_repository=True)
