"""Work that kills the process it runs in, or tells where that is; processes of other machines import it, too."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from pathlib import Path

from voxledger.casemap.job import Job, content


def dying(item: tuple[int, int]) -> int:
    """Squares a number; the process dies so many times before."""
    number, times = item
    if _once_more(number, times):
        os.kill(os.getpid(), signal.SIGKILL)
    return number**2


def losing_the_worker(item: tuple[int, int]) -> int:
    """The same, but it is the parent that dies: the worker of dask that started the process."""
    number, times = item
    if _once_more(number, times):
        os.kill(os.getppid(), signal.SIGKILL)
        time.sleep(60)
    return number**2


def losing_the_job(item: tuple[int, int]) -> int:
    """The same, but it is the job of Slurm that is cancelled, as when its node is lost."""
    number, times = item
    if _once_more(number, times):
        subprocess.run(["scancel", "--signal=KILL", "--full", os.environ["SLURM_JOB_ID"]], check=False)
        subprocess.run(["scancel", os.environ["SLURM_JOB_ID"]], check=False)
        time.sleep(60)
    return number**2


def _once_more(number: int, times: int) -> bool:
    with open("calls.txt", "a") as stream:
        stream.write(f"{number}\n")
    time.sleep(0.02)
    died = len(list(Path().glob(f"died-{number}-*")))
    if died < times:
        Path(f"died-{number}-{died}").touch()
    return died < times


def gpu(number: int) -> tuple[int, str | None]:
    """The process, and the GPU that it may use; slow enough that every process gets work."""
    time.sleep(0.3)
    return os.getpid(), os.environ.get("CUDA_VISIBLE_DEVICES")


def told(names: tuple[str, ...]) -> tuple[str, dict[str, str | None]]:
    """The folder that it works in, and some variables."""
    return str(Path.cwd()), {name: os.environ.get(name) for name in names}


class Slow(Job[int]):
    """A job that writes its number after a while; negative ones fail."""

    stage, algorithms = "slow", ()
    number: int = content()
    seconds: float = content()

    def compute(self, folder: Path) -> int:
        time.sleep(self.seconds)
        if self.number < 0:
            raise ValueError(f"{self.number} is negative")
        (folder / f"{self.number}.txt").write_text(str(self.number**2))
        return self.number**2
