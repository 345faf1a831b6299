"""Bytes and seconds of one case of AbdomenAtlas' size, and the plan of 8,448 of them in docs/scale.md.

    python benchmarks/full_size.py              measures: minutes on two cores, 1 GB in WORK
    python benchmarks/full_size.py --page       writes the tables between the marks of docs/scale.md

A case of 512×512×300 voxels with 25 classes and soft predictions of five models goes through a whole round, stage by
stage, in a repository of its own. Organs are ellipsoids at abdominal proportions with logistic borders and smooth
disagreement (those of attention.py); the image is HU of the organs in a body, with noise of 15 HU over two voxels.
What was measured lies in WORK/measured.json and is not measured again.

Seconds are CPU seconds, of stages less those of the same stage with nothing to compute. What people and GPUs take is
assumed: see `Assumed`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from attention import ORGANS, make_case
from scale import DONE, PAGE, WAITS, Measured, dvc, machine, measured, voxledger, write_between

from voxledger.minutes import REVISE_MINUTES

SHAPE = (300, 512, 512)
SPACING = (2.5, 0.8, 0.8)
MODELS = 5
NAME = "case"
STAGES = ("cases", "infer", "calibrate", "filter", "score", "export")
AFTER = ("gate", "import", "retrain", "evaluate")
CASES = 8448


@dataclass(frozen=True)
class Assumed:
    """What is not measured here."""

    gpu_seconds: float = 60.0
    """One model, one case, on one GPU."""
    reviewed: float = 0.05
    """Share of the cases that people review in a round."""
    minutes: float = REVISE_MINUTES
    """To revise one case: the assumption of AbdomenAtlas-8K."""
    gpus: int = 8
    reviewers: int = 3
    cores: int = 64
    gigabit: float = 1.0
    """Of the line to the remote and to the reviewers, per second."""


ASSUMED = Assumed()


def reference() -> np.ndarray:
    """Label map (z, y, x) of the organs; a later one covers an earlier one."""
    labels = np.zeros(SHAPE, np.uint8)
    axes = [np.arange(n, dtype=np.float32) / n for n in SHAPE]
    for number, (_, centre, radii) in enumerate(ORGANS, start=1):
        z, y, x = (((a - c) / r) ** 2 for a, c, r in zip(axes, centre, radii, strict=True))
        labels[z[:, None, None] + y[:, None] + x < 1] = number
    return labels


def image(labels: np.ndarray, seed: int) -> np.ndarray:
    """HU of a body in air with organs in it."""
    from scipy.ndimage import uniform_filter1d

    rng = np.random.default_rng(seed)
    y, x = (np.arange(n, dtype=np.float32) / n - 0.5 for n in SHAPE[1:])
    body = (y[:, None] / 0.33) ** 2 + (x / 0.44) ** 2 < 1
    hu = np.where(body, -90, -1000).astype(np.float32)[None].repeat(SHAPE[0], axis=0)
    hu[labels > 0] = np.linspace(20, 180, len(ORGANS) + 1, dtype=np.float32)[labels[labels > 0]]
    for plane in hu:
        noise = rng.normal(0, 15 * 2, plane.shape).astype(np.float32)
        plane += uniform_filter1d(uniform_filter1d(noise, 2, axis=0), 2, axis=1)
    return np.clip(hu, -1024, 3071).astype(np.int16)


def make(work: Path) -> None:
    """Image and reference; the repository, still empty."""
    from voxledger.cli.demo import set_parameters
    from voxledger.imaging.volume import Grid, write

    grid, labels = Grid.plain(SHAPE, SPACING), reference()
    write(work / f"images/{NAME}.nii.gz", image(labels, 0), grid)
    write(work / f"reference/{NAME}.nii.gz", labels, grid)
    subprocess.run(voxledger("init", work / "repository"), check=True)
    os.chdir(work / "repository")
    for name, value in (("user.name", "benchmark"), ("user.email", "benchmark@example.org")):
        subprocess.run(["git", "config", name, value], check=True)
    subprocess.run([*dvc(), "remote", "add", "--quiet", "--default", "storage", str(work / "storage")], check=True)
    classes = "".join(f"  - {{id: {n}, name: {name}}}\n" for n, (name, *_) in enumerate(ORGANS, start=1))
    Path("labels.yaml").write_text(f"name: abdomen\nclasses:\n{classes}", "utf-8")
    rules = [
        {"rule": "largest_component", "classes": ["liver", "spleen", "kidney_right", "kidney_left", "pancreas"]},
        {"rule": "minimum_volume", "classes": [name for name, *_ in ORGANS], "ml": 0.05},
    ]
    set_parameters(
        {
            "score": {"budget": 1, "audit": 0},
            "filter": {"rules": rules},
            "retrain": {"models": {}},
            "machine": {"workers": 1},
        }
    )


def steps(work: Path) -> Iterator[tuple[str, Measured]]:
    """A round, command by command and stage by stage."""
    log = work / "log.txt"
    yield "cases add", measured(voxledger("cases", "add", work / "images"), DONE, log)
    predict(work)
    for number in range(MODELS):
        known = ("--predictions", work / f"model{number}", "--id", f"model{number}", "--licence", "CC0-1.0")
        yield f"models add {number}", measured(voxledger("models", "add", f"model{number}", *known), DONE, log)
        shutil.rmtree(work / f"model{number}")
    for stage in STAGES:
        yield from twice(stage, log)
    yield "round run", measured(voxledger("round", "run"), WAITS, log)
    emulate = voxledger("review", "emulate", "--reference", work / "reference")
    yield "review emulate", measured(emulate, DONE, log)
    for stage in AFTER:
        yield from twice(stage, log)
    yield "round run, finished", measured(voxledger("round", "run"), DONE, log)
    yield "round close", measured(voxledger("round", "close"), DONE, log)
    yield "verify", measured(voxledger("verify", "round-00"), DONE, log)


def twice(stage: str, log: Path) -> Iterator[tuple[str, Measured]]:
    """A stage, and the same with nothing left to compute."""
    command = [*dvc(), "repro", "--single-item", "--force", "--no-run-cache", stage]
    yield stage, measured(command, DONE, log)
    yield f"{stage} again", measured(command, DONE, log)


def predict(work: Path) -> None:
    """Soft predictions of all models, with the hash of the registered image."""
    import blosc2

    from voxledger.records.cases import read_cases

    (case,) = read_cases()
    made = work / "made"
    if not made.is_dir():
        making = work / "making"
        making.mkdir()
        make_case(making, SHAPE, MODELS, ORGANS, 0)
        making.rename(made)
    for number in range(MODELS):
        out = work / f"model{number}/{case.case_id}.b2nd"
        out.parent.mkdir()
        shutil.copy(made / f"model{number}.b2nd", out)
        soft = blosc2.open(str(out), mode="a")
        soft.schunk.vlmeta["voxledger"] = {**soft.schunk.vlmeta["voxledger"], "image_sha256": case.sha256}


def size(*paths: Path | str) -> int:
    """Bytes of files and folders."""
    files = [f for p in map(Path, paths) for f in ([p] if p.is_file() else p.rglob("*")) if f.is_file()]
    return sum(f.stat().st_size for f in files)


def bytes_of_a_case() -> dict[str, int]:
    """Of each kind of file, a case; of predictions, a case and model."""
    bundle = Path("data/round/bundles")
    return {
        "image": size("data/images"),
        "soft prediction of one model": size("data/round/predictions") // MODELS,
        "proposal": size("data/round/pseudo"),
        "attention": size(f"data/round/attention/{NAME}.b2nd"),
        "heat map": size(f"data/round/attention/{NAME}_heat.nii.gz"),
        "bundle": size(bundle),
        "released label": size("data/release/labels"),
        "return": size("data/inbox"),
    }


def measure(work: Path) -> dict[str, dict]:
    found = work / "measured.json"
    if not found.exists():
        work.mkdir(parents=True, exist_ok=True)
        for left in work.iterdir():
            if left.name != "made":
                shutil.rmtree(left) if left.is_dir() else left.unlink()
        make(work)
        took = {}
        for name, one in steps(work):
            took[name] = asdict(one)
            print(f"{name:24} {one.seconds:8.1f} s {one.cpu_seconds:8.1f} s of CPU {one.peak_mb:7.0f} MiB", flush=True)
        found.write_text(
            json.dumps({"machine": machine(), "bytes": bytes_of_a_case(), "took": took}, indent=1), "utf-8"
        )
        os.chdir(work)
    return json.loads(found.read_text("utf-8"))


REMEMBERED = ("infer", "filter", "score", "gate", "import", "evaluate")


def seconds_a_case(took: dict[str, dict]) -> dict[str, float]:
    """CPU seconds of a case, by stage; those of commands with their start-up.

    Bundles are written in every run, so a stage that has nothing to do is taken from the export.
    """
    cpu = {name: one["cpu_seconds"] for name, one in took.items()}
    stages = {stage: max(cpu[stage] - cpu[f"{stage} again"], 0.0) for stage in REMEMBERED}
    found = {"cases add": cpu["cases add"], **stages, "export": cpu["export"] - cpu["cases again"]}
    return {**found, "round close": cpu["round close"], "verify": cpu["verify"]}


def table_of_a_case(found: dict) -> str:
    lines = ["| a case of 512×512×300 voxels, 5 models, 25 classes | MB |", "| --- | ---: |"]
    lines += [f"| {name} | {size / 1e6:.1f} |" for name, size in found["bytes"].items()]
    lines += ["", "| step | CPU seconds a case | peak memory, MiB |", "| --- | ---: | ---: |"]
    for name, seconds in seconds_a_case(found["took"]).items():
        lines.append(f"| {name} | {seconds:.1f} | {found['took'][name]['peak_mb']:.0f} |")
    return "\n".join(lines)


def plan(found: dict, given: Assumed = ASSUMED) -> str:
    """What 8,448 cases take, as Markdown."""
    per, seconds = found["bytes"], seconds_a_case(found["took"])
    reviewed = round(CASES * given.reviewed)

    def gb(bytes_a_case: float, cases: int = CASES) -> float:
        return bytes_a_case * cases / 1e9

    images, labels = gb(per["image"]), gb(per["released label"])
    soft = gb(per["soft prediction of one model"] * MODELS)
    shown = gb(per["proposal"] + per["attention"] + per["heat map"])
    bundles, returns = gb(per["bundle"], reviewed), gb(per["return"], reviewed)
    gpu = CASES * MODELS * given.gpu_seconds / 3600
    people = reviewed * given.minutes / 60
    names = ("filter", "score", "import")
    cpu = {name: CASES * seconds[name] / 3600 for name in names}
    gigabytes = given.gigabit * 3.6e3 / 8
    rows = [
        ("images, on disk once (links) and on the remote", f"{images:,.0f} GB"),
        ("soft predictions, in no remote; pruned once the round is closed", f"{soft:,.0f} GB"),
        ("proposals, attention and heat maps of a round, pushed", f"{shown:,.0f} GB"),
        (f"bundles of {reviewed} reviewed cases, and what comes back", f"{bundles:,.0f} + {returns:,.1f} GB"),
        ("released labels, a version", f"{labels:,.1f} GB"),
        ("**disk while a round is open**", f"**{images + soft + shown + bundles + 2 * labels:,.0f} GB**"),
        ("**remote after the first round**", f"**{images + shown + bundles + returns + labels:,.0f} GB**"),
        ("remote, each further round at most", f"{shown + bundles + returns + labels:,.0f} GB"),
        (
            f"first push or clone at {given.gigabit:g} Gbit/s (assumption)",
            f"{(images + shown + bundles + labels) / gigabytes:,.1f} h",
        ),
        (f"prediction at {given.gpu_seconds:g} s a case and model (assumption)", f"{gpu:,.0f} GPU hours"),
        (f"… on {given.gpus} GPUs (assumption)", f"{gpu / given.gpus:,.0f} h"),
        ("filter, score, import", " + ".join(f"{hours:,.1f}" for hours in cpu.values()) + " CPU hours"),
        (f"… on {given.cores} cores (assumption)", f"{sum(cpu.values()) / given.cores * 60:,.0f} min"),
        ("cases add, CPU hours", f"{CASES * seconds['cases add'] / 3600:,.1f} h"),
        ("verify of one version on one core", f"{CASES * seconds['verify'] / 3600:,.1f} h"),
        (
            f"review of {given.reviewed:.0%} (assumption) at {given.minutes:g} min (assumed by AbdomenAtlas-8K)",
            f"{people:,.0f} h",
        ),
        (f"… by {given.reviewers} people, 6 h a day (assumption)", f"{people / given.reviewers / 6:,.0f} days"),
    ]
    return "\n".join(
        ["| 8,448 cases, one round | |", "| --- | ---: |", *(f"| {what} | {much} |" for what, much in rows)]
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--work", type=Path, default=Path("/tmp/voxledger-full-size"), help="where the repository lies")
    parser.add_argument("--page", action="store_true", help=f"write the tables of {PAGE.name}")
    given = parser.parse_args()
    found = measure(given.work.resolve())
    print(f"\n{found['machine']}\n\n{table_of_a_case(found)}\n\n{plan(found)}")
    if given.page:
        write_between(PAGE, "case", f"{found['machine']}.\n\n{table_of_a_case(found)}")
        write_between(PAGE, "plan", plan(found))


if __name__ == "__main__":
    sys.exit(main())
