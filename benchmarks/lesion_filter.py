"""Lesions before and after every rule of the filter, on 120 phantom scans, with models that the pipeline trained.

    python benchmarks/lesion_filter.py [--work DIR] [--iterations 6500] [--out TABLE.md]

120 test scans of two sites: 70 with PDAC, cyst or PNET, 50 without. 180 other phantoms train two U-Nets in round 0,
80 more calibrate the thresholds of round 1; then `dvc repro filter`. Prints sensitivity, false regions per scan, PPV
and F1 by lesion class and by patient, after every rule; lesions missed by size; and what the rules took. With a
`--work` folder where round 0 is closed, only round 1 runs.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import click
import numpy as np

from voxledger.cli.demo import set_parameters, voxledger
from voxledger.evaluate.detection import RATES, detection_rates, harm, missed_by_size
from voxledger.evaluate.detection_section import waterfall
from voxledger.imaging.detection import Step, read_steps
from voxledger.params import read_params

CLASSES = {"pancreas": 7, "pancreatic_duct": 8, "pdac": 11, "cyst": 12, "pnet": 13}
LESIONS = ["pdac", "cyst", "pnet"]
LABELS = """\
name: pancreas
classes:
  - {id: 7, name: pancreas, color: [249, 180, 111]}
  - {id: 8, name: pancreatic_duct, color: [90, 200, 220], inside: pancreas}
  - {id: 11, name: pdac, color: [230, 25, 75], inside: pancreas, lesion: true}
  - {id: 12, name: cyst, color: [0, 130, 200], inside: pancreas, lesion: true}
  - {id: 13, name: pnet, color: [145, 30, 180], inside: pancreas, lesion: true}
"""
GROUPS = {"pool": (90, 0.75, 11), "calibration": (40, 0.75, 21), "test": (60, 70 / 120, 0)}
"""Cases a site, share with a lesion, seed. With these, each site's 60 test scans have 35 with a lesion."""
RULES = [
    {"rule": "largest_component", "classes": ["pancreas"]},
    {"rule": "inside_organ", "classes": LESIONS},
    {"rule": "volume_ratio", "classes": LESIONS},
    {"rule": "touching", "classes": ["cyst", "pnet"]},
    {"rule": "mean_hu", "classes": LESIONS},
    {"rule": "minimum_volume", "classes": LESIONS, "ml": 0.05},
]
"""The rules of params.yaml without the organs that are not drawn here: published bounds, published order."""


def parameters(iterations: int) -> dict[str, Any]:
    """What differs from the parameters that `voxledger init` writes."""
    return {
        "infer": {"step": 0.75},
        "calibrate": {"classes": LESIONS},
        "filter": {"rules": RULES},
        "retrain": {
            "licence": "CC0-1.0",
            "models": {
                name: {
                    "backend": "monai",
                    "network": "unet",
                    "patch": [32, 48, 48],
                    "features": features,
                    "iterations": iterations,
                    "learning_rate": 0.004,
                }
                for name, features in (("unet", [24, 48, 96]), ("unet-deep", [24, 48, 96, 128]))
            },
        },
    }


@click.command()
@click.option("--work", type=click.Path(path_type=Path), help="Where to build; by default a temporary folder.")
@click.option("--iterations", default=6500, show_default=True, help="Of each of the two trainings.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the tables here too.")
@click.option("--plot", type=click.Path(path_type=Path), help="Write the waterfall of the test scans here, as SVG.")
def main(work: Path | None, iterations: int, out: Path | None, plot: Path | None) -> None:
    """Make the scans, train, filter, and print the tables."""
    started = time.monotonic()
    out, plot = (path.resolve() if path else None for path in (out, plot))
    work = (work or Path(tempfile.mkdtemp(prefix="lesions-"))).resolve()
    repository = work / "repository"
    if not (repository / "models" / "next.json").is_file():
        build(work, repository, iterations)
    os.chdir(repository)
    if read_params().round == 0:
        voxledger("round", "open")
    subprocess.run([sys.executable, "-m", "dvc", "repro", "filter"], check=True)
    steps = read_steps("data/round/detection.csv")
    told = f"{tables(steps)}\n\n{time.monotonic() - started:.0f} s."
    print(f"\n{told}")
    if plot:
        plot.write_bytes(waterfall(detection_rates([s for s in steps if s.split == "test"], patients(steps), 1000, 0)))
    if out:
        out.write_text(told + "\n", "utf-8")


