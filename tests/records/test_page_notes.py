"""What a bundle says of its cases beside the manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voxledger.errors import Misuse, VoxledgerError
from voxledger.export.bundle import write_page
from voxledger.records.page_notes import CaseNotes, read_page_notes


@pytest.mark.parametrize("known", [{}, {"a": ["liver"], "b": []}])
def test_what_is_written_is_read(tmp_path: Path, known: dict[str, list[str]]) -> None:
    write_page(tmp_path, {"a": "CT", "b": "MR"}, known=known)
    assert json.loads((tmp_path / "review.json").read_text())["format"] == (2 if known else 1)
    assert read_page_notes(tmp_path) == {
        "a": CaseNotes("CT", frozenset({"liver"}) if known else None),
        "b": CaseNotes("MR", frozenset() if known else None),
    }


def test_a_bundle_from_before_there_was_a_page_says_nothing(tmp_path: Path) -> None:
    assert read_page_notes(tmp_path) == {}


@pytest.mark.parametrize(
    ("said", "error"),
    [
        pytest.param({"format": 3, "cases": {}}, Misuse, id="newer"),
        pytest.param({"format": 2, "cases": {"a": {}}}, VoxledgerError, id="no modality"),
        pytest.param({"format": 2, "cases": {"a": {"modality": "CT", "known": 1}}}, VoxledgerError, id="no classes"),
        pytest.param({"format": 2, "cases": []}, VoxledgerError, id="no cases"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, said: dict[str, Any], error: type[Exception]) -> None:
    (tmp_path / "review.json").write_text(json.dumps(said))
    with pytest.raises(error, match=r"review\.json"):
        read_page_notes(tmp_path)
