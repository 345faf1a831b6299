"""A model of an organ through two rounds, as a curator meets it."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run

from voxledger.imaging.volume import Grid, file_sha256, write
from voxledger.records.ledger import read_ledger
from voxledger.records.worklist import read_worklist

GRID = Grid.plain((12, 24, 20), (3.0, 1.5, 1.5))
LABELS = (
    "name: two\nclasses:\n  - {id: 1, name: organ}\n  - {id: 2, name: lesion, inside: organ, lesion: true}\n"
    "  - {id: 3, name: spleen}\n"
)
LOST = "case4"
"""The model that finds the organ finds none here."""
FINE = {
    "backend": "monai",
    "network": "unet",
    "patch": [8, 8, 8],
    "features": [4, 8],
    "iterations": 3,
    "region": {"inside": "organ", "margin_mm": 3},
    "lesion_share": 0.5,
}


@pytest.fixture
def first_round(tmp_path: Path) -> Path:
    """A repository whose round 0 has trained a model of an organ that a model from elsewhere finds."""
    for n in range(6):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[3:9, 3 : 10 + n % 2, 4:12] = 1
        labels[5:7, 5:8, 6:9] = 2
        labels[3:9, 14:22, 4:12] = 3
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(tmp_path / f"images/case{n}.nii.gz", (labels * 100 + noise).astype(np.int16), GRID)
        write(tmp_path / f"reference/case{n}.nii.gz", labels, GRID)
        found = np.where(labels == 3, 3, 0 if f"case{n}" == LOST else np.minimum(labels, 1))
        write(tmp_path / f"model/case{n}.nii.gz", found.astype(np.uint8), GRID)
        if n < 3:
            write(tmp_path / f"labels/case{n}.nii.gz", labels, GRID)
    run("voxledger", "init", str(tmp_path / "repo"), "--name", "two")
    with contextlib.chdir(tmp_path / "repo"):
        Path("labels.yaml").write_text(LABELS)
        parameters(
            score={"budget": 0, "audit": 0, "opening": 0},
            cases={"calibration": 0.0, "test": 0.3},
            filter={"rules": []},
            retrain={"models": {"fine": FINE}},
        )
        run("voxledger", "cases", "add", str(tmp_path / "images"), "--labels", str(tmp_path / "labels"))
        declared = ("--id", "model-1", "--licence", "CC0-1.0", "--classes", "organ,spleen")
        run("voxledger", "models", "add", "maps", "--predictions", str(tmp_path / "model"), *declared)
        run("voxledger", "round", "run")
        run("voxledger", "round", "close")
        run("voxledger", "round", "open")
    return tmp_path / "repo"


def predictions() -> dict[str, str]:
    return {f"{p.parent.name}/{p.name}": file_sha256(p) for p in Path("data/round/predictions").glob("*/*.b2nd")}


@pytest.mark.slow
def test_where_the_organ_is_not_found_people_look_first_and_reports_say_so(first_round: Path) -> None:
    with contextlib.chdir(first_round):
        assert "UNet 4-8 (organ and 3 mm around it, full, round 0)" in output("voxledger", "models", "list")
        parameters(score={"budget": 2, "audit": 0, "opening": 0}, retrain={"models": {"fine": FINE}})
        run("voxledger", "round", "run", accept=(3,))
        rows = read_worklist("data/round/worklist.csv")
        assert {(r.rank, r.case_id, r.reason) for r in rows if r.rank == 1} == {(1, LOST, "organ not found")}
        assert {r.reason for r in rows if r.rank == 2} == {"attention"}
        assert "an organ was not found in 1 case" in output("voxledger", "round", "status")
        first = predictions()
        assert len(first) == 2 * 6
        shutil.rmtree("data/round/predictions")
        shutil.rmtree(".memo")
        run("voxledger", "review", "emulate", "--reference", str(first_round.parent / "reference"))
        run("voxledger", "round", "run")
        again = predictions()
        assert f"fine/{LOST}.b2nd" in again
        assert again.items() <= first.items()
        assert f"{LOST} (organ)" in Path("reports/round.html").read_text()
        run("voxledger", "round", "close")
        assert read_ledger("data/release/ledger.csv")[LOST, "lesion"].origin.trusted
