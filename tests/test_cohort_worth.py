"""What a cohort is worth, as a curator asks for it: through DVC, interrupted, again, and at the end of a round."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import time
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run

from voxledger import layout
from voxledger.imaging.volume import Grid, file_sha256, write

pytestmark = pytest.mark.slow
GRID = Grid.plain((12, 20, 24), (2.0, 1.0, 1.0))
LABELS = "name: one\nclasses:\n  - {id: 1, name: organ}\n"
MODEL = {
    **{"backend": "monai", "network": "unet", "patch": [8, 16, 16], "features": [8, 16], "iterations": 60},
    "learning_rate": 0.01,
}


def site(root: Path, name: str, seeds: range, upside_down: bool = False) -> tuple[str, ...]:
    """Cases with an organ that is brighter than the rest; upside down, their labels are mirrored."""
    for n in seeds:
        rng = np.random.default_rng(n)
        corner = rng.integers(1, 8, 3)
        labels = np.zeros(GRID.shape, np.uint8)
        labels[tuple(slice(c, c + s) for c, s in zip(corner, (4, 8, 10), strict=True))] = 1
        image = np.where(labels > 0, 80, 0) + rng.normal(0, 10, labels.shape)
        write(root / name / "images" / f"{name}-{n}.nii.gz", image.astype(np.int16), GRID)
        write(root / name / "reference" / f"{name}-{n}.nii.gz", labels, GRID)
        given = 1 - labels if upside_down else labels
        write(root / name / "labels" / f"{name}-{n}.nii.gz", given.astype(np.uint8), GRID)
    return (str(root / name / "images"), "--labels", str(root / name / "labels"), "--source", name, "--modality", "CT")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Site a and a cohort with nonsense for labels in the pool; site c outside."""
    run("voxledger", "init", str(tmp_path / "repo"), "--name", "one")
    with contextlib.chdir(tmp_path / "repo"):
        Path("labels.yaml").write_text(LABELS)
        parameters(retrain={"models": {"unet": MODEL}}, evaluate={"bootstrap": 200}, machine={"workers": 1})
        run("voxledger", "cases", "add", *site(tmp_path, "a", range(4)), "--split", "pool")
        run("voxledger", "cases", "add", *site(tmp_path, "spoilt", range(10, 15), True), "--split", "pool")
        run("voxledger", "cases", "add", *site(tmp_path, "c", range(20, 24)), "--split", "external")
    return tmp_path / "repo"


def tables(root: Path) -> dict[str, str]:
    return {p.name: file_sha256(p) for p in sorted((root / "pipelines/worth").glob("*.csv"))}


def test_a_spoilt_cohort_hurts_and_its_references_do_not(repository: Path) -> None:
    references = str(repository.parent / "spoilt" / "reference")
    with contextlib.chdir(repository):
        begun = subprocess.Popen(
            ["voxledger", "cohort", "worth", "spoilt", "--references", references], start_new_session=True
        )
        while len(tables(repository)) < 4:
            assert begun.poll() is None, "it ended early"
            time.sleep(0.2)
        os.killpg(begun.pid, signal.SIGKILL)
        begun.wait()
        before = tables(repository)
        time.sleep(2)  # what DVC started ends with it
        told = output("voxledger", "cohort", "worth", "spoilt", "--references", references)
        after = tables(repository)
        assert {name: after[name] for name in before} == before
        assert not list(layout.MEMO.glob(".worth-*")), "nothing is left of the killed one"
        assert len(after) == 12
        assert told.count("Running stage") <= 12 - len(before) + 2, told
        assert "spoilt, reviewed: hurts on external/c" in told
        assert "spoilt, predicted: hurts on external/c" in told
        assert "spoilt, reference: hurts" not in told
        as_json = output("voxledger", "cohort", "worth", "spoilt", "--references", references, "--json")
        found = json.loads(as_json[as_json.index("{\n") :])
        assert {v["arm"] for v in found["verdicts"]} == {"predicted", "reviewed", "reference"}
        assert tables(repository) == after
        assert run("git", "status", "--porcelain", "--untracked-files=all", "pipelines", "reports").count("??") == 0
        run("voxledger", "round", "run")
        closed = run("voxledger", "round", "close")
        assert "spoilt, reviewed: hurts on external/c" in closed
        run("voxledger", "verify", "one@v0.0.0", accept=(0, 4))
        run("voxledger", "round", "open")


def test_what_is_asked_wrongly_is_named(repository: Path) -> None:
    with contextlib.chdir(repository):
        assert "no case of the pool has the source b" in run("voxledger", "cohort", "worth", "b", accept=(2,))
        said = run("voxledger", "cohort", "worth", "spoilt", "--seeds", "2", accept=(2,))
        assert "2 trainings of an arm are too few" in said
        assert not Path("pipelines").exists()


def test_a_training_that_fails_leaves_nothing(repository: Path) -> None:
    with contextlib.chdir(repository):
        image = Path("data/images/a-0.nii.gz")
        image.unlink()  # a link of DVC's cache
        image.write_bytes(b"no image")
        run("voxledger", "cohort", "measure", "spoilt", "without", "0", accept=(1,))
        assert not list(layout.MEMO.glob(".worth-*"))
