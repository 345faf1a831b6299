"""`emulated.json` of a return: that no person made it, what its looking and drawing cost, and what it left wrong."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from voxledger.records.bundle import EMULATED, Manifest
from voxledger.records.card import to_json
from voxledger.records.formats import Upgrade
from voxledger.records.returned import parse_returned
from voxledger.textfile import replace_text

UPGRADES: tuple[Upgrade, ...] = ()
FORMAT = len(UPGRADES) + 1

_Size = Annotated[float, Field(ge=0, allow_inf_nan=False)]
_Count = Annotated[int, Field(ge=0)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class Looks(StrEnum):
    """Where a reader who draws looks."""

    EVERYWHERE = "everywhere"
    ATTENTION = "attention"
    """Where attention points, and nowhere else."""


class EmulatedMask(_Strict):
    """One class of one case. Errors are those of the mask against the reference, as the reader found and left it."""

    case_id: str
    class_name: str
    looks: _Size
    """Share of a look at everything that it took."""
    drawing_minutes: _Size
    added_path_mm: _Size
    path_mm: _Size
    """The whole contour of the mask that was handed in."""
    errors: _Count
    """Visible ones, in what was proposed."""
    errors_left: _Count
    """Visible ones, in what was handed in."""
    error_ml: _Size
    """Any voxel, in what was proposed."""
    error_ml_left: _Size
    """Any voxel, in what was handed in."""
    dice: float = Field(ge=0, le=1)
    """Of what was handed in; 1 where both masks are empty."""


class Emulated(_Strict):
    """What `emulated.json` says."""

    format: int = FORMAT
    looks: Looks
    sees_mm: _Size
    """Errors that reach no farther were left; 0 where every voxel was corrected."""
    looking_minutes: _Size
    """Of a look at one class of one case: assumed."""
    scratch_minutes: _Size
    """Of a case from nothing: assumed."""
    path_tolerance_mm: _Size
    error_tolerance_mm: _Size
    """How far a change reaches to be visible."""
    masks: tuple[EmulatedMask, ...]
    """In the order of the cases, and within each as they were asked about."""

    @property
    def looking(self) -> float:
        """Minutes of looking."""
        return self.looking_minutes * sum(mask.looks for mask in self.masks)

    @property
    def drawing(self) -> float:
        """Minutes of drawing."""
        return sum(mask.drawing_minutes for mask in self.masks)

    def __str__(self) -> str:
        errors, left = (sum(getattr(m, n) for m in self.masks) for n in ("errors", "errors_left"))
        ml, ml_left = (sum(getattr(m, n) for m in self.masks) for n in ("error_ml", "error_ml_left"))
        return (
            f"{self.looking:.1f} minutes of looking and {self.drawing:.1f} of drawing (assumed); {left} of {errors} "
            f"errors beyond {self.error_tolerance_mm:g} mm left, {ml_left:.2f} of {ml:.2f} ml"
        )


def write_emulated(folder: Path, emulated: Emulated) -> None:
    """Write the record into a return."""
    replace_text(folder / EMULATED, to_json(emulated.model_dump(mode="json")))


def parse_emulated(content: bytes, what: Path | str) -> Emulated:
    """Parse an `emulated.json`; `what` names it in errors.

    Raises
    ------
    Misuse
        It is of a newer format.
    VoxledgerError
        It is damaged, or not such a record.
    """
    return parse_returned(Emulated, content, what, UPGRADES)


def misfits(emulated: Emulated, manifest: Manifest) -> list[str]:
    """What does not fit: a mask that was not asked about, or that is listed twice."""
    asked = {(a.case_id, a.class_name) for a in manifest.asked}
    named = [(mask.case_id, mask.class_name) for mask in emulated.masks]
    found = [
        f"names class {name} of case {case_id}, which the bundle does not ask about"
        for case_id, name in sorted(set(named) - asked)
    ]
    return [*found, "lists a mask twice"] if len(set(named)) < len(named) else found


def read_emulated(folder: Path) -> Emulated | None:
    """The record in a return; None where there is none."""
    file = folder / EMULATED
    return parse_emulated(file.read_bytes(), file) if file.is_file() else None
