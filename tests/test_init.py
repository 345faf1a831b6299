"""Where `voxledger init` makes no repository."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest
from click.testing import CliRunner
from commands import run

from voxledger.cli.main import cli
from voxledger.init import init


def a_file(root: Path) -> Path:
    (root / "a").write_text("mine")
    return root / "a"


def below_a_file(root: Path) -> Path:
    return a_file(root) / "b/c"


def a_link_to_itself(root: Path) -> Path:
    (root / "a").symlink_to("a")
    return root / "a"


def a_link_to_nothing(root: Path) -> Path:
    (root / "a").symlink_to("b")
    return root / "a"


@pytest.mark.parametrize("made", [a_file, below_a_file, a_link_to_itself, a_link_to_nothing])
@pytest.mark.parametrize("command", [("init",), ("init", "--name", "one"), ("demo",)])
def test_what_is_no_folder_is_misuse_and_stays(
    tmp_path: Path, made: Callable[[Path], Path], command: tuple[str, ...]
) -> None:
    """It ended with a traceback."""
    folder = made(tmp_path)
    before = sorted((p.name, p.is_symlink(), p.is_file() and p.read_text()) for p in tmp_path.iterdir())
    result = CliRunner().invoke(cli, [*command, str(folder)])
    assert result.exit_code == 2, (result.output, result.exception)
    assert "is no folder" in result.output
    assert before == sorted((p.name, p.is_symlink(), p.is_file() and p.read_text()) for p in tmp_path.iterdir())


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """What tells a curation repository from other folders."""
    root = tmp_path / "repo"
    (root / ".dvc").mkdir(parents=True)
    for name in ("dvc.yaml", "params.yaml"):
        (root / name).touch()
    (root / ".gitignore").write_text("/demo/\n/data/images\n")
    run("git", "init", "--quiet", str(root))
    monkeypatch.chdir(root)
    return root


@pytest.mark.parametrize("folder", ["new", "data/new", "data/images/new", "../repo/new", "demos"])
def test_no_repository_is_made_within_another(repository: Path, folder: str) -> None:
    """It was made without a word, and lay in no version of the outer one, or in a wrong one."""
    result = CliRunner().invoke(cli, ["init", folder, "--name", "one"])
    assert result.exit_code == 2, (result.output, result.exception)
    assert f"{repository} is a curation repository" in result.output
    assert not Path(folder).exists()


@pytest.mark.slow
def test_a_folder_that_git_leaves_alone_may_hold_one(repository: Path) -> None:
    """As the demo of the project's checkout."""
    init(Path("demo"), "one")
    assert Path("demo/dvc.yaml").is_file()


def test_a_remote_is_verified_and_secrets_are_the_owners_alone(tmp_path: Path) -> None:
    """DVC believes what a remote gives, and writes keys into a file that everybody may read."""
    run("voxledger", "init", str(tmp_path / "one"), "--remote", "s3://hospital/one")
    text = (tmp_path / "one/.dvc/config").read_text()
    assert "remote = storage" in text
    assert "url = s3://hospital/one" in text
    assert "verify = true" in text
    run("dvc", "remote", "modify", "--local", "storage", "secret_access_key", "s", cwd=tmp_path / "one")
    assert "secret_access_key" in (tmp_path / "one/.dvc/config.local").read_text()
    assert (tmp_path / "one/.dvc/config.local").stat().st_mode & 0o777 == 0o600
    assert run("git", "status", "--porcelain", cwd=tmp_path / "one") == ""


def test_an_url_that_dvc_does_not_know_leaves_nothing(tmp_path: Path) -> None:
    said = run("voxledger", "init", str(tmp_path / "one"), "--remote", "foo://bar", accept=(2,))
    assert "foo://bar is no remote of DVC" in said
    assert not (tmp_path / "one").exists()
