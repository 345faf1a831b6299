"""Commands that are killed on the way, as by `kill -9`, a full memory or a power cut."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

CHANGE = r"open |os\.(rename|remove|rmdir|mkdir|link|symlink|chmod) |shutil\.copyfile |subprocess\.Popen "
"""What a command does to files itself, and the programs that it starts."""

_WATCHED = """\
import os, re, signal, sys
from voxledger.cli.main import cli

wanted, last, report = re.compile(sys.argv[1]), int(sys.argv[2]), sys.argv[3]
seen = 0

def watch(event, arguments):
    global seen
    said = f"{event} {arguments}"
    if event == "open" and not (isinstance(arguments[2], int) and arguments[2] & (os.O_WRONLY | os.O_RDWR)):
        return
    if arguments and arguments[0] in (report, os.devnull) or not wanted.match(said):
        return
    seen += 1
    if seen == last:
        os.killpg(0, signal.SIGKILL)

sys.addaudithook(watch)
try:
    cli(sys.argv[4:])
finally:
    open(report, "w").write(str(seen))
"""


def kill_before(number: int, *arguments: str, event: str = CHANGE) -> None:
    """Run a voxledger command that is killed before its `number`-th event (Python's audit events, a pattern)."""
    code, seen = _watched(number, event, arguments)
    assert code == -signal.SIGKILL, f"voxledger {' '.join(arguments)} ended with {code} after {seen} of {number}"


def count_events(*arguments: str, event: str = CHANGE, code: int = 0) -> int:
    """Run a voxledger command to its end, which must have this exit code; returns how many events it has."""
    ended, seen = _watched(0, event, arguments)
    assert ended == code, f"voxledger {' '.join(arguments)} ended with {ended}"
    return seen


def _watched(last: int, event: str, arguments: tuple[str, ...]) -> tuple[int, int]:
    report = Path(f"../events-{os.getpid()}").absolute()
    report.unlink(missing_ok=True)
    command = [sys.executable, "-B", "-c", _WATCHED, event, str(last), str(report), *arguments]
    done = subprocess.run(command, capture_output=True, check=False, start_new_session=True)
    seen = int(report.read_text()) if report.is_file() else 0
    report.unlink(missing_ok=True)
    return done.returncode, seen


def kill_after(seconds: float, *command: str, group: bool = True) -> bool:
    """Kill a command, by default with all the programs that it started; returns whether it still ran."""
    with open(os.devnull, "r+b") as nothing:
        process = subprocess.Popen(command, stdin=nothing, stdout=nothing, stderr=nothing, start_new_session=True)
    try:
        process.wait(seconds)
    except subprocess.TimeoutExpired:
        (os.killpg if group else os.kill)(process.pid, signal.SIGKILL)
    return process.wait() == -signal.SIGKILL
