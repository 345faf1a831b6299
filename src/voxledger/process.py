"""Processes: which end with their parent, and who holds a lock that another waits for.

As a program (`python -m voxledger.process ARGUMENTS`) it is DVC, ending with whoever started it.
"""

from __future__ import annotations

import fcntl
import os
import runpy
import sys
import threading
import time
from pathlib import Path

_DVC = ("dvc", "voxledger", "voxledger.process")
_watched: threading.Thread | None = None
at_work = False
"""Whether this process is a stage that has not come to its end."""


_ELSEWHERE = (
    *("GIT_DIR", "GIT_WORK_TREE", "GIT_COMMON_DIR", "GIT_INDEX_FILE", "GIT_NAMESPACE", "GIT_PREFIX", "GIT_GRAFT_FILE"),
    *("GIT_OBJECT_DIRECTORY", "GIT_ALTERNATE_OBJECT_DIRECTORIES", "GIT_SHALLOW_FILE", "GIT_REPLACE_REF_BASE"),
)


def environment_here(**values: str) -> dict[str, str]:
    """The environment for git and DVC, without what leads them away from the repository of the current folder."""
    return {**{name: value for name, value in os.environ.items() if name not in _ELSEWHERE}, **values}


def end_with(parent: int) -> None:
    """End this process soon after its parent is gone, as after `kill -9`; one watcher a process, however often called.

    Only for what voxledger or DVC started: a command that a person typed goes on when their shell ends.
    """
    global _watched

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(0.5)
        os._exit(1)

    if _watched is None:
        _watched = threading.Thread(target=watch, daemon=True)
        _watched.start()


def end_with_dvc() -> None:
    """The same for a stage, if it is DVC that runs it."""
    if "DVC_STAGE" in os.environ:
        end_with(os.getppid())


def alive(pid: int) -> bool:
    """Whether a process of this id runs on this machine; its number may be another program's by now."""
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):
        pass
    return True


def lock(handle: int, what: str) -> None:
    """Take the lock of an open file or folder; after a second, say on standard error for whom this waits."""
    deadline = time.monotonic() + 1.0
    while True:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > deadline:
                break
            time.sleep(0.05)
    holders = [described(pid) for pid in holders_of(os.fstat(handle))] or ["another process"]
    print(f"{what}: waiting for {', '.join(holders)}", file=sys.stderr, flush=True)
    fcntl.flock(handle, fcntl.LOCK_EX)


def holders_of(status: os.stat_result) -> list[int]:
    """Ids of the processes that hold the lock of a file or folder; none where the system does not tell."""
    try:
        lines = Path("/proc/locks").read_text("utf-8").splitlines()
    except OSError:
        return []
    # 33: FLOCK  ADVISORY  WRITE 14172 fe:00:2159016 0 EOF; those that wait have an arrow behind the number
    found = [line.split() for line in lines if "->" not in line]
    return [int(f[4]) for f in found if f[1] == "FLOCK" and int(f[5].split(":")[2]) == status.st_ino and int(f[4]) > 0]


def described(pid: int) -> str:
    """A process by id, command and start."""
    import psutil

    try:
        process = psutil.Process(pid)
        started = time.localtime(process.create_time())
        command = " ".join(process.cmdline()) or process.name()
    except psutil.Error:
        return f"process {pid}"
    today = started[:3] == time.localtime()[:3]
    return f"process {pid} (`{command}`), since {time.strftime('%H:%M:%S' if today else '%Y-%m-%d %H:%M', started)}"


def is_dvc(pid: int) -> bool:
    """Whether a process looks like DVC, by its command."""
    import psutil

    try:
        return any(Path(part).name in _DVC for part in psutil.Process(pid).cmdline())
    except psutil.Error:
        return False


if __name__ == "__main__":
    end_with(os.getppid())
    runpy.run_module("dvc", run_name="__main__", alter_sys=True)