def build(work: Path, repository: Path, iterations: int) -> None:
    """Phantoms with the classes of the pancreas alone, a repository with them, and round 0, which trains."""
    voxledger("init", str(repository), "--name", "lesions")
    (repository / "labels.yaml").write_text(LABELS, "utf-8")
    for group, (count, share, seed) in GROUPS.items():
        for site in "ab":
            folder = work / "phantoms" / f"{group}-{site}"
            voxledger(
                *("cases", "phantom", str(folder), "--count", str(count), "--site", site, "--seed", str(seed)),
                *("--lesions", str(share), "--prefix", f"{group}-{site}-"),
            )
            keep_pancreas(folder)
            os.chdir(repository)
            voxledger(
                *("cases", "add", str(folder / "images"), "--labels", str(folder / "pancreas"), "--split", group),
                *("--source", f"phantom-site-{site}", "--licence", "CC0-1.0", "--modality", "CT"),
            )
    set_parameters(parameters(iterations))
    voxledger("round", "run")
    voxledger("round", "close")


def keep_pancreas(folder: Path) -> None:
    """Write the reference labels without the other organs to `<folder>/pancreas`."""
    from voxledger.imaging.volume import read, write

    for path in sorted((folder / "reference").iterdir()):
        label = read(path)
        kept = np.where(np.isin(label.array, list(CLASSES.values())), label.array, 0).astype(np.uint8)
        write(folder / "pancreas" / path.name, kept, label.grid)


def patients(steps: list[Step]) -> dict[str, str]:
    """Every phantom is a patient."""
    return {step.case_id: step.case_id for step in steps}


def tables(steps: list[Step]) -> str:
    """Markdown: thresholds, rates after every rule, missed lesions by size, and lesions that rules removed."""
    test = [s for s in steps if s.split == "test"]
    calibrated = json.loads(Path("data/round/calibration.json").read_text("utf-8"))
    parts = [
        table(
            ["class", "threshold", "calibration lesions", "sensitivity there", "false regions per scan there"],
            [
                [
                    name,
                    f"{c['threshold']:.4g}",
                    str(c["lesions"]),
                    f"{c['sensitivity']['value']:.3f}",
                    f"{c['false_positives_per_scan']['value']:.2f}",
                ]
                for name, c in calibrated["classes"].items()
            ],
        ),
        table(
            ["class", "after", "lesions", *(name.replace("_", " ") for name in RATES)],
            [
                [r.class_name, r.rule, str(r.lesions), *(shown(getattr(r, name)) for name in RATES)]
                for r in detection_rates(test, patients(test), 1000, 0)
            ],
        ),
        table(
            ["class", "size", "lesions", "missed"],
            [[m.class_name, m.size, str(m.lesions), str(m.missed)] for m in missed_by_size(test)],
        ),
        table(
            ["rule", "class", "split", "case", "true voxels taken", "lesions taken"],
            [
                [h.rule, h.class_name, h.split, h.case_id, str(h.voxels), str(h.lesions)]
                for h in harm(steps)
                if h.lesions and h.split != "pool"
            ],
        ),
    ]
    return "\n\n".join(parts)


def shown(rate: Any) -> str:
    return f"{rate.value:.2f} ({rate.low:.2f}–{rate.high:.2f})"


def table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


if __name__ == "__main__":
    main()
