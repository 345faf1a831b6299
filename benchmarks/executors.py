"""What the death of a worker costs: seconds of the same cases undisturbed, and with one process killed half way.

    python benchmarks/executors.py [--executors local dask slurm] [--cases 200] [--seconds 0.2] [--workers 2]

On processes of this machine it is the process of a case that is killed; on a dask cluster of this machine, and in jobs
of a Slurm of one node (which only root can start, see `tests/slurm.py`), once that, and once the worker of dask that
started it; there, also the job is cancelled. Workers have started before anything is timed.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.layout import MEMO
from voxledger.params import MachineParams

NOBODY, PROCESS = "undisturbed", "the process of a case killed"
WORKER, JOB = "the worker of dask killed", "a job cancelled"
KILLED = {"local": (PROCESS,), "dask": (PROCESS, WORKER), "slurm": (PROCESS, WORKER, JOB)}
OUT, DIED = Path("out"), Path("died")


class Sleep(Job[int]):
    """Waits; the first time it is computed, it may kill a process."""

    stage, algorithms = "sleep", ()
    seconds: float = content()
    kills: str = content()

    def compute(self, folder: Path) -> int:
        time.sleep(self.seconds)
        if self.kills != NOBODY and not DIED.exists():
            DIED.touch()
            if self.kills == JOB:
                subprocess.run(["scancel", os.environ["SLURM_JOB_ID"]], check=True)
            else:
                os.kill(os.getpid() if self.kills == PROCESS else os.getppid(), signal.SIGKILL)
            time.sleep(60)
        (folder / f"{self.name}.txt").write_text(self.name)
        return len(self.name)


def measure(cases: int, seconds: float, machine: MachineParams, kills: str) -> tuple[float, list[int]]:
    """Seconds, and what came of it."""
    jobs = [Sleep(name=f"case-{n}", seconds=seconds, kills=kills if n == cases // 2 else NOBODY) for n in range(cases)]
    for folder in (MEMO / Sleep.stage, OUT):
        shutil.rmtree(folder, ignore_errors=True)
    DIED.unlink(missing_ok=True)
    start = time.monotonic()
    found = casemap(jobs, OUT, machine)
    taken = time.monotonic() - start
    assert len(list(OUT.iterdir())) == cases
    assert DIED.exists() is (kills != NOBODY)
    return taken, found


@contextlib.contextmanager
def machine_of(executor: str, workers: int) -> Iterator[MachineParams]:
    """Parameters with which cases go to a running executor, from an empty folder."""
    with contextlib.ExitStack() as stack:
        scheduler = ""
        if executor == "dask":
            import distributed

            local = ("127.0.0.1", "127.0.0.1:0")
            cluster = stack.enter_context(
                distributed.LocalCluster(
                    n_workers=workers, threads_per_worker=1, host=local[0], dashboard_address=local[1]
                )
            )
            scheduler = cluster.scheduler_address
        elif executor == "slurm":
            sys.path.insert(0, str(Path(__file__).parents[1] / "tests"))
            from slurm import slurm

            stack.enter_context(slurm())
        stack.enter_context(contextlib.chdir(tempfile.mkdtemp()))  # workers of jobs end with this process alone
        yield MachineParams(executor=executor, workers=workers, scheduler=scheduler)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--executors", nargs="+", default=["local", "dask", "slurm"])
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.2, help="that a case takes")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    print(f"{given.cases} cases of {given.seconds} s on {given.workers} workers")
    for executor in given.executors:
        with machine_of(executor, given.workers) as machine:
            measure(2 * given.workers, given.seconds, machine, NOBODY)
            undisturbed, expected = measure(given.cases, given.seconds, machine, NOBODY)
            print(f"{executor:6} {NOBODY:28} {undisturbed:6.1f} s", flush=True)
            for kills in KILLED[executor]:
                taken, found = measure(given.cases, given.seconds, machine, kills)
                assert found == expected
                print(f"{executor:6} {kills:28} {taken:6.1f} s, {taken / undisturbed:.2f} times as long", flush=True)


if __name__ == "__main__":
    here = str(Path(__file__).parent)
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [here, os.environ.get("PYTHONPATH")]))
    from executors import main as of_a_module  # workers elsewhere import what they compute by name

    of_a_module()
