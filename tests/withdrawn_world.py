"""A dataset of which one patient is withdrawn: with cases of two sources, in a bundle with others, and in a cohort."""

from __future__ import annotations

import contextlib
from pathlib import Path

import numpy as np
from commands import parameters, run

from voxledger import layout
from voxledger.imaging.volume import Grid, write
from voxledger.records.card import ModelCard, write_card

GRID = Grid.plain((12, 16, 14), (3.0, 1.5, 1.5))
LABELS = "name: one\nclasses:\n  - {id: 1, name: organ}\n  - {id: 2, name: lesion, inside: organ, lesion: true}\n"
UNET = {"backend": "monai", "network": "unet", "patch": [8, 16, 16], "features": [4, 8], "iterations": 3}
PATIENT, OTHER = "pat1", "pat10"
CASES = ("scan1", "scan1_heat", "far1")
"""Those of `PATIENT`: of one source labelled and not labelled, and of another one."""
SITE_A = {"scan1": PATIENT, "scan1_heat": PATIENT, "scan10": OTHER, "scan2": "pat2", "scan3": "pat3", "scan4": "pat4"}
SITE_B = {"far1": PATIENT, "far2": OTHER, "far3": "pat3"}
LABELLED = ("scan1", "scan10", "scan2", "scan3", "far1", "far2")
EMPTY = ("far1", "far2")
"""Two patients with the same label, of nothing: one object of DVC's."""


def build(root: Path) -> Path:
    """Make the repository, and close its round 0, signed; returns its root."""
    for number, case_id in enumerate({**SITE_A, **SITE_B}):
        _draw(root, number, case_id)
    for name in ("curator", "ann"):
        run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "", "-f", str(root / name))
    run("voxledger", "init", str(root / "repo"), "--name", "one")
    with contextlib.chdir(root / "repo"):
        run("git", "config", "gpg.format", "ssh")
        run("git", "config", "user.signingkey", str(root / "curator"))
        Path("labels.yaml").write_text(LABELS)
        Path("reviewers.yaml").write_text(
            f"reviewers:\n  ann: {{keys: [{{key: {(root / 'ann.pub').read_text().strip()}}}]}}\n"
        )
        parameters(
            score={"budget": 8, "audit": 0, "opening": 0, "attention": "learned"},
            export={"reviewers": ["ann"]},
            retrain={"models": {"unet": UNET}},
            cases={"calibration": 0, "test": 0},
            machine={"workers": 1},
            evaluate={"bootstrap": 100},
        )
        run("dvc", "remote", "add", "--default", "store", str(root / "store"))
        run("dvc", "remote", "modify", "store", "verify", "true")
        run("git", "commit", "--quiet", "--all", "--message", "A remote")
        for site, patients in (("site-a", SITE_A), ("site-b", SITE_B)):
            lines = "".join(f"{case_id},{patient}\n" for case_id, patient in patients.items())
            (root / f"{site}.csv").write_text(f"case_id,patient\n{lines}")
            add(root, site)
        declared = ("--id", "m-1", "--licence", "CC0-1.0")
        run("voxledger", "models", "add", "m", "--predictions", str(root / "m"), *declared)
        finish(root)
    return root / "repo"


def learn_errors() -> str:
    """Put a model of errors beside the judged voxels that the open round starts from; returns its id.

    From so few cases the round learns none.
    """
    write_card(
        layout.BASE_ERROR_MODEL,
        ModelCard(
            id="e" * 64, name="errors", backend="attention", architecture="", strategy="full", cohort="", parent="",
            params={}, licence="", round=0,
        ),
    )  # fmt: skip
    run("dvc", "add", "--quiet", str(layout.BASE_ATTENTION))
    run("git", "commit", "--quiet", "--all", "--message", "A model of errors")
    return "e" * 64


def add(root: Path, site: str, accept: tuple[int, ...] = (0,)) -> str:
    """Register the cases of a site."""
    given = ("--labels", str(root / site / "labels"), "--patients", str(root / f"{site}.csv"), "--source", site)
    weak = ("--weak", str(root / site / "weak")) if (root / site / "weak").is_dir() else ()
    keys = ("--keys", str(root / "keys"), "--split", "pool")
    return run("voxledger", "cases", "add", str(root / site / "images"), *given, *weak, *keys, accept=accept)


def finish(root: Path) -> None:
    """Run the round of the current folder, with an emulated reader where there is something to read, and close it."""
    run("voxledger", "round", "run", accept=(0, 3))
    returns = root / "returns"
    if any(Path("data/round/bundles").glob("bundle-*")):
        run("voxledger", "review", "emulate", "--reference", str(root / "reference"), "--inbox", str(returns))
        for folder in returns.iterdir():
            run("voxledger", "review", "sign", str(folder), "--key", str(root / "ann"))
            run("voxledger", "review", "receive", str(folder))
        run("voxledger", "round", "run")
    run("voxledger", "round", "close")


def _draw(root: Path, number: int, case_id: str) -> None:
    """Image, reference, prediction and, where there are any, label and weak label of a case."""
    labels = np.zeros(GRID.shape, np.uint8)
    labels[3:10, 3 : 7 + number, 3 : 11 - number % 4] = 1
    labels[5:8, 4:6, 4 : 6 + number % 2] = 2
    noise = np.random.default_rng(number).normal(0, 10, GRID.shape)
    site = "site-a" if case_id in SITE_A else "site-b"
    write(root / site / f"images/{case_id}.nii.gz", (labels * 100 + noise).astype(np.int16), GRID)
    write(root / f"reference/{case_id}.nii.gz", labels, GRID)
    proposed = labels.copy()
    proposed[9] = 0
    write(root / f"m/{case_id}.nii.gz", proposed, GRID)
    if case_id in LABELLED:
        write(root / site / f"labels/{case_id}.nii.gz", labels * (case_id not in EMPTY), GRID)
    if case_id in ("scan1_heat", "scan4"):
        one_slice = np.zeros_like(labels)
        one_slice[6] = labels[6] > 0
        write(root / site / f"weak/{case_id}.nii.gz", one_slice, GRID)
