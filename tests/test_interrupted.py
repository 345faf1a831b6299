"""`kill -9` of a running `dvc repro`, with real trainings: the same hashes, and nothing computed twice."""

from __future__ import annotations

import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from commands import parameters, run

from voxledger.imaging.volume import Grid, write
from voxledger.layout import MEMO

GRID = Grid.plain((16, 24, 20), (2.0, 1.5, 1.5))
LABELS = "name: one\nclasses:\n  - {id: 1, name: organ}\n"
MODELS = {
    "nnunet": {"backend": "nnunet", "recipe": "small", "patch": [16, 16, 16], "features": [4, 8], "iterations": 3},
    "unet": {"backend": "monai", "network": "unet", "patch": [16, 16, 16], "features": [4, 8], "iterations": 3},
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository with round 1 open: two trained models, ten cases."""
    root = tmp_path_factory.mktemp("interrupted")
    for n in range(11):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[4:12, 5 : 15 + n % 3, 4:14] = 1
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(
            root / f"{'images' if n < 10 else 'late'}/case{n:02}.nii.gz", (labels * 100 + noise).astype(np.int16), GRID
        )
        if n < 6:
            write(root / f"labels/case{n:02}.nii.gz", labels, GRID)
    before = Path.cwd()
    run("voxledger", "init", str(root / "repo"), "--name", "one")
    os.chdir(root / "repo")
    Path("labels.yaml").write_text(LABELS)
    parameters(score={"budget": 0, "audit": 0}, retrain={"models": MODELS}, cases={"calibration": 0.0, "test": 0.2})
    run("voxledger", "cases", "add", str(root / "images"), "--labels", str(root / "labels"))
    run("voxledger", "round", "run")
    run("voxledger", "round", "close")
    run("voxledger", "round", "open")
    os.chdir(before)
    return root


@pytest.fixture
def repository(opened: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    shutil.copytree(opened / "repo", tmp_path / "repo", symlinks=True)
    monkeypatch.chdir(tmp_path / "repo")
    shutil.rmtree(MEMO)
    return tmp_path / "repo"


def remembered(stage: str) -> set[str]:
    folder = MEMO / stage
    return {p.name for p in folder.iterdir() if (p / "memo.json").is_file()} if folder.is_dir() else set()


def kill_when(ready: Callable[[], bool]) -> None:
    process = subprocess.Popen(["dvc", "repro"], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    deadline = time.monotonic() + 120
    while not ready():
        assert process.poll() is None, "dvc repro ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


@pytest.mark.slow
def test_a_killed_round_ends_with_the_same_hashes(repository: Path, opened: Path, tmp_path: Path) -> None:
    kill_when(lambda: len(remembered("infer")) >= 3)
    after_infer = {name: (MEMO / "infer" / name).stat().st_mtime_ns for name in remembered("infer")}
    kill_when(lambda: len(remembered("retrain")) >= 1)
    after_retrain = {name: (MEMO / "retrain" / name).stat().st_mtime_ns for name in remembered("retrain")}
    run("dvc", "repro")
    for stage, finished in (("infer", after_infer), ("retrain", after_retrain)):
        for name, written in finished.items():
            assert (MEMO / stage / name).stat().st_mtime_ns == written
    killed = Path("dvc.lock").read_bytes()

    shutil.copytree(opened / "repo", tmp_path / "undisturbed", symlinks=True)
    os.chdir(tmp_path / "undisturbed")
    shutil.rmtree(MEMO)
    run("dvc", "repro")
    assert Path("dvc.lock").read_bytes() == killed


@pytest.mark.slow
def test_one_more_case_is_the_only_one_predicted(repository: Path, opened: Path) -> None:
    run("dvc", "repro", "infer")
    before = remembered("infer")
    run("voxledger", "cases", "add", str(opened / "late"))
    run("dvc", "repro", "infer")
    assert len(remembered("infer") - before) == len(MODELS)
    lines = [json.loads(line) for line in Path("data/round/infer.jsonl").read_text().splitlines()]
    assert {line["case_id"] for line in lines if line["key"] not in before} == {"case10"}
