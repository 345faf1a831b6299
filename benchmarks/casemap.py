"""What the memory of cases costs: cold, nothing changed, one changed; against a plain copy of the same files.

    python benchmarks/casemap.py [--folder DIR] [--repeats 3] [--workers 0]

1,000 cases with a file of 1 MiB each and 100 with one of 16 MiB. A case reads its file and writes another of the same
size, with as little work between as there can be, which leaves the memory the least to hide behind: a real case takes
seconds. Every run is a process of its own and finds an empty output folder, as DVC leaves it; importing and reading
parameters is not counted. Files are in the page cache, and all that was written is on the disk before a run is timed.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import click

from voxledger.casemap.hashes import JUST_NOW_NS
from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.layout import DATA, IMAGES, MEMO, PREDICTIONS
from voxledger.params import MachineParams

SIZES = ((1000, 1 << 20), (100, 16 << 20))
NOTHING, ONE = 0.1, 0.015
"""Bounds: what a run costs where nothing changed, of the copy; what one changed case costs, of all."""


class Invert(Job[int]):
    """The bytes of a file, inverted."""

    stage, algorithms = "benchmark", ()
    file: Path = content()

    def compute(self, folder: Path) -> int:
        import numpy as np

        values = ~np.fromfile(self.file, np.uint8)
        values.tofile(folder / self.file.name)
        return int(values[0])


def work(workers: int) -> None:
    """One run, timed."""
    jobs = [Invert(name=path.name, file=path) for path in sorted(IMAGES.iterdir())]
    machine = MachineParams(workers=workers, executor="local")
    started = time.perf_counter()
    casemap(jobs, PREDICTIONS, machine)
    print(json.dumps(time.perf_counter() - started))


def run(workers: int) -> float:
    """Seconds of a run in a process of its own."""
    shutil.rmtree(PREDICTIONS, ignore_errors=True)
    os.sync()
    command = [sys.executable, __file__, "--child", "--workers", str(workers)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL).stdout)


def copy() -> float:
    """Seconds of a plain copy of what the cases wrote."""
    target = Path("copy")
    shutil.rmtree(target, ignore_errors=True)
    target.mkdir()
    os.sync()
    started = time.perf_counter()
    for path in sorted(PREDICTIONS.iterdir()):
        shutil.copyfile(path, target / path.name)
    seconds = time.perf_counter() - started
    shutil.rmtree(target)
    return seconds


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
    cold, copies, nothing, one = [run(workers)], [], [], []
    for n in range(repeats):
        copies.append(copy())
        before = on_disk()
        nothing.append(run(workers))
        extra = on_disk() - before
        (IMAGES / f"{n:04}.raw").write_bytes(os.urandom(size))
        one.append(run(workers))
    shutil.rmtree(MEMO)
    cold.append(run(workers))
    made, copied, unchanged, changed = (statistics.median(seconds) for seconds in (cold, copies, nothing, one))
    ratio = statistics.median(n / c for n, c in zip(nothing, copies, strict=True))
    return [
        f"{count} cases of {size >> 20} MiB: cold {made:.2f} s, plain copy {copied:.2f} s",
        f"  nothing changed {unchanged:.3f} s: {ratio:.3f} of the copy (bound {NOTHING}), {extra:+.2f} MiB on the disk",
        f"  one changed     {changed:.3f} s: {changed / made:.2%} of all (bound {ONE:.1%} for 1,000)",
    ]


@click.command()
@click.option("--folder", type=click.Path(file_okay=False, path_type=Path), help="Where to work; 8 GB are needed.")
@click.option("--repeats", default=3, show_default=True)
@click.option("--workers", default=0, show_default=True, help="0: one a core.")
@click.option("--child", is_flag=True, hidden=True)
def main(folder: Path | None, repeats: int, workers: int, child: bool) -> None:
    """Print seconds and ratios, the medians of the repeats."""
    if child:
        work(workers)
        return
    with tempfile.TemporaryDirectory(dir=folder) as here:
        os.chdir(here)
        for count, size in SIZES:
            print("\n".join(measure(count, size, repeats, workers)), flush=True)
        os.chdir("/")


if __name__ == "__main__":
    main()
