"""Versions of algorithms stand in one place, and DVC sees each."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from voxledger.algorithms import COMMANDS, STAGES, differing, read_versions, require_versions, text
from voxledger.errors import Misuse

ROOT = Path(__file__).parents[1]
PIPELINE: dict[str, Any] = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"]


def asked(stage: dict[str, Any]) -> list[str]:
    return next(entry["algorithms.yaml"] for entry in stage["params"] if isinstance(entry, dict))


def test_the_template_has_the_versions_of_this_voxledger() -> None:
    """After a version was raised: `python -c "from voxledger.algorithms import text; print(text(), end='')"`."""
    assert (ROOT / "algorithms.yaml").read_text() == text()


def test_every_version_is_a_parameter_of_its_stage() -> None:
    for name, stage in PIPELINE.items():
        assert name in asked(stage), f"{name} has no version of its own"
        makes_predictions_again = "require_predictions" in (ROOT / stage["deps"][0]).read_text()
        assert not makes_predictions_again or {"infer", "precomputed"} <= set(asked(stage))
    assert {name for stage in PIPELINE.values() for name in asked(stage)} == set(STAGES)
    assert not STAGES.keys() & COMMANDS.keys()


def test_the_same_versions_are_no_hindrance(folder: Path) -> None:
    Path("algorithms.yaml").write_text(text())
    require_versions()
    assert read_versions() == STAGES


@pytest.mark.parametrize(
    ("changed", "differs"),
    [
        (text().replace(f"infer: {STAGES['infer']}", "infer: 99"), {"infer": (99, STAGES["infer"])}),
        (text().replace(f"gate: {STAGES['gate']}\n", ""), {"gate": (None, STAGES["gate"])}),
        (text() + "consensus: 1\n", {"consensus": (1, None)}),
        ("{}\n", {name: (None, version) for name, version in STAGES.items()}),
    ],
)
def test_what_differs_is_said(folder: Path, changed: str, differs: dict[str, tuple[int | None, int | None]]) -> None:
    Path("algorithms.yaml").write_text(changed)
    Path("params.yaml").write_text("round: 0\n")
    assert differing(read_versions()) == differs
    with pytest.raises(Misuse) as caught:
        require_versions()
    for name, (old, new) in differs.items():
        assert f"{name} {old or '–'} (installed: {new or '–'})" in caught.value.problem


def test_what_is_no_version_is_said(folder: Path) -> None:
    Path("algorithms.yaml").write_text("infer: many\n")
    with pytest.raises(Misuse, match=r"algorithms.yaml holds what is no version: .*many"):
        read_versions()
