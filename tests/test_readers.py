"""Rounds that two people read, through the real git, DVC and command line; what they disagree on is adjudicated."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run
from scipy import ndimage

from voxledger.imaging.volume import Grid, read_label, write
from voxledger.records.readings import Outcome, read_readings

pytestmark = pytest.mark.slow

GRID = Grid((16, 24, 20), (3.0, 1.5, 1.5), (5.0, -40.0, 12.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
LABELS = """\
name: two
classes:
  - {id: 1, name: organ}
  - {id: 2, name: lesion, inside: organ, lesion: true}
  - {id: 3, name: neighbour}
"""
WRONG = "case5"
"""Of this case two readers draw the neighbour differently."""


def reference(seed: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    labels = np.zeros(GRID.shape, np.uint8)
    z, y, x = 4 + rng.integers(0, 3), 4 + rng.integers(0, 3), 3 + rng.integers(0, 3)
    labels[z : z + 7, y : y + 9, x : x + 8] = 1
    labels[z + 2 : z + 5, y + 3 : y + 6, x + 2 : x + 5] = 2
    labels[z : z + 6, y + 10 : y + 14, x : x + 6] = 3
    return labels


def otherwise(labels: np.ndarray) -> np.ndarray:
    """What a second reader draws: the neighbour two voxels wider."""
    wide = labels.copy()
    wide[ndimage.binary_dilation(labels == 3, iterations=2) & (labels == 0)] = 3
    return wide


def played(root: Path) -> None:
    """Round 0 at which the bundles of ann and ben have come back."""
    for n in range(8):
        labels = reference(n)
        noise = np.random.default_rng(n).normal(0, 20, GRID.shape)
        write(root / f"images/case{n}.nii.gz", (np.array([-100, 60, 10, 200])[labels] + noise).astype(np.int16), GRID)
        write(root / f"ann/case{n}.nii.gz", labels, GRID)
        write(root / f"ben/case{n}.nii.gz", otherwise(labels) if f"case{n}" == WRONG else labels, GRID)
        if n < 4:
            write(root / f"labels/case{n}.nii.gz", labels, GRID)
        for model in (1, 2):
            wrong = labels.copy()
            wrong[ndimage.binary_erosion(labels == 3, iterations=model)] = 0
            write(root / f"model{model}/case{n}.nii.gz", np.where(labels == 3, 0, wrong) if n > 4 else labels, GRID)
    run("voxledger", "init", str(root / "repo"), "--name", "two")
    os.chdir(root / "repo")
    Path("labels.yaml").write_text(LABELS)
    parameters(
        score={"budget": 3, "opening": 0},
        export={"reviewers": ["ann", "ben"], "readers": 2},
        review={"consensus": "adjudicate", "adjudicator": "zoe", "agreement": 0.9},
        cases={"calibration": 0.0, "test": 0.25},
    )
    run("dvc", "remote", "add", "--default", "store", str(root / "store"))
    run("voxledger", "cases", "add", str(root / "images"), "--labels", str(root / "labels"), "--source", "made")
    for model in (1, 2):
        declared = ("--id", f"model-{model}", "--licence", "CC0-1.0")
        run("voxledger", "models", "add", f"m{model}", "--predictions", str(root / f"model{model}"), *declared)
    waiting = run("voxledger", "round", "run", accept=(3,))
    assert "ann" in waiting
    assert "ben" in waiting
    assert "zoe" not in waiting
    run("voxledger", "review", "emulate", "--reference", str(root / "ann"), "--reviewer", "ann")
    assert "ben" in run("voxledger", "round", "run", accept=(3,))
    run("voxledger", "review", "emulate", "--reference", str(root / "ben"), "--reviewer", "ben")


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Path]:
    root, before = tmp_path_factory.mktemp("readers"), Path.cwd()
    played(root)
    yield root
    os.chdir(before)


def test_the_round_waits_for_the_adjudicator_and_goes_on(waiting: Path) -> None:
    said = run("voxledger", "round", "run", accept=(3,))
    assert "bundle-r00-zoe: has not come back: 1 decisions on 1 cases" in said
    bundle = Path("data/round/adjudication/bundle-r00-zoe")
    assert json.loads(Path("data/sent.json").read_text())["bundles"].keys() == {
        "bundle-r00-ann",
        "bundle-r00-ben",
        "bundle-r00-zoe",
    }
    assert run("git", "status", "--porcelain", "dvc.lock", "data/sent.json", "data/round") == ""
    assert not Path("data/release/ledger.csv").exists()
    assert "not come back" in run("dvc", "repro", accept=(1, 255))
    kept = {name: read_label(bundle / f"readings/{name}/{WRONG}.nii.gz") for name in ("ann", "ben")}
    assert not np.array_equal(kept["ann"], kept["ben"])
    assert (kept["ben"][otherwise(reference(5)) == 3] == 3).all()

    back = waiting / "zoe" / bundle.name
    shutil.copytree(bundle, back)
    shutil.copyfile(back / f"readings/ben/{WRONG}.nii.gz", back / f"labels/{WRONG}.nii.gz")
    lines = (back / "decisions.csv").read_text().splitlines()
    assert lines[1].startswith(f"{WRONG},neighbour,")
    (back / "decisions.csv").write_text(f"{lines[0]}\n{WRONG},neighbour,revise,4,boundary,yes,ben is right\n")
    run("voxledger", "review", "receive", str(back))
    run("voxledger", "round", "run")
    assert np.array_equal(read_label(f"data/release/labels/{WRONG}.nii.gz") == 3, otherwise(reference(5)) == 3)
    rows = [r for r in read_readings("data/release/readings.csv") if r.key == (WRONG, "neighbour")]
    assert {(r.reader, r.outcome) for r in rows} == {
        ("ann", Outcome.OVERRULED),
        ("ben", Outcome.OVERRULED),
        ("zoe", Outcome.COUNTED),
    }
    found = json.loads(Path("reports/readers.json").read_text())
    print(json.dumps(found, indent=1))
    assert found["agreement"]["cases"] == 3
    assert found["agreement"]["adjudicated"] == 1
    run("voxledger", "round", "close")
    chain = json.loads(output("voxledger", "trace", WRONG, "--class", "neighbour", "--json"))
    print(run("voxledger", "trace", WRONG, "--class", "neighbour"))
    assert chain["classes"][0]["reviewer"] == "zoe"
