"""`voxledger demo`: two rounds on example cases, every step the command that a curator would type."""

from __future__ import annotations

import csv
import io
import os
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import click

from voxledger import layout
from voxledger.page import NAME as PAGE

ORGANS = (
    *("liver", "spleen", "kidney_right", "kidney_left", "stomach", "gallbladder", "pancreas"),
    *("aorta", "postcava", "spine"),
)
PARAMETERS: dict[str, Any] = {
    "licence": "CC0-1.0",
    "cases": {"calibration": 0.1, "test": 0.3},
    "infer": {"step": 0.75},
    "score": {"budget": 4, "audit": 1},
    "export": {"reviewers": ["alice", "bob"]},
    "retrain": {
        "strategy": "finetune",
        "finetune_iterations": 0.4,
        "licence": "CC0-1.0",
        "models": {
            **{
                name: {
                    "backend": "monai",
                    "network": "unet",
                    "spacing": [8.25, 6.75, 6.75],
                    "patch": [32, 32, 32],
                    "features": features,
                    "classes": list(ORGANS),
                    "iterations": 135,
                    "learning_rate": 0.006,
                }
                for name, features in (("organs", [16, 32, 64]), ("organs-deep", [12, 24, 48, 96]))
            },
            "pancreas": {
                "backend": "monai",
                "network": "unet",
                "spacing": [2.5, 2.5, 2.5],
                "patch": [24, 40, 40],
                "features": [16, 32, 64],
                "region": {"inside": "pancreas", "margin_mm": 10},
                "classes": ["pancreas", "pancreatic_duct", "pdac"],
                "lesion_share": 0.5,
                "iterations": 1000,
                "learning_rate": 0.006,
            },
            "prompted": {
                "backend": "nninteractive",
                "patch": [32, 32, 32],
                "classes": ["pdac"],
                "iterations": 150,
            },
        },
    },
}
"""What the demo sets in params.yaml: budgets that two cores finish in minutes. The last model predicts what weak labels
mark, and is trained on the core that the model of the pancreas leaves idle."""
PHANTOMS = ("--size", "medium", "--kind", "pdac", "--lesions", "0.85")


@click.command()
@click.argument("folder", type=click.Path(path_type=Path), default=Path("demo"))
@click.option(
    "--rounds", default=2, show_default=True, help="Rounds with a reader, after the one that trains first models."
)
def demo(folder: Path, rounds: int) -> None:
    """Make example cases in FOLDER and play rounds on them with an emulated reader.

    \b
    Example:
      voxledger demo demo
    """
    from voxledger.errors import Misuse
    from voxledger.init import require_identity, require_new
    from voxledger.models.nninteractive.network import require_installed

    require_installed()
    if folder.is_dir() and any(folder.iterdir()):
        raise Misuse(f"{folder} is not empty", f"`rm -rf {folder}` to start again, or name another folder")
    require_new(folder)
    require_identity()
    started = time.monotonic()
    folder = folder.resolve()
    phantoms, repository = folder / "phantoms", folder / "repository"
    voxledger("cases", "phantom", str(phantoms / "a"), "--count", "20", "--labelled", "12", "--seed", "7", *PHANTOMS)
    voxledger(
        *("cases", "phantom", str(phantoms / "b"), "--count", "2", "--labelled", "2", *PHANTOMS),
        *("--site", "b", "--seed", "1"),
    )
    voxledger("init", str(repository), "--name", "demo")
    os.chdir(repository)
    for name, value in (("user.name", "voxledger demo"), ("user.email", "demo@example.org")):
        subprocess.run(["git", "config", name, value], check=True)
    subprocess.run(["dvc", "remote", "add", "--quiet", "--default", "storage", str(folder / "storage")], check=True)
    subprocess.run(["dvc", "remote", "modify", "--quiet", "storage", "verify", "true"], check=True)
    set_parameters(PARAMETERS)
    both = ("--licence", "CC0-1.0", "--labels")
    site_a = phantoms / "a"
    voxledger(
        *("cases", "add", str(site_a / "images"), *both, str(site_a / "labels"), "--weak", str(site_a / "weak")),
        *("--source", "phantom-site-a"),
    )
    site_b = phantoms / "b"
    voxledger(
        *("cases", "add", str(site_b / "images"), *both, str(site_b / "reference")),
        *("--source", "phantom-site-b", "--split", "external"),
    )
    play(rounds, site_a / "reference")
    click.echo()
    click.echo(summary(layout.HISTORY))
    click.echo(minutes_are_assumed())
    click.echo(f"\n{time.monotonic() - started:.0f} s. Open {repository / layout.ROUND_REPORT}")
    for bundle in layout.exported(rounds)[:1]:
        click.echo(f"What a reader is sent, in a browser: {repository / bundle / PAGE}")


