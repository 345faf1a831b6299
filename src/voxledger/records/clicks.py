"""`clicks.json` of a return: where somebody clicked, and on which model's answers.

A virtual reader says what let it do so, too. A person needs no leave: what a model answers is seen before it is taken.
"""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from voxledger.records.bundle import CLICKS, Manifest
from voxledger.records.card import ID_PATTERN, NAME_PATTERN, to_json
from voxledger.records.formats import Upgrade
from voxledger.records.returned import parse_returned
from voxledger.textfile import replace_text

UPGRADES: tuple[Upgrade, ...] = (lambda values: values, lambda values: values)
"""Format 2 has clicks of people, who have no gate, and boxes and scribbles; format 3 has what the card of
the model says. What older ones say means the same."""
FORMAT = len(UPGRADES) + 1

LEAST_RISE = 0.05
"""Mean IoU that three clicks a class have to add on validation cases, before a round may use them."""

MOST_LETTERS = 300
"""Of what a return says of its model."""
_Line = Annotated[str, Field(pattern=r"^[^\p{Cc}\u2028\u2029]*$", max_length=MOST_LETTERS)]
"""It comes from outside, and is put into pages that describe a release: there it begins no paragraph of its own."""
_Share = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]
_Index = Annotated[int, Field(ge=0)]
_Voxel = tuple[_Index, _Index, _Index]
MarkKind = Literal["point", "box", "scribble"]
"""What a model is told where something is: a voxel, two opposite corners in a plane, or a line in a plane."""


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)


class GateMeasured(_Strict):
    """What clicks add on validation cases, whose reference labels are known and were not learned from."""

    cases: int = Field(ge=1)
    clicks: int = Field(ge=1)
    """Most a class and case."""
    automatic: _Share
    """Mean IoU of what the model says without clicks."""
    clicked: _Share
    """The same after the clicks, none of them taken back."""
    low: float = Field(ge=-1, le=1)
    """Lower end of the 95 % interval of the difference, over patients."""

    @property
    def rise(self) -> float:
        """Mean IoU that the clicks add."""
        return self.clicked - self.automatic

    @property
    def passed(self) -> bool:
        """Whether a round may use clicks: they add enough, and the labels that they make are the better ones."""
        return self.rise >= LEAST_RISE and self.low > 0

    def __str__(self) -> str:
        return (
            f"{self.clicks} clicks a class take the mean IoU of {self.cases} validation case"
            f"{'' if self.cases == 1 else 's'} from {self.automatic:.3f} to {self.clicked:.3f}: {self.rise:+.3f}, at "
            f"least {self.low:+.3f} with 95 % confidence"
        )


class Clicked(_Strict):
    """One click."""

    case_id: str
    class_name: str
    voxel: _Voxel
    """z, y, x in the image; of a box a corner, of a scribble the first voxel."""
    present: bool
    """Whether it says that the class is there, or that it is not."""
    helped: bool
    """Whether its answer was kept: what was no better, a virtual reader takes back and a person leaves."""
    kind: MarkKind = "point"
    others: tuple[_Voxel, ...] = ()
    """The opposite corner of a box, all other voxels of a scribble."""


class AnsweredBy(_Strict):
    """What the card of a model says that answered, for those who have no card of it: a reviewer may bring one along."""

    name: str = Field(pattern=NAME_PATTERN, max_length=MOST_LETTERS)
    backend: str = Field(pattern=NAME_PATTERN, max_length=MOST_LETTERS)
    architecture: _Line
    licence: _Line


class Clicks(_Strict):
    """What `clicks.json` says."""

    format: int = FORMAT
    model: str = Field(pattern=ID_PATTERN)
    """Id of the model that answered."""
    answered_by: AnsweredBy | None = None
    """None in returns of before, and where a virtual reader clicked: its model is one of the round's."""
    gate: GateMeasured | None
    """What let a virtual reader use it; None where a person clicked."""
    cases: tuple[str, ...]
    """Cases that were read so, sorted; at some nothing had to be clicked."""
    clicks: tuple[Clicked, ...]
    """In the order of the cases, and within each as they were made."""


def write_clicks(folder: Path, clicks: Clicks) -> None:
    """Write the record into a return."""
    replace_text(folder / CLICKS, to_json(clicks.model_dump(mode="json")))


def parse_clicks(content: bytes, what: Path | str) -> Clicks:
    """Parse a `clicks.json`; `what` names it in errors.

    Raises
    ------
    Misuse
        It is of a newer format.
    VoxledgerError
        It is damaged, or not such a record.
    """
    return parse_returned(Clicks, content, what, UPGRADES)


def misfits(clicks: Clicks, manifest: Manifest) -> list[str]:
    """What does not fit: another bundle, cases that are not listed or listed twice, a gate that is not passed.

    People may add classes that were not asked about.
    """
    asked, unasked = {(a.case_id, a.class_name) for a in manifest.asked}, "which the bundle does not ask about"
    if clicks.gate is None:
        asked = {(case_id, name) for case_id in manifest.voxels for name in manifest.label_schema.names}
    clicked = sorted({(c.case_id, c.class_name) for c in clicks.clicks})
    found = [f"names case {case_id}, {unasked}" for case_id in clicks.cases if case_id not in manifest.voxels]
    found += [f"names class {name} of case {c}, {unasked}" for c, name in clicked if (c, name) not in asked]
    found += [f"names clicks in case {c}, which it does not list" for c, _ in clicked if c not in clicks.cases]
    if len(set(clicks.cases)) < len(clicks.cases):
        found.append("lists a case twice")
    if clicks.gate is not None and not clicks.gate.passed:
        found.append(f"says that a round may not use its clicks: {clicks.gate}")
    return found


def read_clicks(folder: Path) -> Clicks | None:
    """The record in a return; None where there is none.

    Raises
    ------
    Misuse, VoxledgerError
        As `parse_clicks`.
    """
    file = folder / CLICKS
    return parse_clicks(file.read_bytes(), file) if file.is_file() else None
