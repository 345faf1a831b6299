"""The same round on processes of this machine, on a dask cluster and in jobs of Slurm, with a worker killed in each."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import distributed
import numpy as np
import psutil
import pytest
from commands import parameters, run
from slurm import missing, slurm

from voxledger.cli.demo import set_parameters
from voxledger.imaging.volume import Grid, file_sha256, write

pytestmark = pytest.mark.slow

GRID = Grid.plain((16, 24, 20), (2.0, 1.5, 1.5))
LABELS = "name: two\nclasses:\n  - {id: 1, name: organ}\n  - {id: 2, name: lesion, inside: organ, lesion: true}\n"
MODELS = {
    "nnunet": {"backend": "nnunet", "recipe": "small", "patch": [16, 16, 16], "features": [4, 8], "iterations": 4},
    "unet": {"backend": "monai", "network": "unet", "patch": [16, 16, 16], "features": [4, 8], "iterations": 4},
}


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose round 1 has two models and nine cases, and has not begun; and the truth."""
    root = tmp_path_factory.mktemp("opened")
    for n in range(9):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[3:12, 4 : 15 + n % 3, 4:14] = 1
        labels[5:8, 7:10, 6 : 9 + n % 2] = 2
        image = np.array([0, 100, 40])[labels] + np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(root / f"images/case{n}.nii.gz", image.astype(np.int16), GRID)
        write(root / f"reference/case{n}.nii.gz", labels, GRID)
        if n < 5:
            write(root / f"labels/case{n}.nii.gz", labels, GRID)
    run("voxledger", "init", str(root / "repo"), "--name", "two")
    with contextlib.chdir(root / "repo"):
        Path("labels.yaml").write_text(LABELS)
        parameters(
            score={"budget": 0, "audit": 0, "opening": 0},
            export={"reviewers": ["ann", "ben"]},
            retrain={"models": MODELS},
            cases={"calibration": 0.2, "test": 0.2},
            calibrate={"classes": ["lesion"], "bootstrap": 100},
        )
        run("voxledger", "cases", "add", "../images", "--labels", "../labels")
        run("voxledger", "round", "run")
        run("voxledger", "round", "close")
        run("voxledger", "round", "open")
        set_parameters({"score": {"budget": 3, "audit": 1}})
        shutil.rmtree(".memo")
    return root


@pytest.fixture(scope="module")
def undisturbed(opened: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """What the round leaves that one process computed."""
    return left_by(opened, tmp_path_factory.mktemp("undisturbed"), lambda _: False)


def left_by(opened: Path, folder: Path, kill: Callable[[psutil.Process], bool]) -> dict[str, str]:
    """Run the round in a copy, with the first worker killed before and after the review; `dvc.lock` and predictions."""
    shutil.copytree(opened, folder / "work", symlinks=True)
    with contextlib.chdir(folder / "work/repo"):
        for accept in (3, 0):
            with first_worker_killed(Path.cwd(), kill):
                run("voxledger", "round", "run", accept=(accept,))
            if accept:
                run("voxledger", "review", "emulate", "--reference", "../reference")
        half = [p for p in Path(".memo").glob("*/[!.]*") if p.is_dir() and not (p / "memo.json").is_file()]
        assert not half  # what a killed process was at, `.partial-*`, goes when its stage runs next
        files = [Path("dvc.lock"), *sorted(Path("data/round/predictions").rglob("*.b2nd"))]
        assert len(files) == 1 + 2 * 9
        return {path.as_posix(): file_sha256(path) for path in files}


@contextlib.contextmanager
def first_worker_killed(repository: Path, kill: Callable[[psutil.Process], bool]) -> Iterator[None]:
    """Kill once, as soon as a process computes cases of the repository."""
    ended, wanted = threading.Event(), kill(psutil.Process())
    killed: list[int] = []

    def watch() -> None:
        while not killed and not ended.wait(0.05):
            for process in psutil.process_iter():
                with contextlib.suppress(psutil.Error):
                    if "voxledger.casemap.worker" in process.cmdline() and process.cwd() == str(repository):
                        time.sleep(1)  # so that it computes
                        if kill(process):
                            killed.append(process.pid)
                            break

    thread = threading.Thread(target=watch)
    if wanted:
        thread.start()
    try:
        yield
    finally:
        ended.set()
        if wanted:
            thread.join()
    assert bool(killed) is wanted


def kill_process(process: psutil.Process) -> bool:
    if process.pid != os.getpid():
        process.kill()
    return True


def kill_worker_of_dask(process: psutil.Process) -> bool:
    if process.pid != os.getpid():
        parent = process.parent()
        assert parent is not None
        parent.kill()
    return True


def cancel_job(process: psutil.Process) -> bool:
    if process.pid != os.getpid():
        subprocess.run(["scancel", process.environ()["SLURM_JOB_ID"]], check=True)
    return True


def test_local(opened: Path, undisturbed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXLEDGER_WORKERS", "2")
    assert left_by(opened, tmp_path, kill_process) == undisturbed


def test_dask(opened: Path, undisturbed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXLEDGER_EXECUTOR", "dask")
    with distributed.LocalCluster(
        n_workers=2, threads_per_worker=1, host="127.0.0.1", dashboard_address="127.0.0.1:0"
    ) as cluster:
        monkeypatch.setenv("VOXLEDGER_SCHEDULER", cluster.scheduler_address)
        assert left_by(opened, tmp_path, kill_worker_of_dask) == undisturbed


@pytest.mark.skipif(bool(missing()), reason=missing())
def test_slurm(opened: Path, undisturbed: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("VOXLEDGER_EXECUTOR", "slurm")
    monkeypatch.setenv("VOXLEDGER_WORKERS", "2")
    with slurm():
        assert left_by(opened, tmp_path, cancel_job) == undisturbed
