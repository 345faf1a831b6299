"""Every path of a curation repository stands in `layout.py`, and is one that the pipeline knows."""

from __future__ import annotations

import ast
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from ruamel.yaml import YAML

from voxledger import layout

ROOT = Path(__file__).parents[1]
SOURCES = sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "stages").glob("*.py")])
PATHS = {name: path for name, path in vars(layout).items() if name.isupper() and isinstance(path, Path)}
FOLDERS = r"(?<![\w./-])(data|models|reports|stages|base|round|release)/"
FILES = r"(?<![\w-])(dvc\.yaml|dvc\.lock|params\.yaml|labels\.yaml|algorithms\.yaml|\.memo)\b"

NAMES = {path.name for path in PATHS.values() if path.suffix and len(path.parts) > 1} - {"README.md", "decisions.csv"}
"""Names of files in folders; a bundle, too, holds a README.md and a decisions.csv."""


def _strings(source: str) -> Iterator[tuple[int, str]]:
    """Every string of a module and its line, pieces of f-strings too; docstrings are prose, and left out."""
    tree = ast.parse(source)
    prose = {
        id(statement.value)
        for node in ast.walk(tree)
        for statement in (getattr(node, "body", None) if isinstance(getattr(node, "body", None), list) else [])
        if isinstance(statement, ast.Expr)
    }
    for node in ast.walk(tree):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in prose:
            yield node.lineno, node.value


def test_no_path_is_spelled_outside_of_layout() -> None:
    """Nor in what errors say: a path that moves would be named by its old place there."""
    for path in SOURCES:
        if path.name == "layout.py":
            continue
        for line, text in _strings(path.read_text()):
            found = re.search(f"{FOLDERS}|{FILES}", text)
            assert found is None, f"{path}:{line}: {text!r}: take {found[0] if found else ''} from layout.py"
            assert text.rpartition("/")[2] not in NAMES, f"{path}:{line}: take {text!r} from layout.py"


def test_the_pipeline_names_paths_of_layout_alone() -> None:
    stages = YAML(typ="safe").load((ROOT / layout.PIPELINE).read_text())["stages"]
    known = {path.as_posix() for path in PATHS.values()}
    for stage in stages.values():
        for kind in ("deps", "outs", "metrics", "plots"):
            for entry in stage.get(kind, []):
                name = next(iter(entry)) if isinstance(entry, dict) else entry
                assert name in known or Path(name).parent == layout.STAGES, name


def test_no_name_is_given_twice() -> None:
    """The second would silently take the place of the first, also where only that was meant."""
    tree = ast.parse((ROOT / "src/voxledger/layout.py").read_text())
    targets = [t for node in tree.body if isinstance(node, ast.Assign) for t in node.targets]
    names = Counter(t.id for t in targets if isinstance(t, ast.Name))
    assert [name for name, count in names.items() if count > 1] == []


def test_no_path_has_two_names() -> None:
    assert len({path.as_posix() for path in PATHS.values()}) == len(PATHS)


@pytest.mark.parametrize("name", sorted(PATHS))
def test_paths_lie_in_the_repository(name: str) -> None:
    assert not PATHS[name].is_absolute()
    assert ".." not in PATHS[name].parts


@pytest.mark.parametrize(
    ("path", "made"),
    [
        ("data/round/worklist.csv", True),
        ("reports/metrics.json", True),
        ("models/next.json", True),
        ("models/next/a/model.json", True),
        ("models/base.json", False),
        ("data/rounds.csv", False),
        ("params.yaml", False),
    ],
)
def test_stages_write_what_the_next_run_makes_again(path: str, made: bool) -> None:
    assert layout.is_written_by_stages(path) is made
