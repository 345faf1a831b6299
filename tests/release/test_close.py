"""`voxledger round close`: the manifest lists all that a clone brings, and nothing that would not arrive there."""

from __future__ import annotations

import json
import signal
import sys
from pathlib import Path

import pytest
from commands import output, run

from voxledger.errors import VoxledgerError
from voxledger.layout import MANIFEST, NOT_IN_MANIFEST
from voxledger.release.close import close
from voxledger.release.committed import committed
from voxledger.release.manifest import files_of_version

from .conftest import Released


@pytest.fixture
def repository(released: Released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the repository with round 1 not yet closed, as the current folder."""
    run("cp", "-a", str(released.repository), str(tmp_path / "copy"))
    monkeypatch.chdir(tmp_path / "copy")
    run("git", "tag", "--delete", "round-01", "two@v1.0.0")
    return tmp_path / "copy"


def test_the_manifest_lists_every_file_of_a_clone(released: Released) -> None:
    """All that git tracks and all that `dvc pull` brings: not one folder that somebody forgot to list."""
    files = json.loads((released.clone / MANIFEST).read_text())["files"]
    here = (p for p in released.clone.rglob("*") if p.is_file())
    names = {p.relative_to(released.clone).as_posix() for p in here}
    names = {n for n in names if not n.startswith((".git/", ".dvc/cache/", ".dvc/tmp/"))}
    assert set(files) == names - {path.as_posix() for path in NOT_IN_MANIFEST}
    for name in ("data/round/bundles/bundle-r01-ann/bundle.json", "data/images/case0.nii.gz", "data/cases.csv"):
        assert files[name] == output("sha256sum", str(released.clone / name)).split()[0]
    assert (released.repository / "data/round/predictions/m/case0.b2nd").is_file()


_KILLED_PUSH = """\
import os, signal
from dvc.cli import main
from dvc_data.index import collect

before, calls = collect._collect_from_index, []

def note(*given, **named):
    calls.append(given)
    if len(calls) == 2:
        os.kill(os.getpid(), signal.SIGKILL)
    return before(*given, **named)

collect._collect_from_index = note
main(["push"])
"""
"""A push that is killed once it has noted the first of what it is to push."""


def test_a_push_that_was_killed_while_it_collected_loses_nothing(repository: Path, tmp_path: Path) -> None:
    """DVC goes on from its notes, pushes what is in them, and has nothing more to do ever after."""
    remote = tmp_path / "another-store"
    run("dvc", "remote", "modify", "store", "url", str(remote))
    run("git", "commit", "--quiet", "--all", "--message", "another remote")
    # The commit is the one whose files the manifest lists.
    run(sys.executable, "-c", _KILLED_PUSH, accept=(-signal.SIGKILL,))
    close()
    run("git", "clone", "--quiet", str(repository), str(tmp_path / "second"))
    assert "fetched" in run("dvc", "pull", cwd=tmp_path / "second")
    run("voxledger", "verify", "round-01", cwd=tmp_path / "second")


@pytest.mark.parametrize("flag", ["assume-unchanged", pytest.param("skip-worktree", marks=pytest.mark.slow)])
def test_a_file_hidden_from_git_is_not_closed_over(repository: Path, flag: str) -> None:
    """The manifest would name a file that git did not commit, and every clone would look altered."""
    name = ".gitignore"
    run("git", "update-index", f"--{flag}", name)
    Path(name).write_text(Path(name).read_text() + "# more\n")
    assert run("git", "status", "--porcelain") == ""
    with pytest.raises(VoxledgerError, match=f"did not commit these files as they are here.*: {name}") as refused:
        close(push=False)
    assert f"git update-index --no-{flag} FILE" in refused.value.remedy
    assert output("git", "tag", "--list", "round-01") == ""
    run("git", "update-index", f"--no-{flag}", name)
    assert close(push=False) == "two@v1.0.0"
    assert committed("round-01")[name].id == output("git", "hash-object", name).strip()


def test_a_link_in_git_is_no_file_of_a_version(repository: Path) -> None:
    Path("notes.md").symlink_to("data/inbox/README.md")
    run("git", "add", "notes.md")
    with pytest.raises(VoxledgerError, match=r"notes\.md: a version holds plain files"):
        files_of_version()


@pytest.mark.parametrize("name", ['a "quoted".md', "back\\slash.md", "two\nlines.md"])
def test_a_name_that_lists_would_misread_is_refused(repository: Path, name: str) -> None:
    Path(name).write_text("")
    with pytest.raises(VoxledgerError, match="would be misread"):
        files_of_version()


def test_names_in_other_scripts_stay_readable(repository: Path) -> None:
    name = "données/Müller – 心.md"
    Path(name).parent.mkdir()
    Path(name).write_text("")
    assert name in files_of_version()
