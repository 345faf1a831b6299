"""Backends of packages that are not here, and what cards say of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxledger.errors import Misuse
from voxledger.models.backend import backend_of
from voxledger.records.card import ModelCard, read_card, write_card
from voxledger.registry import BACKENDS

SOURCE = Path(__file__).parents[2] / "src/voxledger"


@pytest.mark.parametrize("stage", ["infer", "retrain", "filter", "score", "evaluate", "export", "import_", "records"])
def test_no_stage_imports_or_compares_a_backend(stage: str) -> None:
    """A new backend is one folder: nothing else may have to know its name."""
    for path in sorted((SOURCE / stage).rglob("*.py")):
        code = "\n".join(line for line in path.read_text("utf-8").splitlines() if ">>>" not in line)
        for name in BACKENDS.names():
            assert f"voxledger.models.{name}" not in code, path
            assert f'"{name}"' not in code, path


def test_a_card_of_a_backend_that_is_not_installed_is_read_and_its_model_not_used(tmp_path: Path) -> None:
    """An auditor reads the cards of a round without every package that trained for it."""
    folder = tmp_path / "theirs"
    folder.mkdir()
    card = ModelCard(
        id="f" * 64,
        name="theirs",
        backend="transformer",
        architecture="",
        strategy="full",
        cohort="",
        parent="",
        params={},
        licence="",
        round=0,
    )
    write_card(folder, card)
    assert read_card(folder) == card
    with pytest.raises(Misuse, match=r"model theirs: there is no backend transformer(.|\n)*install the package"):
        backend_of(card)
