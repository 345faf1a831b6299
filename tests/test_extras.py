"""What `pip install voxledger` alone does not bring is known by its extra."""

from __future__ import annotations

import doctest
import sys
import tomllib
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from voxledger import extras
from voxledger.casemap.job import Job
from voxledger.casemap.run import casemap
from voxledger.cli.main import COMMANDS, cli
from voxledger.errors import Misuse
from voxledger.extras import EXTRAS, missing_extra, require_extra

ROOT = Path(__file__).parents[1]


def test_extras_are_those_of_the_project_and_their_modules_exist() -> None:
    """A name that is wrong here would never be found missing."""
    declared = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    assert set(EXTRAS) == set(declared) - {"docs", "dev"}
    assert [m for modules in EXTRAS.values() for m in modules if find_spec(m) is None] == []
    for name in EXTRAS:
        require_extra(name)


def test_the_example() -> None:
    assert doctest.testmod(extras).attempted == 2
    assert doctest.testmod(extras).failed == 0


@pytest.mark.parametrize(
    "error", [ModuleNotFoundError("no name"), ImportError("torch", name="torch"), OSError(2, "torch")]
)
def test_other_errors_are_not_explained(error: Exception) -> None:
    assert missing_extra(error) is None


@pytest.fixture
def no_torch(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Python finds no torch, in an empty folder that modules are taken from."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(sys.modules, "torch", None)


@pytest.mark.usefixtures("no_torch")
def test_a_command_says_which_extra_and_shows_no_traceback(monkeypatch: pytest.MonkeyPatch) -> None:
    Path("needs_torch.py").write_text("import torch.nn\n")
    monkeypatch.setitem(COMMANDS, "score", ("needs_torch:score", ""))
    result = CliRunner().invoke(cli, ["score"])
    assert result.exit_code == 2
    assert "torch is not installed, and this needs it\n  → `pip install 'voxledger[models]'`" in result.output


class Predicts(Job[None]):
    stage, algorithms = "test", ()

    def compute(self, folder: Path) -> None:
        import torch  # noqa: F401


@pytest.mark.usefixtures("no_torch")
def test_no_case_is_blamed_for_what_is_not_installed() -> None:
    with pytest.raises(Misuse, match=r"^torch is not installed.*\n.*voxledger\[models\]"):
        casemap([Predicts()], Path("out"))
