"""`pip install voxledger` and nothing more: a wheel, installed from the index, used in an environment of its own."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest
from commands import output, run

from voxledger.extras import EXTRAS
from voxledger.page import page

from .conftest import Released

ROOT = Path(__file__).parents[2]
MOST_BYTES = 800_000_000
"""Of the environment; 713 MB as installed, of which SimpleITK has 264 and scipy 113."""

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    built = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", str(built), str(ROOT))
    (found,) = built.glob("voxledger-*.whl")
    return found


class Light:
    """An environment that holds the wheel, and no variable of this one."""

    def __init__(self, root: Path, wheel: Path) -> None:
        self.bin = root / "bin"
        self.said = ""
        run(sys.executable, "-m", "venv", str(root))
        constraints = str(ROOT / "constraints.txt")
        run(str(self.bin / "pip"), "install", "--quiet", "--constraint", constraints, str(wheel))

    def __call__(self, *command: str, cwd: Path, accept: int = 0) -> str:
        """Standard output of a command; what it said as an error is in `said`."""
        here = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        environment = {**here, "PATH": f"{self.bin}:/usr/bin:/bin"}
        program = str(self.bin / command[0]) if (self.bin / command[0]).exists() else command[0]
        done = subprocess.run([program, *command[1:]], cwd=cwd, env=environment, capture_output=True, text=True)
        assert done.returncode == accept, f"{command} → {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        self.said = done.stderr
        return done.stdout


@pytest.fixture(scope="module")
def light(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Light:
    return Light(tmp_path_factory.mktemp("environment") / "light", wheel)


def test_the_wheel_holds_templates_and_page(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        assert archive.read("voxledger/page/review.html") == page()
    files = output("git", "ls-files", "src/voxledger", cwd=ROOT).splitlines()
    assert {name.removeprefix("src/") for name in files} <= names
    templates = ("dvc.yaml", "params.yaml", "labels.yaml", "reviewers.yaml", ".gitignore", "stages/infer.py")
    assert {f"voxledger/template/{name}" for name in templates} <= names


def test_nothing_that_computes_rounds_is_installed(light: Light, tmp_path: Path) -> None:
    asked = f"import importlib.util as u; print([m for m in {EXTRAS['models']} if u.find_spec(m)])"
    assert light("python", "-c", asked, cwd=tmp_path) == "[]\n"
    packages = light.bin.parent / "lib"
    assert sum(path.lstat().st_size for path in packages.rglob("*") if path.is_file()) < MOST_BYTES


def test_a_new_repository_is_well(light: Light, tmp_path: Path) -> None:
    light("voxledger", "init", str(tmp_path / "repo"), "--name", "one", cwd=tmp_path)
    repo = tmp_path / "repo"
    assert output("git", "status", "--porcelain", cwd=repo) == ""
    lines = json.loads(light("voxledger", "doctor", "--json", cwd=repo))["lines"]
    (gpu,) = (line for line in lines if line["check"] == "gpu")
    assert "torch is not installed" in gpu["said"]
    assert "pip install 'voxledger[models]'" in gpu["remedy"]


STAGE = """
from voxledger.stage import PIPELINE, stage
@stage(PIPELINE)
def main(params):
    import torch
main()
"""


def test_what_needs_more_says_which_extra(light: Light, tmp_path: Path) -> None:
    light("voxledger", "demo", "new", cwd=tmp_path, accept=2)
    assert "pip install 'voxledger[interactive]'" in light.said
    assert not (tmp_path / "new").exists()

    light("voxledger", "init", str(tmp_path / "repo"), "--name", "one", cwd=tmp_path)
    for command in (
        ("voxledger", "round", "run"),
        ("voxledger", "models", "train-interactive", "--name", "marks"),
        ("python", "-c", STAGE),
    ):
        light(*command, cwd=tmp_path / "repo", accept=2)
        assert "error: torch is not installed, and this needs it\n  → `pip install 'voxledger[models]'`" in light.said


def test_a_shallow_clone_is_verified_traced_and_compared(light: Light, released: Released, tmp_path: Path) -> None:
    """With the answers that a full clone gives to the whole installation, after the one fetch that is asked for."""
    full, clone = tmp_path / "full", tmp_path / "clone"
    run("git", "clone", "--quiet", str(released.repository), str(full))
    origin = f"file://{released.repository}"
    light("git", "clone", "--quiet", "--depth", "1", "--branch", "round-01", origin, str(clone), cwd=tmp_path)

    verify = ("voxledger", "verify", "round-01", "--allowed-signers", str(released.signers), "--json")
    incomplete = json.loads(light(*verify, cwd=clone, accept=4))
    assert incomplete["verdict"] == "incomplete"
    light("dvc", "pull", "--quiet", cwd=clone)
    verdict = json.loads(light(*verify, cwd=clone))
    assert (verdict["verdict"], verdict["signer"], verdict["problems"]) == ("intact", "curator", [])
    assert verdict["masks"] == 6

    light("voxledger", "diff", "round-00", "round-01", cwd=clone, accept=2)
    asked = re.search(r"`(git fetch [^`]*)`", light.said)
    assert asked, light.said
    light(*asked[1].split(), cwd=clone)
    for question in (
        ("voxledger", "diff", "round-00", "round-01", "--json"),
        ("voxledger", "trace", "case0", "--at", "round-01", "--json"),
    ):
        answer = json.loads(light(*question, cwd=clone))
        assert answer
        assert answer == json.loads(output(*question, cwd=full))
    changes = json.loads(light("voxledger", "diff", "round-00", "round-01", "--json", cwd=clone))
    assert {change["class_name"] for change in changes} == {"organ"}
    assert len(changes) == 3

    light("voxledger", "release", "export", str(tmp_path / "handed"), cwd=clone)
    assert len(list((tmp_path / "handed").rglob("case?.nii.gz"))) == 6

    (clone / "data/release/labels/case1.nii.gz").unlink()
    (clone / "data/release/labels/case1.nii.gz").write_bytes(b"altered")
    light(*verify, cwd=clone, accept=1)
