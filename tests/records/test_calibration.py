"""The record of the thresholds, of both formats."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voxledger.errors import Misuse, VoxledgerError
from voxledger.records.calibration import FORMAT, Calibration, read_calibration, write_calibration

RATE = {"value": 0.75, "low": 0.5, "high": 1.0}
OLD: dict[str, Any] = {
    "wanted_sensitivity": 0.9,
    "classes": {
        name: {
            "threshold": 0.0003,
            "sensitivity": RATE | {"value": found},
            "false_positives_per_scan": RATE,
            "patient_sensitivity": RATE,
            "patient_specificity": {"value": None, "low": None, "high": None},
            "cases": 4,
            "cases_with_lesion": 3,
            "lesions": 3,
            "lesions_needed": 29,
            "supported": False,
        }
        for name, found in (("pdac", 0.75), ("cyst", 1.0))
    },
    "notes": {"pdac": ["too few"]},
}


def test_format_1_is_read_and_comes_back_as_today(tmp_path: Path) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(json.dumps(OLD))
    found = read_calibration(path)
    assert (found.format, found.floor, found.overlap, found.from_mm) == (FORMAT, 0.0, 0.0, 0.0)
    assert {name: c.fit for name, c in found.classes.items()} == {"pdac": False, "cyst": True}
    assert found.thresholds == {"pdac": 0.0003, "cyst": 0.0003}
    write_calibration(path, found)
    assert read_calibration(path) == found
    assert json.loads(path.read_text())["format"] == FORMAT


@pytest.mark.parametrize(
    ("text", "error", "said"),
    [
        ("[]", VoxledgerError, "calibration.json"),
        ('{"classes": 1}', VoxledgerError, "calibration.json"),
        (json.dumps(OLD | {"format": FORMAT}), VoxledgerError, "is not a calibration"),
        (json.dumps(OLD | {"format": FORMAT + 1}), Misuse, "calibration.json"),
    ],
)
def test_what_cannot_be_read_is_named(tmp_path: Path, text: str, error: type[VoxledgerError], said: str) -> None:
    path = tmp_path / "calibration.json"
    path.write_text(text)
    with pytest.raises(error, match=said):
        read_calibration(path)


def test_nothing_calibrated(tmp_path: Path) -> None:
    nothing = Calibration(wanted_sensitivity=0.99, floor=0.003, overlap=0.1, from_mm=0, classes={}, notes={})
    write_calibration(tmp_path / "c.json", nothing)
    assert read_calibration(tmp_path / "c.json") == nothing
