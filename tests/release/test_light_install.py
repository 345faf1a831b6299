"""`pip install voxledger` and nothing more: a wheel, installed from the index, used in an environment of its own."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import zipfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from urllib.parse import urldefrag, urljoin
from urllib.request import Request, urlopen

import numpy as np
import pytest
from commands import output, parameters, run

from voxledger import layout
from voxledger.extras import EXTRAS
from voxledger.imaging.volume import Grid, read, write
from voxledger.loopback import TOKEN
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
        done = subprocess.run(self._typed(command), cwd=cwd, env=self._variables(), capture_output=True, text=True)
        assert done.returncode == accept, f"{command} → {done.returncode}\n{done.stdout}\n{done.stderr}"
        assert "Traceback" not in done.stderr
        self.said = done.stderr
        return done.stdout

    @contextlib.contextmanager
    def running(self, *command: str, cwd: Path) -> Iterator[str]:
        """The first line that a command prints, which is ended afterwards."""
        process = subprocess.Popen(
            self._typed(command),
            cwd=cwd,
            env=self._variables(),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stdout is not None
        try:
            yield process.stdout.readline()
        finally:
            process.terminate()
            said = process.communicate()
        assert (process.returncode, said[1]) == (-signal.SIGTERM, "")

    def _typed(self, command: Sequence[str]) -> list[str]:
        return [str(self.bin / command[0]) if (self.bin / command[0]).exists() else command[0], *command[1:]]

    def _variables(self) -> dict[str, str]:
        here = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
        return {**here, "PATH": f"{self.bin}:/usr/bin:/bin"}


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


@pytest.fixture(scope="module")
def waiting(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose round 0 waits for ann."""
    root, grid = tmp_path_factory.mktemp("waiting"), Grid.plain((8, 12, 10), (3.0, 1.5, 1.5))
    for n in range(3):
        labels = np.zeros(grid.shape, np.uint8)
        labels[1:6, 2 : 8 + n, 2:8] = 1
        write(root / f"images/case{n}.nii.gz", (labels * 100).astype(np.int16), grid)
        write(root / f"m/case{n}.nii.gz", labels, grid)
    run("voxledger", "init", str(root / "repo"), "--name", "one")
    with contextlib.chdir(root / "repo"):
        Path("labels.yaml").write_text("name: one\nclasses:\n  - {id: 1, name: organ}\n")
        parameters(score={"budget": 2, "audit": 0}, export={"reviewers": ["ann"]})
        run("git", "commit", "--quiet", "--all", "--message", "Classes")
        run("voxledger", "cases", "add", str(root / "images"), "--split", "pool")
        declared = ("--id", "m-1", "--licence", "CC0-1.0")
        run("voxledger", "models", "add", "m", "--predictions", str(root / "m"), *declared)
        run("voxledger", "round", "run", accept=(3,))
    return root / "repo"


def test_a_bundle_is_served_and_its_return_received(light: Light, waiting: Path, tmp_path: Path) -> None:
    """With the revision that the whole installation makes of it."""
    bundle = tmp_path / "bundle-r00-ann"
    shutil.copytree(waiting / layout.BUNDLES / bundle.name, bundle)
    with light.running("voxledger", "review", "serve", str(bundle), cwd=tmp_path) as said:
        address, token = urldefrag(said.split()[-1])
        headers = {TOKEN: token.removeprefix("token=")}

        def file(name: str, content: bytes | None = None) -> bytes:
            method = "GET" if content is None else "PUT"
            asked = Request(urljoin(address, f"/files/{name}"), content, headers, method=method)
            return bytes(urlopen(asked, timeout=60).read())

        assert urlopen(address, timeout=60).read() == page()
        assert file("bundle.json") == (bundle / "bundle.json").read_bytes()
        first, second = sorted(json.loads(file("bundle.json"))["voxels"])
        head, *rows = file("decisions.csv").decode().splitlines()
        columns = head.split(",")
        answers = {first: "revise", second: "accept"}
        filled = [dict(zip(columns, row.split(","), strict=True)) for row in rows]
        lines = [",".join((row | {"decision": answers[row["case_id"]]}).values()) for row in filled]
        file("decisions.csv", "\n".join([head, *lines, ""]).encode())
        drawn = tmp_path / "drawn.nii.gz"
        drawn.write_bytes(file(f"labels/{first}.nii.gz"))
        labels = read(drawn)
        assert labels.array[1, 2, 2] == 1
        labels.array[1, 2, 2] = 0
        write(drawn, labels.array, labels.grid)
        file(f"labels/{first}.nii.gz", drawn.read_bytes())
    shutil.make_archive(str(tmp_path / "returned"), "zip", tmp_path, bundle.name)

    receive = ("voxledger", "review", "receive", str(tmp_path / "returned.zip"))
    here, whole = tmp_path / "light", tmp_path / "whole"
    shutil.copytree(waiting, here, symlinks=True)
    shutil.copytree(waiting, whole, symlinks=True)
    said = light(*receive, cwd=here)
    assert "bundle-r00-ann: complete, 2 of 2 decisions on 2 cases" in said
    assert said == output(*receive, cwd=whole)
    for repository in (here, whole):
        run("dvc", "repro", "import", cwd=repository)
    tracked = (layout.RELEASE_LEDGER, layout.RELEASE_READINGS, layout.INBOX / f"{bundle.name}.dvc", layout.LOCK)
    for path in tracked:
        assert (here / path).read_bytes() == (whole / path).read_bytes(), path
    revisions = [[p.name for p in (repository / layout.RELEASE_REVISIONS).iterdir()] for repository in (here, whole)]
    assert len(revisions[0]) == 1
    assert revisions[0] == revisions[1]
