"""`review send` and `review fetch` where there is nothing to send or fetch."""

from __future__ import annotations

from pathlib import Path

import pytest
from click.testing import CliRunner
from commands import run

from voxledger.cli.main import cli


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("exchange") / "one"
    run("voxledger", "init", str(folder))
    return folder


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (("send", "alice"), "there is no bundle for alice"),
        (("send", "../x", "--to", "folder:/tmp"), "there is no bundle for ../x"),
        (("fetch",), "no bundle that is out was sent by `voxledger review send`"),
        (("fetch", "alice", "--json"), "no bundle of alice that is out was sent"),
        (("send",), "Missing argument 'REVIEWER'"),
    ],
)
def test_misuse(repository: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...], said: str) -> None:
    monkeypatch.chdir(repository)
    result = CliRunner().invoke(cli, ["review", *command])
    assert result.exit_code == 2, result.output
    assert said in result.output
    assert run("git", "status", "--porcelain") == ""


@pytest.mark.parametrize("command", ["send", "fetch"])
def test_help_has_an_example_and_loads_nothing_heavy(command: str) -> None:
    program = (
        "import sys; from voxledger.cli.main import cli\n"
        f"try: cli(['review', '{command}', '--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('numpy', 'SimpleITK', 'dvc', 'pydantic', 'botocore', 'asyncssh') if m in sys.modules])"
    )
    lines = run("python", "-c", program).splitlines()
    assert any("Example" in line for line in lines)
    assert lines[-1] == "[]"
