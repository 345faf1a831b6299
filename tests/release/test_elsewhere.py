"""A round that two people closed: the tags of git remotes, with real repositories."""

from __future__ import annotations

import shutil
import time
from pathlib import Path

import psutil
import pytest
from commands import output, run

from voxledger.errors import VoxledgerError
from voxledger.release import elsewhere
from voxledger.release.elsewhere import require_closed_here_alone
from voxledger.repository import commit_of

TAGS = ("round-01", "one@v1.0.0")


@pytest.fixture
def two(folder: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Clones `mine` and `theirs` of `hub.git`, each with a closed round; `mine` is the current folder."""
    run("git", "init", "-q", "--bare", "--initial-branch", "main", "hub.git")
    for clone in ("theirs", "mine"):
        run("git", "clone", "-q", "hub.git", clone)
    run("git", "commit", "-q", "--allow-empty", "-m", "start", cwd=folder / "theirs")
    run("git", "push", "-q", "origin", "HEAD:main", cwd=folder / "theirs")
    run("git", "pull", "-q", "origin", "main", cwd=folder / "mine")
    for clone in ("theirs", "mine"):
        author = "Theresa <theresa@example.org>" if clone == "theirs" else "Mina <mina@example.org>"
        run("git", "commit", "-q", "--allow-empty", "--author", author, "-m", clone, cwd=folder / clone)
        for tag in TAGS:
            run("git", "tag", "--annotate", tag, "-m", tag, cwd=folder / clone)
    monkeypatch.chdir(folder / "mine")
    return folder


def push(two: Path, *refs: str) -> None:
    run("git", "push", "-q", "origin", *refs, cwd=two / "theirs")


@pytest.mark.usefixtures("two")
def test_a_round_that_nobody_else_closed_goes_on(capsys: pytest.CaptureFixture[str]) -> None:
    require_closed_here_alone(TAGS, commit_of("HEAD"))
    run("git", "push", "-q", "origin", "HEAD:main", *TAGS)
    require_closed_here_alone(TAGS, commit_of("HEAD"))
    assert capsys.readouterr().err == ""


@pytest.mark.parametrize("tagged", [True, False], ids=["both closed it", "about to close it"])
@pytest.mark.parametrize("refs", [("main", *TAGS), TAGS], ids=["with the branch", "tags alone"])
def test_a_round_that_another_closed_is_named_with_who_and_the_way_over(
    two: Path, refs: tuple[str, ...], tagged: bool
) -> None:
    """`round open` went on from the second closing, and the two diverged."""
    push(two, *refs)
    if not tagged:
        run("git", "tag", "--delete", *TAGS)
    Path("mine.txt").write_text("unfinished")
    mine = commit_of("HEAD")
    with pytest.raises(VoxledgerError, match=r"round-01 was set at origin by another \(Theresa, 20") as caught:
        require_closed_here_alone(TAGS, mine)
    way = caught.value.remedy.split("`git stash`: `")[1].split("`;")[0]
    assert way.endswith(" && dvc pull")
    run("sh", "-ec", way.removesuffix(" && dvc pull"))
    theirs = output("git", "rev-parse", "HEAD", cwd=two / "theirs").strip()
    assert commit_of("HEAD") == commit_of("round-01") == commit_of("one@v1.0.0") == theirs
    assert commit_of("my-round-01") == mine
    assert "mine.txt" in output("git", "show", "--stat", "--format=", "stash@{0}^3")
    assert output("git", "symbolic-ref", "--short", "HEAD").strip() == "main"
    require_closed_here_alone(TAGS, theirs)


def test_a_remote_out_of_reach_is_named_and_the_round_goes_on(two: Path, capsys: pytest.CaptureFixture[str]) -> None:
    shutil.rmtree(two / "hub.git")
    require_closed_here_alone(TAGS, commit_of("HEAD"))
    said = capsys.readouterr().err
    assert "origin cannot be asked whether it has round-01 (fatal: " in said
    assert "going on without" in said


@pytest.mark.usefixtures("two")
def test_a_remote_that_does_not_answer_is_not_waited_for(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Nothing that was started for it stays, and nobody is asked for a password."""
    monkeypatch.setattr(elsewhere, "SECONDS", 0.5)
    Path("../ssh").write_text('#!/bin/sh\necho "$@" > ../asked\nsleep 61.25\n')
    Path("../ssh").chmod(0o755)
    run("git", "config", "core.sshCommand", "../ssh")
    run("git", "remote", "set-url", "origin", "ssh://nowhere.invalid/hub.git")
    start = time.monotonic()
    require_closed_here_alone(TAGS, commit_of("HEAD"))
    assert time.monotonic() - start < 10
    assert "no answer within" in capsys.readouterr().err
    assert "-o BatchMode=yes" in Path("../asked").read_text()
    assert not [p for p in psutil.process_iter(["cmdline"]) if "61.25" in (p.info["cmdline"] or [])]
