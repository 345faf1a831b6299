"""What two cohorts are worth by `voxledger cohort worth`: one of another site, and one that was spoilt on purpose.

    python benchmarks/cohort_worth.py [--data ../shared/data] [--work DIR] [--iterations 300] [--out TABLE.md]

* Two sites: the whole hippocampus in MR, 8 cases of the Medical Segmentation Decathlon in the pool; the cohort are both
  sides of 10 brains of another site with labels of people, the cases judged those of 10 other brains of it. It should
  help.
* Phantoms: pancreas, gallbladder and the two large vessels in 6 cases of a site; the cohort are 18 more of it, in a
  third of which the label map is shifted by 6 mm along each axis; judged are 15 others of the site. It should hurt; its
  true labels, given as references, should not. Organs of the size of the shift are what it tells: of liver, spleen and
  kidneys, in 12 and 18 cases, judged on 20, the same shift cannot be told from chance.

Prints the verdicts, and the seconds of each command. What was done before is not done again.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from voxledger.cli.demo import set_parameters, voxledger
from voxledger.imaging.volume import read, write
from voxledger.phantom.materials import CLASSES

HIPPOCAMPUS = """\
name: hippocampus
classes:
  - {id: 1, name: hippocampus, color: [230, 130, 60]}
"""
ORGANS = ("pancreas", "gallbladder", "aorta", "postcava")
SHIFT_MM = 6.0
SITES = {"decathlon": 8, "oasis": 10, "oasis-others": 10}
PHANTOMS = {"site": (6, 1), "spoilt": (18, 2), "outside": (15, 3)}
"""Cases and seed."""


def parameters(patch: list[int], spacing: list[float] | None, iterations: int) -> dict[str, Any]:
    """What differs from the parameters that `voxledger init` writes."""
    model = {
        **{"backend": "monai", "network": "unet", "patch": patch, "features": [16, 32, 64], "iterations": iterations},
        **{"learning_rate": 0.005, **({"spacing": spacing} if spacing else {})},
    }
    return {"filter": {"rules": []}, "retrain": {"licence": "CC0-1.0", "models": {"unet": model}}}


@click.command()
@click.option("--data", default="../shared/data", show_default=True, type=click.Path(path_type=Path))
@click.option("--work", type=click.Path(path_type=Path), help="Where to build; by default a temporary folder.")
@click.option("--iterations", default=300, show_default=True, help="Of each training.")
@click.option("--out", type=click.Path(path_type=Path), help="Write what is printed here too.")
def main(data: Path, work: Path | None, iterations: int, out: Path | None) -> None:
    """Make both repositories, and ask what the cohorts are worth."""
    data, out = data.resolve(), out.resolve() if out else None
    work = (work or Path(tempfile.mkdtemp(prefix="worth-"))).resolve()
    told = []
    for name, make, cohort in (("sites", two_sites, "oasis"), ("phantoms", phantoms, "spoilt")):
        if not (work / name / "ready").is_file():
            shutil.rmtree(work / name, ignore_errors=True)
            make(work / name, data, iterations)
            (work / name / "ready").touch()
        os.chdir(work / name / "repository")
        started = time.monotonic()
        references = ["--references", str(work / name / "references")] if cohort == "spoilt" else []
        command = [sys.executable, "-m", "voxledger", "cohort", "worth", cohort, *references]
        said = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout
        verdicts = [line for line in said.splitlines() if line.startswith(f"{cohort}, ")]
        told += [f"{name}, {time.monotonic() - started:.0f} s", *(f"* {line}" for line in verdicts), ""]
    print("\n".join(told))
    if out:
        out.write_text("\n".join(told), "utf-8")


def begin(folder: Path, labels: str, settings: dict[str, Any]) -> None:
    """A repository with classes and parameters, as the current folder."""
    folder.mkdir(parents=True, exist_ok=True)
    voxledger("init", str(folder / "repository"), "--name", "worth")
    os.chdir(folder / "repository")
    Path("labels.yaml").write_text(labels, "utf-8")
    set_parameters(settings)


def add(folder: Path, name: str, split: str, *more: str) -> None:
    voxledger(
        *("cases", "add", str(folder / name / "images"), "--labels", str(folder / name / "labels")),
        *("--source", name, "--split", split, "--licence", "CC0-1.0", *more),
    )


def two_sites(folder: Path, data: Path, iterations: int) -> None:
    """Decathlon and OASIS; both sides of a brain are one patient."""
    begin(folder, HIPPOCAMPUS, parameters([40, 56, 40], None, iterations))
    home = sorted((data / "hippocampus" / "images").glob("*.nii.gz"))[: SITES["decathlon"]]
    copy(home, data / "hippocampus" / "labels", folder / "decathlon")
    add(folder, "decathlon", "pool", "--modality", "MR")
    outside = sorted((data / "hippocampus-external" / "images").glob("*.nii.gz"))
    brains = sorted({brain(path) for path in outside})
    for name, those in (("oasis", brains[: SITES["oasis"]]), ("oasis-others", brains[-SITES["oasis-others"] :])):
        images = [path for path in outside if brain(path) in those]
        copy(images, data / "hippocampus-external" / "labels", folder / name)
        patients = [f"{path.name.removesuffix('.nii.gz')},brain-{brain(path)}" for path in images]
        (folder / f"{name}.csv").write_text("\n".join(["case_id,patient", *patients]) + "\n", "utf-8")
        split = "pool" if name == "oasis" else "external"
        add(folder, name, split, "--modality", "MR", "--patients", str(folder / f"{name}.csv"))


def brain(path: Path) -> str:
    found = re.search(r"_(\d+)_", path.name)
    assert found
    return found[1]


def copy(images: list[Path], labels: Path, to: Path) -> None:
    """Images as they are, and whole hippocampi."""
    for path in images:
        label = read(labels / path.name)
        (to / "images").mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, to / "images" / path.name)
        write(to / "labels" / path.name, (label.array > 0).astype(np.uint8), label.grid)


def phantoms(folder: Path, data: Path, iterations: int) -> None:
    """One site in three parts, of which one is spoilt."""
    lines = "".join(f"  - {{id: {number}, name: {name}}}\n" for number, name in enumerate(ORGANS, 1))
    begin(folder, f"name: abdomen\nclasses:\n{lines}", parameters([32, 48, 48], [5, 4.5, 4.5], iterations))
    for name, (count, seed) in PHANTOMS.items():
        voxledger(
            *("cases", "phantom", str(folder / name), "--count", str(count), "--seed", str(seed), "--size", "small"),
            *("--lesions", "0", "--prefix", f"{name}-"),
        )
        for number, path in enumerate(sorted((folder / name / "reference").glob("*.nii.gz"))):
            label = read(path)
            kept = np.zeros(label.array.shape, np.uint8)
            for organ, own in enumerate(ORGANS, 1):
                kept[label.array == CLASSES[own]] = organ
            write(folder / name / "kept" / path.name, kept, label.grid)
            given = shifted(kept, label.grid.spacing) if name == "spoilt" and number % 3 == 0 else kept
            write(folder / name / "labels" / path.name, given, label.grid)
        add(folder, name, "external" if name == "outside" else "pool", "--modality", "CT")
    (folder / "spoilt" / "kept").rename(folder / "references")


def shifted(labels: np.ndarray[Any, Any], spacing: tuple[float, float, float]) -> np.ndarray[Any, Any]:
    """The label map moved by `SHIFT_MM` along each axis, to the nearest voxel."""
    steps = [round(SHIFT_MM / s) for s in spacing]
    moved = np.zeros_like(labels)
    moved[steps[0] :, steps[1] :, steps[2] :] = labels[: -steps[0], : -steps[1], : -steps[2]]
    return moved


if __name__ == "__main__":
    main()
