"""Weak labels, organ models and rejected cases over two rounds, as in the pipeline of Tartu, on phantoms of two sites.

    python benchmarks/tartu.py [--seed 0] [--work DIR] [--out TABLE.md]
    python benchmarks/tartu.py --cases-b 24 --strategy full --no-fine-duct

Site A has reference labels and teaches the first models: a coarse one that finds the pancreas, one that looks around
it, one for the duct, and an interactive one. The cases of site B have a slice mask of their lesion, a RECIST diameter,
or nothing. An emulated reader accepts what has a Dice of 0.7 or more, rejects what has less than 0.5, and corrects what
lies between: all assumptions. In round 2 all of them have learned from what was accepted and corrected, and predict the
rejected again: the interactive model what is marked, the others the rest; all of it goes through `voxledger round run`.
Prints accepted, revised and rejected by round and origin, what became of the rejected, and the mean Dice of what was
proposed.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import click
import numpy as np

from voxledger import layout
from voxledger.cli.demo import set_parameters, voxledger
from voxledger.evaluate.flow import flow
from voxledger.imaging.volume import read_label
from voxledger.records.bundle import LABELS
from voxledger.records.predicted import ensembles, read_predicted
from voxledger.records.readings import read_readings
from voxledger.review.emulate import dice
from voxledger.schema import LabelSchema, read_schema

SCHEMA = """\
name: pancreas
classes:
  - {id: 7, name: pancreas, color: [249, 180, 111]}
  - {id: 8, name: pancreatic_duct, color: [90, 200, 220], inside: pancreas}
  - {id: 11, name: pdac, color: [230, 25, 75], inside: pancreas, lesion: true}
