"""Returns that git has and the inbox has not, with git and DVC as they are."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from commands import output, run

from voxledger.bundles.pulled import require_pulled, why_not_as_received
from voxledger.errors import VoxledgerError

INBOX = Path("data/inbox")
BEN = INBOX / "bundle-r00-ben"
DVC_FILE = INBOX / "bundle-r00-ben.dvc"


def _say(text: str) -> None:
    (BEN / "labels").mkdir(parents=True, exist_ok=True)
    for name in ("decisions.csv", "labels/zoë 1.nii.gz", "labels-of.txt"):
        (BEN / name).unlink(missing_ok=True)
        (BEN / name).write_text(f"{name}: {text}")


def _commit(*options: str) -> None:
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", "x", *options)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in which ben's return was replaced by a second one, both committed."""
    root = tmp_path_factory.mktemp("pulled") / "repo"
    root.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(root)
        run("git", "init", "--quiet", "--initial-branch", "main")
        run("dvc", "init", "--quiet")
        for text in ("first", "second"):
            _say(text)
            run("dvc", "add", str(BEN))
            _commit()
    return root


@pytest.fixture
def repo(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "repo")
    monkeypatch.chdir(tmp_path / "repo")
    return tmp_path / "repo"


def _refused() -> str:
    before = DVC_FILE.read_bytes()
    with pytest.raises(VoxledgerError) as caught:
        require_pulled(INBOX)
    assert DVC_FILE.read_bytes() == before
    return str(caught.value)


def test_an_earlier_return_is_not_the_one_that_git_has(repo: Path) -> None:
    require_pulled(INBOX)
    _say("first")
    said = _refused()
    assert "data/inbox/bundle-r00-ben: git has another return than the earlier one that is here" in said
    assert "`dvc pull data/inbox/bundle-r00-ben.dvc` brings it" in said
    run("dvc", "checkout", str(DVC_FILE))
    require_pulled(INBOX)
    assert (BEN / "decisions.csv").read_text().endswith("second")


@pytest.mark.parametrize("left", ["nothing", "an empty folder"])
def test_a_return_that_is_missing_is_named(repo: Path, left: str) -> None:
    shutil.rmtree(BEN)
    if left != "nothing":
        BEN.mkdir()
    assert "data/inbox/bundle-r00-ben: git has this return, but it is not here" in _refused()
    DVC_FILE.unlink()
    require_pulled(INBOX)


def test_what_was_never_committed_is_new_work(repo: Path) -> None:
    _say("third")
    (INBOX / "bundle-r00-zoe").mkdir()
    require_pulled(INBOX)


@pytest.mark.parametrize(
    ("committed", "added", "said", "unsaid"),
    [
        (False, True, "`voxledger review fetch`", "git restore"),
        (False, False, "`dvc checkout data/inbox/bundle-r00-zoe.dvc` brings", "git restore"),
        (True, True, "git restore --staged --worktree data/inbox/bundle-r00-zoe.dvc && dvc checkout", "review fetch"),
        (True, False, "`dvc checkout data/inbox/bundle-r00-zoe.dvc`, in a clone", "git restore"),
    ],
)
def test_what_brings_back_a_return_that_was_changed_removes_nothing(
    repo: Path, committed: bool, added: bool, said: str, unsaid: str
) -> None:
    folder = INBOX / "bundle-r00-zoe"
    folder.mkdir()
    (folder / "decisions.csv").write_text("as it came")
    Path("data/times").mkdir()
    Path("data/times/bundle-r00-zoe.json").write_text('{"format": 1, "receipts": [{"sha256": "00"}]}')
    run("dvc", "add", str(folder))
    if committed:
        _commit()
    (folder / "decisions.csv").unlink()
    (folder / "decisions.csv").write_text("changed")
    if added:
        run("dvc", "add", str(folder))
    run("git", "add", "--all")
    told = why_not_as_received(folder, "11")
    assert told is not None
    assert said in told[1]
    assert unsaid not in told[1]


def test_an_earlier_return_may_be_made_to_count(repo: Path) -> None:
    """By a commit alone, as the error says: `dvc repro` changes the .dvc file as well."""
    _say("first")
    run("dvc", "add", str(BEN))
    said = _refused()
    file = DVC_FILE.as_posix()
    assert f"`git restore --staged --worktree {file} && dvc pull {file}` brings it" in said
    _commit()
    require_pulled(INBOX)
    _say("second")
    assert "another return than the earlier one" in _refused()


@pytest.mark.parametrize("history", ["merged", "shallow", "rewritten"])
def test_the_earlier_one_is_known_whatever_the_history(
    repo: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, history: str
) -> None:
    """Merged: only the side that was not taken has it; shallow and rewritten: no commit that leads here has it."""
    if history == "merged":
        run("git", "checkout", "--quiet", "-b", "other", "HEAD~1")
        run("git", "commit", "--quiet", "--allow-empty", "--message", "x")
        text = DVC_FILE.read_text()
        DVC_FILE.write_text(text.replace(text.split("md5: ")[1][:32], _third()))
        _commit()
        run("git", "checkout", "--quiet", "main")
        run("git", "merge", "--quiet", "--strategy", "ours", "other", "--message", "x")
        _say("third")
    elif history == "shallow":
        run("git", "reset", "--quiet", "--hard", "HEAD~1")
        run("git", "clone", "--quiet", "--depth", "1", f"file://{repo}", str(tmp_path / "clone"))
        run("git", "reset", "--quiet", "--hard", "ORIG_HEAD")
        monkeypatch.chdir(tmp_path / "clone")
        run("git", "fetch", "--quiet", "--depth", "1")
        run("git", "reset", "--quiet", "--hard", "origin/main")
        assert output("git", "rev-list", "--count", "HEAD").strip() == "1"
        _say("first")
    else:
        run("git", "reset", "--quiet", "--soft", "HEAD~1")
        _commit("--amend")
        _say("first")
    assert "another return than the earlier one" in _refused()


def _third() -> str:
    """What DVC calls a third return, which it looks at and leaves."""
    _say("third")
    run("dvc", "add", "--no-commit", str(BEN))
    value = DVC_FILE.read_text().split("md5: ")[1][:32]
    run("git", "checkout", "--quiet", str(DVC_FILE))
    return value
