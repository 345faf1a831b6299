"""How a round grows with the number of cases: seconds, memory and open files of every command, from 20 cases to 10,000.

    python benchmarks/scale.py                          20, 100, 1,000 and 10,000 cases; hours, most of it the last
    python benchmarks/scale.py --sizes 20 100 1000      fewer
    python benchmarks/scale.py --page                   writes the tables of docs/scale.md and the plot beside it

For every size it makes a repository of cases of 24×24×12 voxels with three classes (a tenth of them labelled), two
models that exist only as their predictions, five cases a round for two emulated readers, and a remote in a folder, and
then types what a curator types. The smallest size is the fixed start-up: its share there is what it takes of a larger.

What is measured lies in WORK/scale.json and is not measured again, so an interrupted benchmark goes on; a size that was
interrupted in the middle begins anew. Memory is the sum of the resident sets of all processes of a command, sampled ten
times a second: what they share is counted in each. Open files are those of all its processes.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import resource
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np

ROOT = Path(__file__).parents[1]
PAGE, PLOT = ROOT / "docs/scale.md", ROOT / "docs/scale.svg"
SHAPE = (12, 24, 24)
MODELS = ("first", "second")
REVIEWED = 4
PARAMETERS = {
    "score": {"budget": REVIEWED, "audit": 1, "opening": 0},
    "export": {"reviewers": ["alice", "bob"]},
    "filter": {
        "rules": [
            {"rule": "largest_component", "classes": ["organ"]},
            {"rule": "inside_organ", "classes": ["lesion"]},
            {"rule": "volume_ratio", "classes": ["lesion"], "percent": {"lesion": 100}},
        ]
    },
    "retrain": {"models": {}},
}
SCHEMA = """name: scale
classes:
  - {id: 1, name: organ}
  - {id: 2, name: lesion, inside: organ, lesion: true}
  - {id: 3, name: spleen}
