"""What the death of a worker costs: seconds of the same cases undisturbed, and with one process killed half way.

python benchmarks/executors.py [--cases 200] [--seconds 0.1] [--workers 2]
"""

from __future__ import annotations

import argparse
import os
import signal
import tempfile
import time
from pathlib import Path

from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.params import MachineParams


class Sleep(Job[int]):
    stage, algorithms = "sleep", ()
    seconds: float = content()
    deadly: bool = content()

    def compute(self, folder: Path) -> int:
        time.sleep(self.seconds)
        if self.deadly and not Path("died").exists():
            Path("died").touch()
            os.kill(os.getpid(), signal.SIGKILL)
        (folder / f"{self.name}.txt").write_text(self.name)
        return len(self.name)


def measure(cases: int, seconds: float, machine: MachineParams, deadly: bool) -> tuple[float, list[int]]:
    """Seconds, and what came of it."""
    jobs = [Sleep(name=f"case-{n}", seconds=seconds, deadly=deadly and n == cases // 2) for n in range(cases)]
    with tempfile.TemporaryDirectory() as folder:
        os.chdir(folder)
        start = time.monotonic()
        found = casemap(jobs, Path("out"), machine)
        taken = time.monotonic() - start
        assert len(list(Path("out").iterdir())) == cases
        assert Path("died").exists() is deadly
        os.chdir("/")
    return taken, found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cases", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=0.1, help="that a case takes")
    parser.add_argument("--workers", type=int, default=2)
    given = parser.parse_args()
    machine = MachineParams(workers=given.workers)
    undisturbed, expected = measure(given.cases, given.seconds, machine, deadly=False)
    one_death, found = measure(given.cases, given.seconds, machine, deadly=True)
    assert found == expected
    print(f"{given.cases} cases of {given.seconds} s on {given.workers} workers: undisturbed {undisturbed:.1f} s")
    print(f"one worker killed half way: {one_death:.1f} s, {one_death / undisturbed:.2f} times as long")


if __name__ == "__main__":
    main()
