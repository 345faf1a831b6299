"""Three annotation rounds on the hippocampus MR of the Medical Segmentation Decathlon, all through the real pipeline.

    python benchmarks/hippocampus_rounds.py [--images ../shared/data/hippocampus] [--work DIR] [--out TABLE.md]

12 labelled cases to start, 100 unlabelled ones in the pool, 40 test cases, the rest for calibration; nnU-Net and a
MONAI U-Net as the ensemble; 20 cases a round to an emulated reader. Prints a table: round, share of the pool
labelled, test Dice of each model, minutes of the reader against minutes from scratch (both assumed); and a table of
whether the attention was right, for visible errors and for any voxel.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any

import click

from voxledger import layout
from voxledger.cli.demo import minutes_are_assumed, play, set_parameters, summary, voxledger
from voxledger.minutes import SAIM_SCRATCH_MINUTES
from voxledger.repository import file_at, round_tag

PARAMETERS: dict[str, Any] = {
    "licence": "CC-BY-SA-4.0",
    "filter": {"rules": [{"rule": "largest_component", "classes": ["anterior", "posterior"]}]},
    "score": {"budget": 20, "audit": 0, "opening": 0, "scratch_minutes": SAIM_SCRATCH_MINUTES},
    "export": {"reviewers": ["reader"]},
    "evaluate": {"tolerance_mm": 1.0},
    "retrain": {
        "licence": "CC-BY-SA-4.0",
        "models": {
            "nnunet": {
                "backend": "nnunet",
                "recipe": "small",
                "patch": [40, 56, 40],
                "iterations": 320,
                "learning_rate": 0.004,
            },
            "unet": {
                "backend": "monai",
                "network": "unet",
                "patch": [40, 56, 40],
                "features": [32, 64, 128],
                "iterations": 400,
                "learning_rate": 0.006,
            },
        },
    },
}

LABELS = """\
name: hippocampus
classes:
  - {id: 1, name: anterior, color: [230, 130, 60]}
  - {id: 2, name: posterior, color: [70, 140, 220]}
"""

DESCRIPTION = """\
title: Hippocampus in three rounds
purpose: To measure what annotation rounds with an emulated reader give on real MR images.
not_for: Training; the Medical Segmentation Decathlon has the labels that people drew.
url: http://medicaldecathlon.com
mr_contrast: T1w
"""

SPLITS = {"start": 12, "pool": 100, "test": 40}
"""Cases by name; what is left calibrates."""


@click.command()
@click.option("--images", type=click.Path(exists=True, path_type=Path), default=Path("../shared/data/hippocampus"))
@click.option("--work", type=click.Path(path_type=Path), help="Where to build; by default a temporary folder.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the table here too.")
@click.option("--rounds", default=3, show_default=True)
@click.option("--seed", default=0, show_default=True, help="Of training and of the choice of cases.")
@click.option("--acquisition", default="attention", show_default=True)
def main(images: Path, work: Path | None, out: Path | None, rounds: int, seed: int, acquisition: str) -> None:
    """Run the rounds and print the table."""
    started = time.monotonic()
    images = images.resolve()
    out = out.resolve() if out else None
    work = (work or Path(tempfile.mkdtemp(prefix="hippocampus-"))).resolve()
    names = sorted(p.name for p in (images / "images").iterdir())
    groups: dict[str, list[str]] = {}
    position = 0
    for group, count in SPLITS.items():
        groups[group] = names[position : position + count]
        position += count
    groups["calibration"] = names[position:]
    for group, members in groups.items():
        for kind in ("images", "labels") if group != "pool" else ("images",):
            (work / group / kind).mkdir(parents=True)
            for name in members:
                shutil.copyfile(images / kind / name, work / group / kind / name)
    voxledger("init", str(work / "repository"), "--name", "hippocampus")
    os.chdir(work / "repository")
    Path("labels.yaml").write_text(LABELS, "utf-8")
    Path("dataset.yaml").write_text(DESCRIPTION, "utf-8")
    set_parameters(PARAMETERS)
    set_parameters({"score": {"seed": seed, "acquisition": acquisition}, "retrain": {"seed": seed}})
    source = ("--source", "msd-task04", "--licence", "CC-BY-SA-4.0", "--modality", "MR")
    for group in groups:
        folder = work / group
        labels = ("--labels", str(folder / "labels")) if group != "pool" else ()
        split = "pool" if group == "start" else group
        voxledger("cases", "add", str(folder / "images"), *labels, *source, "--split", split)
    play(rounds, images / "labels")
    table = summary(Path("reports/history.csv"))
    machine = f"{platform.processor() or platform.machine()}, {len(os.sched_getaffinity(0))} cores"
    took = f"{time.monotonic() - started:.0f} s on {machine}, {_cpu()}."
    told = f"{table}\n{minutes_are_assumed()}\n\n{attention_table(rounds)}\n\n{took}"
    print(f"\n{told}\n{work / 'repository' / 'reports' / 'round.html'}")
    if out:
        out.write_text(told + "\n", "utf-8")


def attention_table(rounds: int) -> str:
    """Sensitivity and precision by component in every round, by both readings of what an error is."""
    lines = ["| round | error | errors | sensitivity | precision |", "| --- | --- | --- | --- | --- |"]
    for number in range(1, rounds + 1):
        found = json.loads(file_at(round_tag(number), layout.HINDSIGHT) or "{}")
        for reading, name in (
            ("visible", f"beyond {found['visible']['tolerance_mm']:g} mm"),
            ("attention", "any voxel"),
        ):
            one = found[reading]["any"]
            shares = [one["sensitivity"], one["precision"]]
            told = " | ".join("–" if share is None else f"{share:.3f}" for share in shares)
            lines.append(f"| {number} | {name} | {one['errors']} | {told} |")
    return "\n".join(lines)


def _cpu() -> str:
    found = subprocess.run(["lscpu"], capture_output=True, text=True, check=False).stdout
    return next((line.split(":")[1].strip() for line in found.splitlines() if line.startswith("Model name")), "")


if __name__ == "__main__":
    main()
