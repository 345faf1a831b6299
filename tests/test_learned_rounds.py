"""Learned attention, predicted quality and expected gain where there is next to nothing to learn from: one class, one
model, no revision before, and then no case that is left; through the real DVC and command line."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from commands import parameters, run

from voxledger import layout
from voxledger.imaging.volume import Grid, write
from voxledger.records.cases import read_cases
from voxledger.records.worklist import read_worklist
from voxledger.score.judged_cells import all_judged

pytestmark = pytest.mark.slow

GRID = Grid.plain((12, 20, 20), (2.0, 1.0, 1.0))
CASES = tuple(f"case{n}" for n in range(3))


def organ(shift: int, leak: bool = False) -> np.ndarray:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[2:10, 4:14, 3 + shift : 13 + shift] = 1
    labels[6:10, 4:9, 3 + shift : 8 + shift] = 0
    labels[:, 14:19, 2 + shift : 14 + shift] = leak
    return labels


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for n, case_id in enumerate(CASES):
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(tmp_path / f"images/{case_id}.nii.gz", (100.0 * organ(n) + noise).astype(np.int16), GRID)
        write(tmp_path / f"reference/{case_id}.nii.gz", organ(n), GRID)
        write(tmp_path / f"model/{case_id}.nii.gz", organ(n, leak=n > 0), GRID)
    run("voxledger", "init", str(tmp_path / "repo"), "--name", "one")
    monkeypatch.chdir(tmp_path / "repo")
    layout.SCHEMA.write_text("name: one\nclasses:\n  - {id: 1, name: organ}\n")
    parameters(
        score={"attention": "learned", "quality": True, "stop_dice": 0.9, "acquisition": "expected_gain", "audit": 0},
        export={"reviewers": ["ann"]},
        evaluate={"error_tolerance_mm": 1.0},
    )
    run("voxledger", "cases", "add", str(tmp_path / "images"), "--source", "made")
    run(
        "voxledger", "models", "add", "m", "--predictions", str(tmp_path / "model"), "--id", "m", "--licence", "CC0-1.0"
    )
    return tmp_path


def test_nothing_before_one_class_one_model_and_then_nothing_left(repository: Path) -> None:
    assert "waits for people" in run("voxledger", "round", "run", accept=(3,))
    found = json.loads(layout.OUTLOOK.read_text("utf-8"))
    assert found["attention"]["by"] == "published criteria"
    assert "cannot be judged" in found["why"]
    assert sorted({row.case_id for row in read_worklist(layout.WORKLIST)}) == list(CASES)
    report = layout.SCORE_SECTION.read_text("utf-8")
    assert "score.attention is learned, and score.audit is 0" in report
    assert "score.stop_dice cannot be judged without a blind audit" in report
    assert "Nothing is predicted yet" in report

    run("voxledger", "review", "emulate", "--reference", str(repository / "reference"))
    run("voxledger", "round", "run")
    run("voxledger", "round", "close")
    judged = all_judged(layout.NEXT_JUDGED_CELLS, read_cases())
    assert [one.errors["organ"] > 0 for one in judged] == [False, True, True]

    said = run("voxledger", "round", "open")
    assert "warning: score.attention is learned, and score.audit is 0" in said
    assert "warning: score.stop_dice cannot be judged" in said
    run("voxledger", "round", "run")
    assert read_worklist(layout.WORKLIST) == []
    assert json.loads(layout.OUTLOOK.read_text("utf-8"))["stop"] is True
    assert len(all_judged(layout.NEXT_JUDGED_CELLS, read_cases())) == len(judged)
    run("voxledger", "round", "close")
