"""Bundles that are out: taking them back, and what is refused meanwhile."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from commands import output, run

from voxledger.errors import Misuse, VoxledgerError
from voxledger.layout import INBOX, SENT
from voxledger.params import Params
from voxledger.records.sent import is_out, require_no_bundles, write_sent
from voxledger.release.send import recall

BUNDLE = Path("data/round/bundles/bundle-r01-ann")


@pytest.fixture
def out(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Params:
    """What `round recall` looks at, as the current folder: a bundle of round 1 is out."""
    monkeypatch.chdir(tmp_path)
    run("git", "init", "--quiet")
    Path("params.yaml").write_text("dataset: one\nround: 1\n")
    for folder in (BUNDLE, INBOX):
        folder.mkdir(parents=True)
    (BUNDLE / "bundle.json").write_text("{}\n")
    Path(".gitignore").write_text("/data/round\n/.dvc/tmp\n")
    run("git", "add", "params.yaml", ".gitignore")
    run("git", "commit", "--quiet", "--message", "one")
    write_sent(1, {BUNDLE.name: "a" * 64})
    run("git", "add", str(SENT))
    run("git", "commit", "--quiet", "--message", "two")
    return Params.model_validate({"dataset": "one", "round": 1})


def require_taken_back() -> None:
    assert not BUNDLE.exists()
    assert not SENT.exists()
    assert output("git", "ls-tree", "-r", "--name-only", "HEAD").split() == [".gitignore", "params.yaml"]
    assert output("git", "status", "--porcelain") == ""
    with pytest.raises(Misuse, match="no bundle of this round is out"):
        recall()


@pytest.mark.usefixtures("out")
def test_bundles_are_taken_back() -> None:
    recall()
    require_taken_back()


@pytest.mark.usefixtures("out")
@pytest.mark.parametrize("name", ["bundle-r01-ann.zip", "from ann.ZIP", "bundle-r01-ann/"])
def test_a_return_that_waits_in_the_inbox_holds_bundles_back(name: str) -> None:
    """`round recall` did not see what came as a zip."""
    (INBOX / name).mkdir() if name.endswith("/") else (INBOX / name).write_bytes(b"PK")
    with pytest.raises(VoxledgerError, match="people have reviewed already") as caught:
        recall()
    assert name.strip("/") in caught.value.problem
    assert SENT.exists()
    assert BUNDLE.exists()


@pytest.mark.usefixtures("out")
@pytest.mark.parametrize("staged", [True, False])
def test_bundles_whose_record_is_not_committed_are_taken_back(staged: bool) -> None:
    """As of a run that was killed while it sent them: the record was removed, then git knew no such file."""
    run("git", "reset", "--soft" if staged else "--mixed", "--quiet", "HEAD~1")
    recall()
    require_taken_back()


@pytest.mark.usefixtures("out")
def test_bundles_that_never_were_on_record_are_taken_back() -> None:
    """`dvc repro` made them: other commands said that they were out, and `round recall` that none was."""
    run("git", "reset", "--hard", "--quiet", "HEAD~1")
    recall()
    require_taken_back()


@pytest.mark.slow
@pytest.mark.usefixtures("out")
def test_a_killed_recall_is_finished_by_the_same_command(tmp_path: Path) -> None:
    """Killed before its commit, it could not be repeated, and the bundles stayed."""
    watched = (
        "import os, sys\n"
        "from voxledger.release.send import recall\n"
        "seen = 0\n"
        "def watch(event, arguments):\n"
        "    global seen\n"
        "    seen += event in ('subprocess.Popen', 'os.remove', 'os.rename', 'shutil.rmtree')\n"
        "    if seen == int(sys.argv[1]): os._exit(9)\n"
        "sys.addaudithook(watch)\n"
        "recall()\n"
    )
    for number in range(1, 40):
        folder = tmp_path.parent / f"{tmp_path.name}-{number}"
        shutil.copytree(tmp_path, folder)
        done = subprocess.run([sys.executable, "-c", watched, str(number)], cwd=folder, check=False)
        if done.returncode == 0:
            break
        assert done.returncode == 9
        subprocess.run([sys.executable, "-c", "from voxledger.release.send import recall; recall()"], cwd=folder)
        left = [str(p) for p in (BUNDLE, SENT) if (folder / p).exists()]
        assert left == [], f"killed before event {number}"
        assert output("git", "status", "--porcelain", cwd=folder) == "", f"killed before event {number}"
        assert str(SENT) not in output("git", "ls-files", cwd=folder)
    assert number > 5


def test_a_record_that_somebody_removed_is_not_taken_for_nobody_looking(out: Params) -> None:
    SENT.unlink()
    with pytest.raises(VoxledgerError, match=r"data/sent\.json is damaged or was removed"):
        is_out(out)


def test_what_a_round_starts_from_is_not_changed_while_bundles_are_out(out: Params) -> None:
    with pytest.raises(VoxledgerError, match="bundles of round 1 are out; x") as caught:
        require_no_bundles(out, "x")
    assert "`voxledger round recall` first" in caught.value.remedy
    shutil.rmtree(BUNDLE)  # as in a clone
    with pytest.raises(VoxledgerError, match="bundles of round 1 are out"):
        require_no_bundles(out, "x")
    recall()
    assert not is_out(out)
    require_no_bundles(out, "x")