def minutes_are_assumed() -> str:
    """What the minutes of the table rest on, one sentence a line."""
    from voxledger.minutes import assumptions
    from voxledger.params import read_params
    from voxledger.textfile import read_json_if_there

    params = read_params()
    so_far = (read_json_if_there(layout.READERS) or {})["cost_so_far"]
    saved = [
        f"{'–' if one['saving'] is None else format(one['saving'], '.0%')} at {one['looking_minutes']:g}"
        for one in so_far["assumed"]
    ]
    found = assumptions(params.evaluate.looking_minutes, params.score.scratch_minutes)
    return "\n".join(
        ["", f"Minutes are those of an emulated reader, who saves {', '.join(saved)} minutes a look.", *found]
    )


def play(rounds: int, reference: Path) -> None:
    """Run round 0, which trains the first models, and then `rounds` rounds with the emulated reader.

    The current folder is a curation repository with cases; its last round is left closed.
    """
    for number in range(rounds + 1):
        if number:
            voxledger("round", "open")
        waiting = voxledger("round", "run", accept=(0, 3)) == 3
        if waiting:
            voxledger("review", "emulate", "--reference", str(reference))
            voxledger("round", "run")
        voxledger("round", "close")


def voxledger(*arguments: str, accept: tuple[int, ...] = (0,)) -> int:
    """Type a voxledger command, shown as a curator would type it."""
    click.secho(f"\n$ voxledger {' '.join(arguments)}", bold=True)
    sys.stdout.flush()
    code = subprocess.run([sys.executable, "-P", "-m", "voxledger", *arguments], check=False).returncode
    if code not in accept:
        sys.exit(code)
    return code


def set_parameters(values: Mapping[str, Any]) -> None:
    """Set parameters in params.yaml, keeping its comments."""
    from ruamel.yaml import YAML

    from voxledger.textfile import replace_text

    yaml = YAML()
    path = layout.PARAMS
    document = yaml.load(path)
    for key, value in values.items():
        if isinstance(value, Mapping) and isinstance(document.get(key), Mapping):
            document[key].update(value)
        else:
            document[key] = value
    stream = io.StringIO()
    yaml.dump(document, stream)
    replace_text(path, stream.getvalue())


def summary(history: Path) -> str:
    """The rounds as a Markdown table: share labelled, mean Dice of every next model, minutes of the readers."""
    with open(history, encoding="utf-8", newline="") as stream:
        rows = list(csv.DictReader(stream))
    measured = sorted({(r["set"], r["model"]) for r in rows if r["stage"] == "next"}, key=lambda k: (k[0] != "test", k))
    header = ["round", "labelled", "reviewed", *(f"{model} ({name})" for name, model in measured)]
    lines = [[*header, "reader minutes", "from scratch"], ["---"] * (len(header) + 2)]
    untimed = 0
    for number in sorted({int(r["round"]) for r in rows}):
        mine = [r for r in rows if int(r["round"]) == number]
        dice = {(r["set"], r["model"]): r["dice"] for r in mine if r["stage"] == "next"}
        effort = mine[0]
        untimed += int(effort["decisions"] or 0) - int(effort["decisions_timed"] or 0)
        lines.append(
            [
                str(number),
                f"{float(effort['share_labelled']):.0%}",
                effort["cases_reviewed"],
                *(dice.get(key, "") for key in measured),
                f"{'≥ ' if untimed else ''}{float(effort['minutes_total']):.0f}",
                f"{float(effort['scratch_minutes_total']):.0f}",
            ]
        )
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)
