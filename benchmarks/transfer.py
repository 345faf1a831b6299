"""Pre-train, then fine-tune: from one site to another with five patients, and what is lost at home.

    python benchmarks/transfer.py [--data ../shared/data] [--work DIR] [--seeds 3] [--out TABLE.md]

Whole hippocampus in MR. At home are 40 cases of the Medical Segmentation Decathlon, which a MONAI U-Net learns from in
round 0. In round 1 come five brains of another site, OASIS, both sides, with labels. Judged are 15 other brains of it,
whose two sides are one patient, and 20 other cases of home. Every step is a command, as a curator would do it:

* `unchanged` is the model of round 0;
* `fine-tuned` starts from it (`retrain.models.N.start`) and learns from the five brains (`replay: 0`);
* `with replay` does so, and a quarter of the cases of home is learned from again (`replay: 0.25`);
* `from nothing` learns from the five brains in a repository of their own, in as many iterations as fine-tuning has, and
  in as many as pre-training and fine-tuning have together.

Prints a table: Dice on both sites, and differences to `unchanged` with 95 % intervals over patients and seeds, paired.
What was done before is not done again.
"""

from __future__ import annotations

import csv
import os
import re
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from voxledger.cli.demo import set_parameters, voxledger
from voxledger.imaging.volume import read, write
from voxledger.params import read_params
from voxledger.records.cases import Split, read_cases
from voxledger.records.worth import Difference, Judged
from voxledger.release.state import version_tags
from voxledger.repository import tag_exists
from voxledger.worth.verdict import judge

LABELS = """\
name: hippocampus
classes:
  - {id: 1, name: hippocampus, color: [230, 130, 60]}
"""
HOME, TARGET = "decathlon", "oasis"
LEARNED, JUDGED = {HOME: 40, TARGET: 5}, {HOME: 20, TARGET: 15}
"""Patients: those that are learned from, and others."""
BEFORE, AFTER = 300, 60
"""Iterations of pre-training and of fine-tuning."""
REPLAY = 0.25
NETWORK = {
    **{"backend": "monai", "network": "unet", "patch": [40, 56, 40], "features": [16, 32, 64]},
    "learning_rate": 0.005,
}
ROWS = {
    "unchanged": ("fine-tuned", "base", "home", BEFORE),
    "fine-tuned": ("fine-tuned", "next", "tuned", AFTER),
    "with replay": ("with replay", "next", "tuned", AFTER),
    "from nothing, as short": ("from nothing", "next", "short", AFTER),
    "from nothing": ("from nothing", "next", "scratch", BEFORE + AFTER),
}
"""The table, stage and model of each row, and its iterations."""


@click.command()
@click.option("--data", default="../shared/data", show_default=True, type=click.Path(path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), help="Where to build; by default a temporary folder.")
@click.option("--seeds", default=3, show_default=True, help="Trainings of each.")
@click.option("--out", type=click.Path(path_type=Path), help="Write what is printed here too.")
def main(data: Path, work: Path | None, seeds: int, out: Path | None) -> None:
    """Pre-train at home, fine-tune where the target is, and judge on both sites."""
    data, out, started = data.resolve(), out.resolve() if out else None, time.monotonic()
    work = (work or Path(tempfile.mkdtemp(prefix="transfer-"))).resolve()
    for kind in (HOME, TARGET):
        if not (work / kind).is_dir():
            sort(data, work, kind)
    for seed in range(seeds):
        two_sites(work, seed)
        from_nothing(work, seed)
    told = f"{table(work, seeds)}\n\n{seeds} seeds, {time.monotonic() - started:.0f} s."
    print(f"\n{told}")
    if out:
        out.write_text(told + "\n", "utf-8")


def sort(data: Path, work: Path, kind: str) -> None:
    """Images and whole hippocampi of a site in folders: those that are learned from, and those that are judged."""
    found = data / ("hippocampus" if kind == HOME else "hippocampus-external")
    images = sorted((found / "images").glob("*.nii.gz"))
    patients = sorted({patient(path.name) for path in images})
    chosen = {"learned": patients[: LEARNED[kind]], "judged": patients[LEARNED[kind] :][: JUDGED[kind]]}
    for part, those in chosen.items():
        folder = work / f".{kind}" / part
        (folder / "images").mkdir(parents=True, exist_ok=True)
        for path in (path for path in images if patient(path.name) in those):
            label = read(found / "labels" / path.name)
            shutil.copyfile(path, folder / "images" / path.name)
            write(folder / "labels" / path.name, (label.array > 0).astype(np.uint8), label.grid)
        rows = [f"{p.name.removesuffix('.nii.gz')},{patient(p.name)}" for p in sorted((folder / "images").iterdir())]
        (folder / "patients.csv").write_text("\n".join(["case_id,patient", *rows]) + "\n", "utf-8")
    (work / f".{kind}").rename(work / kind)