"""
WAITS, DONE = 3, 0


@dataclass(frozen=True)
class Measured:
    """One command."""

    seconds: float
    cpu_seconds: float
    """Of all its processes; the measure that other work on the machine disturbs least."""
    peak_mb: float
    """Resident sets of all its processes, summed, MiB."""
    open_files: int


class Sampler(threading.Thread):
    """Looks at a process and all below it, ten times a second."""

    def __init__(self, pid: int) -> None:
        super().__init__(daemon=True)
        self.pid, self.peak_mb, self.open_files, self.ended = pid, 0.0, 0, threading.Event()

    def run(self) -> None:
        import psutil

        root = psutil.Process(self.pid)
        while not self.ended.wait(0.1):
            memory, files = 0, 0
            try:
                for process in (root, *root.children(recursive=True)):
                    try:
                        memory += process.memory_info().rss
                        files += process.num_fds()
                    except psutil.Error:  # it ended just now
                        continue
            except psutil.Error:
                return
            self.peak_mb, self.open_files = max(self.peak_mb, memory / 2**20), max(self.open_files, files)


def measured(command: Sequence[str | Path], accept: int, log: Path) -> Measured:
    """Run a command that must end with the exit code `accept`; what it prints goes to a file."""
    with open(log, "ab") as stream:
        stream.write(f"\n$ {' '.join(map(str, command))}\n".encode())
        stream.flush()
        before, started = resource.getrusage(resource.RUSAGE_CHILDREN), time.perf_counter()
        process = subprocess.Popen(command, stdout=stream, stderr=subprocess.STDOUT)
        sampler = Sampler(process.pid)
        sampler.start()
        code = process.wait()
        seconds, after = time.perf_counter() - started, resource.getrusage(resource.RUSAGE_CHILDREN)
        sampler.ended.set()
        sampler.join()
    if code != accept:
        sys.exit(f"{' '.join(map(str, command))} ended with {code}, see {log}")
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Measured(seconds, cpu, sampler.peak_mb, sampler.open_files)


def voxledger(*arguments: str | Path) -> list[str | Path]:
    return [sys.executable, "-P", "-m", "voxledger", *arguments]


def draw(number: int) -> tuple[np.ndarray, np.ndarray]:
    """Image in HU-like values and reference label map (z, y, x) of a case; no two are alike."""
    rng = np.random.default_rng(number)
    at = rng.uniform(-2, 2, size=3)
    z, y, x = np.ogrid[: SHAPE[0], : SHAPE[1], : SHAPE[2]]

    def ball(centre: tuple[float, float, float], radii: tuple[float, float, float]) -> np.ndarray:
        return sum(((a - c - d) / r) ** 2 for a, c, d, r in zip((z, y, x), centre, at, radii, strict=True)) < 1

    labels = np.zeros(SHAPE, np.uint8)
    labels[ball((6, 9, 9), (4, 6, 6))] = 1
    labels[ball((6, 9, 9), (2, 2, 2))] = 2
    labels[ball((6, 16, 18), (3, 5, 4))] = 3
    labels[0] = 0
    image = np.choose(labels, [-300, 60, 20, 120]) + rng.normal(0, 8, SHAPE)
    return image.astype(np.int16), labels


def name_of(number: int) -> str:
    return f"case_{number:05d}"


def make_inputs(folder: Path, numbers: Sequence[int], labelled: int) -> None:
    """Write `images`, `labels` of the first cases, `reference` of all, and a folder of predictions a model."""
    from voxledger.imaging.volume import Grid, write

    grid = Grid.plain(SHAPE, (2.5, 1.0, 1.0))
    for number in numbers:
        name, (image, labels) = f"{name_of(number)}.nii.gz", draw(number)
        write(folder / "images" / name, image, grid)
        write(folder / "reference" / name, labels, grid)
        if number < labelled:
            write(folder / "labels" / name, labels, grid)
        for shift, model in enumerate(MODELS):
            write(folder / model / name, np.roll(labels, 1 + shift, axis=2), grid)


class Repository:
    """One curation repository, and what is typed in it."""

    def __init__(self, work: Path, size: int) -> None:
        self.work, self.size = work, size
        self.root, self.inputs, self.more = work / "repository", work / "inputs", work / "more"
        self.log = work / "log.txt"

    def typed(self, *arguments: str | Path, accept: int = DONE) -> Measured:
        return measured(voxledger(*arguments), accept, self.log)

    def make(self) -> None:
        """Inputs of all cases and of one more; the repository, empty, with its remote."""
        labelled = max(self.size // 10, 4)
        make_inputs(self.inputs, range(self.size), labelled)
        make_inputs(self.more, [self.size], 0)
        self.typed("init", self.root)
        os.chdir(self.root)
        for name, value in (("user.name", "benchmark"), ("user.email", "benchmark@example.org")):
            subprocess.run(["git", "config", name, value], check=True)
        storage = str(self.work / "storage")
        subprocess.run([*dvc(), "remote", "add", "--quiet", "--default", "storage", storage], check=True)
        subprocess.run([*dvc(), "remote", "modify", "--quiet", "storage", "verify", "true"], check=True)
        Path("labels.yaml").write_text(SCHEMA, "utf-8")
        from voxledger.cli.demo import set_parameters

        set_parameters(PARAMETERS)

    def add_models(self) -> Measured:
        return max((self.add_model(model) for model in MODELS), key=lambda one: one.seconds)

    def add_model(self, model: str) -> Measured:
        known = ("--id", f"{model}-1.0", "--licence", "CC0-1.0")
        return self.typed("models", "add", model, "--predictions", self.inputs / model, *known)

    def change_one_case(self) -> None:
        """Another image of an unlabelled case, as after a correction of its intensities."""
        from voxledger.imaging.volume import file_sha256, read, write

        path = Path("data/images") / f"{name_of(self.size - 1)}.nii.gz"
        volume, before = read(path), file_sha256(path)
        path.unlink()
        write(path, volume.array + np.int16(1), volume.grid)
        table = Path("data/cases.csv")
        table.write_text(table.read_text("utf-8").replace(before, file_sha256(path)), "utf-8")
        subprocess.run([*dvc(), "add", "--quiet", "data/images"], check=True)

    def add_one_more(self) -> Measured:
        """One more case, and what the models say of it."""
        took = self.typed("cases", "add", self.more / "images")
        for model in MODELS:
            shutil.copytree(self.more / model, self.inputs / model, dirs_exist_ok=True)
            shutil.rmtree(Path("models/base") / model)
            self.add_model(model)
        shutil.copytree(self.more / "reference", self.inputs / "reference", dirs_exist_ok=True)
        return took

    def review(self) -> Measured:
        return self.typed("review", "emulate", "--reference", self.inputs / "reference")

    def clone(self) -> Measured:
        target = self.work / "clone"
        subprocess.run(["git", "clone", "--quiet", self.root, target], check=True)
        os.chdir(target)
        try:
            return measured([*dvc(), "pull"], DONE, self.log)
        finally:
            shutil.rmtree(target)
            os.chdir(self.root)

    def steps(self) -> Iterator[tuple[str, Callable[[], Measured | None]]]:
        """Everything in order: what is measured under its name, and under none what only has to happen."""
        run = ("round", "run")
        yield "", self.make
        yield (
            "cases add, all",
            lambda: self.typed("cases", "add", self.inputs / "images", "--labels", self.inputs / "labels"),
        )
        yield "models add, one", self.add_models
        yield "round run, the first", lambda: self.typed(*run, accept=WAITS)
        yield "round run, nothing changed, people review", lambda: self.typed(*run, accept=WAITS)
        yield "round recall", lambda: self.typed("round", "recall")
        yield "", self.change_one_case
        yield "round run, one case changed", lambda: self.typed(*run, accept=WAITS)
        yield "", lambda: self.typed("round", "recall")
        yield "cases add, one more", self.add_one_more
        yield "round run, one more case", lambda: self.typed(*run, accept=WAITS)
        yield "", self.review
        yield "round run, after the review", lambda: self.typed(*run)
        yield "round run, nothing changed, finished", lambda: self.typed(*run)
        yield "round close, with push", lambda: self.typed("round", "close")
        yield "verify", lambda: self.typed("verify", "round-00")
        yield "round open", lambda: self.typed("round", "open")
        yield "round run, the next round", lambda: self.typed(*run, accept=WAITS)
        yield "", self.review
        yield "", lambda: self.typed(*run)
        yield "", lambda: self.typed("round", "close")
        yield "diff of two versions", lambda: self.typed("diff", "round-00", "round-01")
        yield "clone, dvc pull", self.clone


def dvc() -> list[str]:
    return [sys.executable, "-P", "-m", "dvc"]


def measure(work: Path, size: int, last: str = "") -> dict[str, Measured]:
    """Every step of a size that is not measured yet, up to one; all anew where an earlier run was interrupted."""
    notes = work / "steps.json"
    before = json.loads(notes.read_text("utf-8")) if notes.exists() else {"began": -1, "done": -1, "found": {}}
    if before["began"] != before["done"] or not notes.exists():
        shutil.rmtree(work, ignore_errors=True)
        work.mkdir(parents=True)
        before = {"began": -1, "done": -1, "found": {}}
    repository, found = Repository(work, size), before["found"]
    if repository.root.exists():
        os.chdir(repository.root)
    for number, (name, step) in enumerate(repository.steps()):
        if last and name == last:
            break
        if number <= before["done"]:
            continue
        notes.write_text(json.dumps({"began": number, "done": number - 1, "found": found}), "utf-8")
        took = step()
        if name and took is not None:
            found[name] = asdict(took)
            print(
                f"{size:6} cases  {name:44} {took.seconds:9.2f} s {took.cpu_seconds:9.2f} s of CPU "
                f"{took.peak_mb:7.0f} MiB {took.open_files:5} files",
                flush=True,
            )
        notes.write_text(json.dumps({"began": number, "done": number, "found": found}), "utf-8")
    os.chdir(ROOT)
    return {name: Measured(**values) for name, values in found.items()}


Found = dict[int, dict[str, Measured]]


def growth(found: Found, name: str) -> str:
    """Exponent of the CPU time between the two largest sizes, start-up included; 1 is linear."""
    before, largest = sorted(found)[-2:]
    return f"{math.log(found[largest][name].cpu_seconds / found[before][name].cpu_seconds, largest / before):.2f}"


def tables(found: Found) -> str:
    """Seconds with growth and share of start-up, then memory and open files, as Markdown; of two sizes at least."""
    sizes = sorted(found)
    names = list(found[sizes[0]])
    cases = " | ".join(f"{size:,}" for size in sizes)
    lines = [
        f"| seconds, of CPU in brackets | {cases} cases | ms of CPU, each more case | growth | start-up |",
        f"| --- |{' ---: |' * (len(sizes) + 3)}",
    ]
    for name in names:
        took = [found[size][name] for size in sizes]
        each = ", ".join(
            f"{1000 * (more.cpu_seconds - less.cpu_seconds) / (larger - smaller):.1f}"
            for (smaller, less), (larger, more) in pairwise(zip(sizes, took, strict=True))
        )
        shares = ", ".join(f"{min(took[0].cpu_seconds / one.cpu_seconds, 1):.0%}" for one in took[1:])
        cells = [*(f"{one.seconds:.1f} ({one.cpu_seconds:.1f})" for one in took), each, growth(found, name)]
        lines.append(f"| {name} | {' | '.join(cells)} | {shares} |")
    lines += ["", f"| MiB, open files | {cases} cases |", f"| --- |{' ---: |' * len(sizes)}"]
    for name in names:
        cells = [f"{found[size][name].peak_mb:.0f}, {found[size][name].open_files}" for size in sizes]
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def plot(found: Found, path: Path) -> None:
    """Seconds against cases, on logarithmic axes, with a line that is linear."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    sizes = sorted(found)
    figure, (left, right) = plt.subplots(1, 2, figsize=(11, 5.5), sharex=True)
    for number, name in enumerate(found[sizes[0]]):
        style = {"color": f"C{number % 10}", "linestyle": "-" if number < 10 else "--", "marker": ".", "label": name}
        left.plot(sizes, [found[size][name].cpu_seconds for size in sizes], **style)
        right.plot(sizes, [found[size][name].peak_mb for size in sizes], **style)
    left.plot(
        sizes[-2:],
        [found[sizes[-2]]["round run, the first"].cpu_seconds * s / sizes[-2] for s in sizes[-2:]],
        "k:",
        label="linear",
    )
    for axes, label in ((left, "seconds of CPU"), (right, "MiB of all processes")):
        axes.set(xscale="log", yscale="log", xlabel="cases", ylabel=label)
        axes.grid(alpha=0.3)
    figure.legend(*left.get_legend_handles_labels(), loc="lower center", ncols=3, fontsize=8, frameon=False)
    figure.tight_layout(rect=(0, 0.24, 1, 1))
    plt.rcParams["svg.hashsalt"] = "scale"
    figure.savefig(path, metadata={"Date": None, "Creator": None})


