"""`calibration.json`: the threshold of every calibrated lesion class, and what it finds of the calibration lesions."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from voxledger import layout
from voxledger.records.formats import Upgrade, upgraded
from voxledger.textfile import read_json, replace_text, restoring, unreadable


class Interval(BaseModel):
    """A rate with its 95 % interval over patients; None where its denominator is 0."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    value: float | None
    low: float | None
    high: float | None


class CalibratedClass(BaseModel):
    """The threshold of one lesion class, and what the rules leave at it in the calibration cases."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    threshold: float
    """A voxel is predicted when its probability is above."""
    fit: bool
    """Whether the wanted share of the calibration lesions is found at it."""
    sensitivity: Interval
    false_positives_per_scan: Interval
    patient_sensitivity: Interval
    """Share of the patients with a lesion in whom anything is predicted."""
    patient_specificity: Interval
    """Share of the patients without a lesion in whom nothing is predicted."""
    cases: int
    cases_with_lesion: int
    lesions: int
    lesions_needed: int | None
    """Lesions that could show the wanted sensitivity, all found; None where no number can."""
    supported: bool
    """Whether what is found of them shows the wanted sensitivity (exact binomial, 95 %, one-sided)."""


def _with_floor(values: dict[str, Any]) -> dict[str, Any]:
    """Format 1 was measured before the rules, had no floor, and any voxel was a hit."""
    wanted = values["wanted_sensitivity"]
    classes = {
        name: {**found, "fit": (found["sensitivity"]["value"] or 0) >= wanted}
        for name, found in values["classes"].items()
    }
    return {**values, "floor": 0.0, "overlap": 0.0, "classes": classes}


def _with_size(values: dict[str, Any]) -> dict[str, Any]:
    """Up to format 2 lesions of all sizes were to be found."""
    return {**values, "from_mm": 0.0}


UPGRADES: tuple[Upgrade, ...] = (_with_floor, _with_size)
FORMAT = len(UPGRADES) + 1


class Calibration(BaseModel):
    """What one round calibrated."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = FORMAT
    wanted_sensitivity: float
    floor: float
    """No threshold lies below."""
    overlap: float
    """Share that makes a hit: `voxledger.imaging.detection`."""
    from_mm: float
    """Diameter of a ball of equal volume from which lesions were to be found."""
    classes: dict[str, CalibratedClass]
    notes: dict[str, list[str]]
    """What a person should know, by class."""

    @property
    def thresholds(self) -> dict[str, float]:
        """Of the classes that have one, or of `any`: all lesion classes."""
        return {name: found.threshold for name, found in self.classes.items()}


def write_calibration(path: Path, calibration: Calibration) -> None:
    """Write the record as JSON, which is also a metrics file of DVC."""
    replace_text(path, json.dumps(calibration.model_dump(mode="json"), indent=2) + "\n")


def read_calibration(path: Path = layout.CALIBRATION) -> Calibration:
    """Read the record of any format.

    Raises
    ------
    Misuse
        It is of a newer format.
    VoxledgerError
        It is damaged.
    """
    values = read_json(path, "classes")
    try:
        return Calibration.model_validate(upgraded(values, UPGRADES, str(path), restoring(path)))
    except (ValidationError, KeyError, TypeError, AttributeError) as error:
        raise unreadable(path, f"it is not a calibration: {error}") from None
