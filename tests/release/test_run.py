"""What `voxledger round run` refuses before it runs a stage."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any

import pytest
from commands import parameters, run

from voxledger.errors import Misuse
from voxledger.release.run import require_runnable


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new repository with the classes of the template."""
    folder = tmp_path_factory.mktemp("run") / "repo"
    run("voxledger", "init", str(folder), "--name", "one")
    with contextlib.chdir(folder):
        require_runnable()
    return folder


@pytest.mark.parametrize(
    ("section", "where"),
    [
        ({"calibrate": {"classes": ["pdac", "moon"]}}, "calibrate.classes"),
        ({"filter": {"rules": [], "thresholds": {"moon": 0.3}}}, "filter.thresholds"),
        (
            {"filter": {"rules": [{"rule": "fill_holes", "classes": ["liver"]}, {"rule": "x", "classes": ["moon"]}]}},
            r"filter.rules\[1\]",
        ),
        ({"score": {"classes": {"moon": {"uncertainty": 1.0}}}}, "score.classes"),
    ],
)
def test_a_class_that_labels_yaml_lacks_is_named_with_the_parameter_before_any_stage(
    repository: Path, monkeypatch: pytest.MonkeyPatch, section: dict[str, Any], where: str
) -> None:
    """Hours later, a stage said that it is no class, and not where it is named."""
    monkeypatch.chdir(repository)
    before = Path("params.yaml").read_text()
    parameters(**section)
    try:
        with pytest.raises(Misuse, match=rf"params\.yaml: {where}: moon is not a class of .*") as refused:
            require_runnable()
    finally:
        Path("params.yaml").write_text(before)
    assert "use one of " in refused.value.remedy
