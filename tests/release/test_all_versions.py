"""What git's history holds."""

from __future__ import annotations

from pathlib import Path

from commands import run

from voxledger.release.all_versions import texts
from voxledger.textfile import replace_text


def commit(message: str) -> None:
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", message)


def test_every_state_is_found_under_every_path_that_had_it(folder: Path) -> None:
    """Also what a copy has under an earlier name, what lies on a branch alone, and what is gone."""
    run("git", "init", "--quiet")
    wanted = Path("data/cases.csv")
    replace_text(wanted, "one")
    replace_text(Path("a copy/cäses.csv"), "one")
    commit("Two of one content")
    run("git", "checkout", "--quiet", "-b", "aside")
    replace_text(wanted, "two")
    commit("Aside")
    run("git", "checkout", "--quiet", "-")
    replace_text(Path("other"), "other")
    commit("Goes on")
    run("git", "merge", "--quiet", "--no-edit", "aside")
    wanted.unlink()
    commit("Gone")
    assert sorted(texts(lambda path: Path(path) == wanted)) == [(str(wanted), "one"), (str(wanted), "two")]
    replace_text(wanted, "today")
    run("git", "add", "--all")
    assert (str(wanted), "today") in list(texts(lambda path: Path(path) == wanted))
