"""`kill -9` of the commands that write: the same command again ends in the state of an undisturbed run.

A kill comes before the n-th change that the command itself makes to files or before the n-th program that it starts,
or after a share of the time that it takes, in the middle of those programs.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run
from killed import count_events, kill_after, kill_before

from voxledger.imaging.volume import Grid, write

pytestmark = pytest.mark.slow

GRID = Grid.plain((12, 14, 16), (3.0, 1.5, 1.5))
LABELS = "name: one\nclasses:\n  - {id: 1, name: organ}\n"
STEPS = {
    "add": ("cases", "add", "../late-images", "--labels", "../late-labels"),
    "export": ("round", "run"),
    "receive": ("review", "receive", "../returned/bundle-r01-ann"),
    "finish": ("round", "run"),
    "close": ("round", "close"),
    "open": ("round", "open"),
}
"""The commands of a round, in their order; each is killed in a copy of what the one before left."""
CODES = {"export": 3}
UNSTABLE = ("data/release/manifest.json", "data/times/")
"""What holds the time of the run."""


@dataclass(frozen=True)
class Step:
    """A command, the folder in which it is typed, and what it leaves there undisturbed."""

    before: Path
    command: tuple[str, ...]
    code: int
    state: dict[str, str]
    events: int
    seconds: float


@pytest.fixture(scope="module")
def steps(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Step]:
    """The second round, so that everything has been there before, with a remote for the data and a key to sign with."""
    root = tmp_path_factory.mktemp("killed")
    work = root / "work"
    for n in range(7):
        late = "late-" if n > 4 else ""
        labels = np.zeros(GRID.shape, np.uint8)
        labels[3:9, 3 : 10 + n % 2, 4:12] = 1
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(work / f"{late}images/case{n}.nii.gz", (labels * 100 + noise).astype(np.int16), GRID)
        write(work / f"reference/case{n}.nii.gz", labels, GRID)
        if n not in (3, 4, 6):
            write(work / f"{late}labels/case{n}.nii.gz", labels, GRID)
        if not late:
            write(work / f"model/case{n}.nii.gz", np.roll(labels, 1, axis=2), GRID)
    run("ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(root / "key"))
    run("voxledger", "init", str(work / "repo"), "--name", "one")
    found = {}
    with contextlib.chdir(work / "repo"):
        Path("labels.yaml").write_text(LABELS)
        parameters(score={"budget": 1, "audit": 0}, export={"reviewers": ["ann"]}, cases={"calibration": 0.0})
        run("dvc", "remote", "add", "--default", "store", "../store")
        for name, value in (("gpg.format", "ssh"), ("user.signingkey", str(root / "key"))):
            run("git", "config", name, value)
        run("voxledger", "cases", "add", "../images", "--labels", "../labels")
        declared = ("--id", "model-1", "--licence", "CC0-1.0")
        run("voxledger", "models", "add", "m", "--predictions", "../model", *declared)
        run("voxledger", "round", "run", accept=(3,))
        run("voxledger", "review", "emulate", "--reference", "../reference")
        for command in ("run", "close", "open"):
            run("voxledger", "round", command)
        for name, command in STEPS.items():
            if name == "receive":
                run("voxledger", "review", "emulate", "--reference", "../reference", "--inbox", "../returned")
            shutil.copytree(work, root / name, symlinks=True)
            start = time.monotonic()
            events = count_events(*command, code=CODES.get(name, 0))
            seconds = time.monotonic() - start
            found[name] = Step(root / name, command, CODES.get(name, 0), state(), events, seconds)
    return found


def state() -> dict[str, str]:
    """Hash of every file of the working tree, of the data that DVC keeps here and on the remote, and what git says."""
    found = {}
    for folder in (Path(), Path("../store")):
        for path in sorted(folder.rglob("*")):
            name = path.as_posix()
            if path.is_file() and not re.match(r"\.git/|\.memo/|\.dvc/(tmp|cache/(?!files))", name):
                found[name] = "" if name.startswith(UNSTABLE) else hashlib.sha256(path.read_bytes()).hexdigest()
    index = output("git", "ls-files", "--stage").splitlines()
    found["index"] = "\n".join(line for line in index if not line.split("\t")[1].startswith(UNSTABLE))
    found["status"] = output("git", "status", "--porcelain")
    found["log"] = output("git", "log", "--format=%s")
    for tag in output("git", "tag").split():
        found[tag] = output("git", "log", "-1", "--format=%s", tag)
    return found


Prepare = Callable[[str], Step]


@pytest.fixture
def prepare(steps: dict[str, Step], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Prepare]:
    """Makes a copy of the repository before a step the current folder."""

    def copy(name: str) -> Step:
        shutil.copytree(steps[name].before, tmp_path / "work", symlinks=True)
        monkeypatch.chdir(tmp_path / "work/repo")
        return steps[name]

    yield copy
    monkeypatch.undo()
    shutil.rmtree(tmp_path / "work")


ENDED = ("is closed", "is registered already")
"""What a command says that was killed after its last step."""


def finish(step: Step) -> None:
    """Type the command again, once more after what it says to do about a file that git or DVC left, and compare."""
    for _ in range(3):
        done = subprocess.run(["voxledger", *step.command], capture_output=True, text=True, check=False)
        said = done.stdout + done.stderr
        if not (remedy := re.search(r"`(rm|git restore) (\S+lock)`", said)):
            break
        run(*remedy[1].split(), remedy[2])
    assert done.returncode == step.code or any(text in said for text in ENDED), said
    now = state()
    differ = {k: (step.state.get(k), now.get(k)) for k in {*step.state, *now} if step.state.get(k) != now.get(k)}
    # An object that nothing names does no harm.
    assert {k: v for k, v in differ.items() if v[0] is not None or "files/md5/" not in k} == {}, said
    if step.command == STEPS["close"]:
        run("voxledger", "verify", "round-01")


@pytest.mark.parametrize("share", [n / 12 for n in range(12)])
@pytest.mark.parametrize("name", ["add", "receive", "close", "open"])
def test_a_command_killed_between_its_changes(prepare: Prepare, name: str, share: float) -> None:
    step = prepare(name)
    kill_before(1 + int(share * step.events), *step.command)
    finish(step)


@pytest.mark.parametrize("share", [n / 8 for n in range(8)])
@pytest.mark.parametrize("name", ["add", "receive", "close", "open"])
def test_a_command_killed_with_the_programs_that_it_started(prepare: Prepare, name: str, share: float) -> None:
    step = prepare(name)
    kill_after(step.seconds * share, "voxledger", *step.command)
    finish(step)


def test_a_round_run_that_was_killed_while_dvc_wrote_its_lock_file(prepare: Prepare) -> None:
    step, lock = prepare("finish"), Path("dvc.lock")
    kill_after(step.seconds * 0.5, "voxledger", *step.command)
    lock.write_bytes(lock.read_bytes()[:-100])
    finish(step)


@pytest.mark.parametrize("share", [n / 10 for n in range(10)])
@pytest.mark.parametrize("name", ["export", "finish"])
def test_a_killed_round_run(prepare: Prepare, name: str, share: float) -> None:
    step = prepare(name)
    kill_after(step.seconds * share, "voxledger", *step.command)
    finish(step)


@pytest.mark.parametrize("name", list(STEPS))
def test_a_command_whose_programs_survive_it(prepare: Prepare, name: str) -> None:
    step = prepare(name)
    kill_after(step.seconds / 2, "voxledger", *step.command, group=False)
    finish(step)
