"""What `pip install voxledger` alone does not bring is known by its extra."""

from __future__ import annotations

import ast
import doctest
import sys
import tomllib
from collections.abc import Iterator
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
        casemap([Predicts(name="case-1")], Path("out"))


SOURCE = ROOT / "src"
MODULES = {
    ".".join(p.relative_to(SOURCE).with_suffix("").parts).removesuffix(".__init__"): p for p in SOURCE.rglob("*.py")
}
LIGHT = ("cli.trace", "cli.verify", "cli.diff", "cli.release", "cli.serve", "cli.doctor", "cli.memo", "review.receive")
LIGHT += ("review.status", "review.carry", "review.pack", "cli.reviewers", "init", "upgrade", "release.status")
LIGHT_FAMILIES = ("bundles.checks", "bundles.consensus", "imaging.formats", "release.layouts", "review.carriers")


ASKS = {"voxledger.review.answers"}
"""Reached only by those who give a model, which asks for the extra."""


def imported(path: Path) -> Iterator[str]:
    """Modules that a module imports, in its functions too; what is only for types is left out."""
    tree = ast.parse(path.read_text("utf-8"))
    for branch in [n for n in ast.walk(tree) if isinstance(n, ast.If) and "TYPE_CHECKING" in ast.unparse(n.test)]:
        branch.body = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def reached(start: str) -> dict[str, str]:
    """Everything that is imported on the way from a module, and by which module."""
    by, todo = {start: ""}, [start]
    while todo:
        module = todo.pop()
        for name in imported(MODULES[module]) if module in MODULES else ():
            if name not in by and name not in ASKS:
                by[name] = module
                todo.append(name)
    return by


@pytest.mark.parametrize(
    "start", [*LIGHT, *(m.removeprefix("voxledger.") for m in MODULES if m[10:].startswith(LIGHT_FAMILIES))]
)
def test_what_works_without_models_imports_none_of_them(start: str) -> None:
    found = {m: by for m, by in reached(f"voxledger.{start}").items() if m.partition(".")[0] in EXTRAS["models"]}
    assert found == {}


def test_what_computes_is_found_to_need_them() -> None:
    assert any(m.partition(".")[0] == "torch" for m in reached("voxledger.retrain.run"))