def patient(name: str) -> str:
    """Of a file; both sides of a brain are one."""
    return re.sub(r"_(left|right)$", "", name.removesuffix(".nii.gz"))


def repository(folder: Path, pool: str, seed: int, retrain: dict[str, Any]) -> None:
    """A repository with a site in its pool and the cases to be judged, as the current folder."""
    ready = folder.with_suffix(".ready")
    if not ready.is_file():
        shutil.rmtree(folder, ignore_errors=True)
        voxledger("init", str(folder), "--name", "transfer")
        os.chdir(folder)
        Path("labels.yaml").write_text(LABELS, "utf-8")
        set_parameters({"filter": {"rules": []}, "score": {"audit": 0}})
        for site in (HOME, TARGET):
            add(folder.parent, site, "judged", "external")
        add(folder.parent, pool, "learned", "pool")
        ready.touch()
    os.chdir(folder)
    if read_params().round == 0:
        set_parameters({"retrain": {"seed": seed, **retrain}})


def add(work: Path, site: str, part: str, split: str) -> None:
    given = work / site / part
    voxledger(
        *("cases", "add", str(given / "images"), "--labels", str(given / "labels"), "--source", site),
        *("--split", split, "--patients", str(given / "patients.csv"), "--modality", "MR"),
        *("--licence", "CC-BY-SA-4.0" if site == HOME else "CC-BY-NC-4.0"),
    )


def two_sites(work: Path, seed: int) -> None:
    """Round 0 at home, round 1 with the target, fine-tuned without replay and with it."""
    folder, tables = work / f"sites-{seed}", [work / f"{name}-{seed}.csv" for name in ("fine-tuned", "with replay")]
    if all(table.is_file() for table in tables):
        return
    models = {"home": {**NETWORK, "iterations": BEFORE}}
    repository(folder, HOME, seed, {"licence": "CC-BY-SA-4.0", "models": models})
    if read_params().round == 0:
        if not all(tag_exists(tag) for tag in version_tags(read_params().dataset, 0)):
            voxledger("round", "run")
            voxledger("round", "close")
        voxledger("round", "open")
    if not any(case.source == TARGET and case.split is Split.POOL for case in read_cases()):
        add(work, TARGET, "learned", "pool")
    models = {"tuned": {**NETWORK, "start": "home", "iterations": AFTER}}
    for table, replay in zip(tables, (0.0, REPLAY), strict=True):
        set_parameters({"retrain": {"licence": "unspecified", "replay": replay, "models": models}})
        voxledger("round", "run")
        shutil.copyfile("reports/round.html", table.with_suffix(".html"))
        keep(table)


def from_nothing(work: Path, seed: int) -> None:
    """A repository of the target alone."""
    table = work / f"from nothing-{seed}.csv"
    if not table.is_file():
        budgets = {"short": AFTER, "scratch": BEFORE + AFTER}
        models = {name: {**NETWORK, "iterations": iterations} for name, iterations in budgets.items()}
        repository(work / f"target-{seed}", TARGET, seed, {"models": models})
        voxledger("round", "run")
        keep(table)


def keep(table: Path) -> None:
    """Copy what the round judged; a table that is there is whole."""
    shutil.copyfile("reports/cases.csv", table.with_suffix(".partial"))
    table.with_suffix(".partial").replace(table)


def judged(work: Path, row: str, seed: int) -> list[Judged]:
    """Dice of a row on both sites."""
    name, *wanted, _ = ROWS[row]
    with (work / f"{name}-{seed}.csv").open(encoding="utf-8") as stream:
        return [
            Judged(
                *(r["set"], r["case_id"], patient(r["case_id"]), r["class_name"]),
                *(float(r["reference_ml"]), float(r["dice"])),
            )
            for r in csv.DictReader(stream)
            if [r["stage"], r["model"]] == wanted
        ]


def table(work: Path, seeds: int) -> str:
    lines = ["| | iterations | target | difference | home | difference |", "| --- | --- | --- | --- | --- | --- |"]
    before = [judged(work, "unchanged", seed) for seed in range(seeds)]
    for row, (*_, iterations) in ROWS.items():
        found = [judged(work, row, seed) for seed in range(seeds)]
        sets = {v.set_name: v for v in judge(row, row, before, found, ["hippocampus"], 0, 1000, 0)}
        cells = []
        for site in (TARGET, HOME):
            mean = sets[f"external/{site}"].mean
            cells += [f"{mean.dice:.3f}", "" if row == "unchanged" else signed(mean)]
        lines.append(f"| {row} | {iterations} | {' | '.join(cells)} |")
    return "\n".join(lines)


def signed(found: Difference) -> str:
    return f"{found.delta:+.3f} ({found.low:+.3f} to {found.high:+.3f})".replace("-", "−")


if __name__ == "__main__":
    main()