"""
IDS = (7, 8, 11)
ACCEPT, REJECT = 0.7, 0.5
ROUNDS = (1, 2)
INTERACTIVE = {"backend": "nninteractive", "classes": ["pdac"], "iterations": 1200, "patch": [32, 32, 32]}
"""What is marked are lesions: the patch is half as large again."""


def parameters(budget: int, strategy: str, fine_duct: bool) -> dict[str, Any]:
    """What differs from the parameters that `voxledger init` writes; all cases of site B are reviewed in a round."""
    region = {
        "backend": "monai",
        "network": "unet",
        "spacing": [2, 2, 2],
        "patch": [32, 48, 48],
        "features": [16, 32, 64],
        "region": {"inside": "pancreas", "margin_mm": 15},
        "learning_rate": 0.004,
    }
    duct = {**region, "classes": ["pancreatic_duct"], "spacing": [1.5, 1.5, 1.5], "iterations": 800}
    region |= {"lesion_share": 0.5, "iterations": 1000}
    organ = {
        **{"backend": "monai", "network": "unet", "spacing": [6, 6, 6], "patch": [24, 32, 32]},
        **{"features": [16, 32, 64], "classes": ["pancreas"], "iterations": 600, "learning_rate": 0.004},
    }
    models = {"organ": organ, "pancreas": region, "interactive": INTERACTIVE}
    if fine_duct:
        # A normal duct is as wide as a voxel: a network that sees it no finer than that loses it.
        models |= {"pancreas": {**region, "classes": ["pancreas", "pdac"]}, "duct": duct}
    return {
        "infer": {"step": 0.7, "skip_trusted": True},
        "filter": {"rules": [{"rule": "largest_component", "classes": ["pancreas"]}]},
        "score": {"budget": budget, "audit": 0, "rejected_first": True},
        "retrain": {"licence": "CC0-1.0", "strategy": strategy, "models": models},
    }


@click.command()
@click.option("--cases", default=24, show_default=True, help="Of site A.")
@click.option("--cases-b", default=48, show_default=True, help="Of site B; a third of them has no weak label.")
@click.option("--strategy", default="finetune", show_default=True, help="How the networks learn for round 2.")
@click.option(
    "--fine-duct/--no-fine-duct", default=True, show_default=True, help="A model of its own for the duct, at 1.5 mm."
)
@click.option("--seed", default=0, show_default=True, help="Of the phantoms of site A; those of site B have the next.")
@click.option("--work", type=click.Path(path_type=Path), help="Where to build; by default a temporary folder.")
@click.option("--out", type=click.Path(path_type=Path), help="Write the tables here too.")
def main(
    cases: int, cases_b: int, strategy: str, fine_duct: bool, seed: int, work: Path | None, out: Path | None
) -> None:
    """Play both rounds and print the tables."""
    started, out = time.monotonic(), out.resolve() if out else None
    work = (work or Path(tempfile.mkdtemp(prefix="tartu-"))).resolve()
    make(work, cases, cases_b, seed, parameters(cases_b, strategy, fine_duct))
    origins: dict[tuple[int, str, str], tuple[str, float]] = {}
    voxledger("round", "run")
    voxledger("round", "close")
    for number in ROUNDS:
        voxledger("round", "open")
        voxledger("round", "run", accept=(3,))
        origins |= proposed(number, work / "site-b/reference", read_schema(layout.SCHEMA))
        bounds = ("--dice", str(ACCEPT), "--reject-below", str(REJECT))
        voxledger("review", "emulate", "--reference", str(work / "site-b/reference"), *bounds)
        if number == ROUNDS[-1]:
            # Nothing is predicted any more.
            set_parameters({"retrain": {"models": {}}})
        voxledger("round", "run")
        voxledger("round", "close")
    told = f"{tables(origins)}\n\n{time.monotonic() - started:.0f} s."
    print(f"\n{told}")
    if out:
        out.write_text(told + "\n", "utf-8")


def make(work: Path, cases: int, cases_b: int, seed: int, values: dict[str, Any]) -> None:
    """Phantoms of both sites with the pancreas and what lies in it, in a new repository that is the current folder."""
    shutil.rmtree(work, ignore_errors=True)
    for site, count, labelled, drawn in (("a", cases, cases, seed), ("b", cases_b, 0, seed + 1)):
        shown = ("--size", "medium", "--kind", "pdac", "--lesions", "1", "--site", site, "--seed", str(drawn))
        folder = work / f"site-{site}"
        counted = ("--count", str(count), "--labelled", str(labelled))
        voxledger("cases", "phantom", str(folder), *counted, *shown, "--prefix", f"{site}-")
        for path in sorted((folder / "reference").iterdir()):
            keep_pancreas(path)
    voxledger("init", str(work / "repository"), "--name", "tartu")
    os.chdir(work / "repository")
    layout.SCHEMA.write_text(SCHEMA, "utf-8")
    set_parameters(values)
    for site, labels in (("a", ("--labels", "reference")), ("b", ("--weak", "weak"))):
        option, folder = labels[0], work / f"site-{site}"
        voxledger(
            *("cases", "add", str(folder / "images"), option, str(folder / labels[1]), "--split", "pool"),
            *("--source", f"site-{site}", "--licence", "CC0-1.0", "--modality", "CT"),
        )


def keep_pancreas(path: Path) -> None:
    """Write a label map without the other organs."""
    from voxledger.imaging.volume import read, write

    label = read(path)
    write(path, np.where(np.isin(label.array, IDS), label.array, 0).astype(np.uint8), label.grid)


def proposed(number: int, reference: Path, schema: LabelSchema) -> dict[tuple[int, str, str], tuple[str, float]]:
    """Of everything that was sent out in a round: where it is from, and its Dice with the reference."""
    by_case = ensembles(read_predicted(layout.PREDICTED))
    found = {}
    for path in sorted(layout.BUNDLES.glob(f"bundle-*/{LABELS}/*.nii.gz")):
        case_id = path.name.removesuffix(".nii.gz")
        shown, truth = read_label(path), read_label(reference / path.name)
        for name in schema.names:
            weak = by_case[case_id].weak.get(name, ())
            origin = " + ".join(sorted({mark.split("/")[0] for mark in weak})) or "organ models"
            found[number, case_id, name] = origin, dice(schema.mask(shown, name), schema.mask(truth, name))
    return found


def tables(origins: dict[tuple[int, str, str], tuple[str, float]]) -> str:
    """Markdown: decisions by round, class and origin, and what became of the rejected."""
    schema = read_schema(layout.SCHEMA)
    readings = read_readings(layout.RELEASE_READINGS)
    said: dict[tuple[int, str, str], Counter[str]] = {}
    quality: dict[tuple[int, str, str], list[float]] = {}
    for one in readings:
        origin, value = origins[one.version, one.case_id, one.class_name]
        group = one.version, one.class_name, origin
        said.setdefault(group, Counter())[one.decision] += 1
        quality.setdefault(group, []).append(value)
    rows = [
        [
            *map(str, group),
            *(str(counts[word]) for word in ("accept", "revise", "reject")),
            f"{np.mean(quality[group]):.2f}",
        ]
        for group, counts in sorted(said.items())
    ]
    went = [
        [str(number), *map(str, found["said"].values()), *map(str, found["again"].values())]
        for number, found in flow(readings, schema).items()
    ]
    head = ["round", "class", "from", "accepted", "revised", "rejected", "mean Dice"]
    after = ["then accepted", "then revised", "then rejected", "open"]
    return "\n\n".join(
        [table(head, rows), table(["round", "accepted", "revised", "rejected", *after], went)],
    )


def table(header: list[str], rows: list[list[str]]) -> str:
    return "\n".join(f"| {' | '.join(row)} |" for row in [header, ["---"] * len(header), *rows])


if __name__ == "__main__":
    main()
