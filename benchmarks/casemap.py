"""What the memory of cases costs: cold, nothing changed, one changed; against a plain copy of the same files.

    python benchmarks/casemap.py [--folder DIR] [--repeats 3] [--workers 0]

1,000 cases with a file of 1 MiB each and 100 with one of 16 MiB. A case reads its file and writes another of the same
size, with as little work between as there can be, which leaves the memory the least to hide behind: a real case takes
seconds. Every run is a process of its own, and finds the outputs of the last one, as infer, filter and score do; before
other stages DVC empties them. Importing and reading parameters is not counted. Files are in the page cache, and all
that was written is on the disk before a run is timed.
Seconds of CPU tell more on a machine that is busy with other work; the seconds that pass tell all on one that is not.
"""

from __future__ import annotations

import json
import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import click
import numpy as np

from voxledger.casemap.hashes import JUST_NOW_NS
from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.layout import DATA, IMAGES, MEMO, PREDICTIONS
from voxledger.params import MachineParams
from voxledger.registry import EXECUTORS

SIZES = ((1000, 1 << 20), (100, 16 << 20))
NOTHING, ONE = 0.1, 0.015
"""Bounds: what a run costs where nothing changed, of the copy; what one changed case costs, of all."""


class Invert(Job[int]):
    """The bytes of a file, inverted."""

    stage, algorithms = "benchmark", ()
    file: Path = content()

    def compute(self, folder: Path) -> int:
        values = ~np.fromfile(self.file, np.uint8)
        values.tofile(folder / self.file.name)
        return int(values[0])


@dataclass(frozen=True)
class Cost:
    """Of one run: seconds that passed, and seconds of CPU, of all its processes."""

    wall: float
    cpu: float


def timed(work: Callable[[], object]) -> Cost:
    """What a function costs."""
    started, before = time.perf_counter(), cpu()
    work()
    return Cost(time.perf_counter() - started, cpu() - before)


def cpu() -> float:
    """Seconds of CPU of this process and of those that it has waited for."""
    children = resource.getrusage(resource.RUSAGE_CHILDREN)
    return time.process_time() + children.ru_utime + children.ru_stime


def work(workers: int) -> Cost:
    """One run, timed; its CPU are the seconds before it, since its processes go on until this one ends."""
    jobs = [Invert(name=path.name, file=path) for path in sorted(IMAGES.iterdir())]
    machine = MachineParams(workers=workers, executor="local")
    EXECUTORS.get(machine.executor)
    before = cpu()
    return Cost(timed(lambda: casemap(jobs, PREDICTIONS, machine)).wall, before)


def run(workers: int, emptied: bool = False) -> Cost:
    """What a run costs, in a process of its own."""
    if emptied:
        shutil.rmtree(PREDICTIONS, ignore_errors=True)
    os.sync()
    command = [sys.executable, __file__, "--child", "--workers", str(workers)]
    ended: list[Cost] = []

    def child() -> None:
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL)
        ended.append(Cost(**json.loads(done.stdout)))

    whole = timed(child)
    (told,) = ended
    return Cost(told.wall, whole.cpu - told.cpu)


def copy() -> Cost:
    """What a plain copy of what the cases wrote costs."""
    target = Path("copy")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    os.sync()
    files = sorted(PREDICTIONS.iterdir())
    cost = timed(lambda: [shutil.copyfile(path, target / path.name) for path in files])
    shutil.rmtree(target)
    return cost


def on_disk() -> float:
    """MiB of outputs and memo together, every file once however many links it has."""
    files = {p.stat().st_ino: p.stat().st_blocks for top in (MEMO, PREDICTIONS) for p in top.rglob("*") if p.is_file()}
    return sum(files.values()) * 512 / (1 << 20)


def measure(count: int, size: int, repeats: int, workers: int) -> list[str]:
    """What is printed of one number and size of files."""
    for top in (MEMO, DATA):
        shutil.rmtree(top, ignore_errors=True)
    IMAGES.mkdir(parents=True)
    for n in range(count):
        (IMAGES / f"{n:04}.raw").write_bytes(os.urandom(size))
    time.sleep(JUST_NOW_NS / 1e9)
    cold, copies, nothing, linked, one = [run(workers)], [], [], [], []
    for n in range(repeats):
        copies.append(copy())
        before = on_disk()
        nothing.append(run(workers))
        linked.append(run(workers, emptied=True))
        extra = on_disk() - before
        (IMAGES / f"{n:04}.raw").write_bytes(os.urandom(size))
        time.sleep(JUST_NOW_NS / 1e9)  # what was written just now would be read once more in the next run
        one.append(run(workers))
    shutil.rmtree(MEMO)
    cold.append(run(workers, emptied=True))
    made, copied, changed = map(median, (cold, copies, one))
    lines = [f"{count} cases of {size >> 20} MiB: cold {shown(made)}; plain copy {shown(copied)}"]
    for what, costs in (("nothing changed", nothing), ("and outputs emptied", linked)):
        cost = median(costs)
        lines.append(f"  {what} {shown(cost)}: {of(cost, copied)} of the copy (bound {NOTHING:.0%})")
    return [
        *lines,
        f"  on the disk {extra:+.2f} MiB",
        f"  one changed {shown(changed)}: {of(changed, made)} of all (bound {ONE:.1%} for 1,000)",
    ]


def of(cost: Cost, whole: Cost) -> str:
    """Shares of another cost."""
    return f"{cost.wall / whole.wall:.1%}, by CPU {cost.cpu / whole.cpu:.1%},"


def median(costs: Sequence[Cost]) -> Cost:
    """The median of each."""
    return Cost(statistics.median(c.wall for c in costs), statistics.median(c.cpu for c in costs))


def shown(cost: Cost) -> str:
    """As it is printed."""
    return f"{cost.wall:.3f} s (CPU {cost.cpu:.3f})"


@click.command()
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Where to work; 8 GB are needed.")
@click.option("--repeats", default=3, show_default=True)
@click.option("--workers", default=0, show_default=True, help="0: one a core.")
@click.option("--child", is_flag=True, hidden=True)
def main(folder: Path | None, repeats: int, workers: int, child: bool) -> None:
    """Print seconds and ratios, the medians of the repeats."""
    if child:
        print(json.dumps(asdict(work(workers))))
        return
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=folder) as here:
        os.chdir(here)
        for count, size in SIZES:
            print("\n".join(measure(count, size, repeats, workers)), flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main()