def write_between(page: Path, mark: str, text: str) -> None:
    """Replace what stands between two comments of a page."""
    begin, end = f"<!-- {mark} -->", f"<!-- /{mark} -->"
    before, _, rest = page.read_text("utf-8").partition(begin)
    _, found, after = rest.partition(end)
    if not found:
        sys.exit(f"{page} has no {begin} … {end}")
    page.write_text(f"{before}{begin}\n{text}\n{end}{after}", "utf-8")


def machine() -> str:
    """What it was measured on, in words."""
    with open("/proc/cpuinfo", encoding="utf-8") as stream:
        models = [line.partition(":")[2].strip() for line in stream if line.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = f"{os.cpu_count()} cores ({models[0] if models else platform.machine()})"
    return f"{cores}, {memory:.0f} GiB, Python {platform.python_version()}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--sizes", type=int, nargs="+", default=[20, 100, 1000, 10000], help="numbers of cases")
    parser.add_argument("--work", type=Path, default=Path("/tmp/voxledger-scale"), help="where the repositories lie")
    parser.add_argument("--page", action="store_true", help=f"write the tables of {PAGE.name} and {PLOT.name}")
    parser.add_argument(
        "--until", default="", help="stop before this step, as `round run, the first`, and keep what is there"
    )
    given = parser.parse_args()
    work = given.work.resolve()
    found = {size: measure(work / str(size), size, given.until) for size in sorted(given.sizes)}
    if given.until or len(found) < 2:
        return
    (work / "scale.json").write_text(
        json.dumps(
            {"machine": machine(), "sizes": {n: {k: asdict(m) for k, m in f.items()} for n, f in found.items()}},
            indent=1,
        ),
        "utf-8",
    )
    print(f"\n{machine()}\n\n{tables(found)}")
    if given.page:
        plot(found, PLOT)
        write_between(PAGE, "scale", f"{machine()}.\n\n{tables(found)}")


if __name__ == "__main__":
    main()
