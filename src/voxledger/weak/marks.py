"""Weak labels that are no label maps, as `CASE.json`: diameters, boxes, points and scribbles, checked word by word.

What a file from outside says enters the repository and every bundle. So nothing is kept but what is checked here:
numbers on the grid of the image, a class of the schema, the id of the case. A free text could be a patient's name.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Annotated, Any, ClassVar, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxledger.errors import CaseRefused
from voxledger.imaging.volume import Grid
from voxledger.records.formats import upgraded
from voxledger.registry import WEAK_READERS
from voxledger.schema import LabelSchema
from voxledger.weak.geometry import Points, indices_of, line, painted
from voxledger.weak.label import Kind, WeakLabel, drawn, measured

MOST_BYTES = 1 << 20
"""A larger file is no weak label."""

ROUNDING_MM = 0.5
"""Diameters and points are written with one or two digits."""
HALF = 0.5 + 1e-3
"""Voxels by which a point may lie beside the middle of its slice; points are written in thousandths of mm."""

_Mm = Annotated[float, Field(allow_inf_nan=False)]
_Point = tuple[_Mm, _Mm, _Mm]


class Mark(BaseModel):
    """One mark of one object; points are LPS (x, y, z) in mm."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)
    kind: ClassVar[Kind]
    """What it is called as `type`."""

    class_name: str = Field(alias="class")

    def points(self, grid: Grid) -> Points:
        """Its points as voxel indices (z, y, x), not rounded."""
        raise NotImplementedError

    def misfits(self, grid: Grid) -> list[str]:
        """What does not fit the image."""
        raise NotImplementedError

    def weak_label(self, case_id: str, source: str, grid: Grid) -> WeakLabel:
        """What it says on the grid of the image."""
        return measured(case_id, self.class_name, self.kind, source, self.points(grid), grid)


class Recist(Mark):
    """The longest diameter of an object in one axial slice, and its short axis where it was measured."""

    kind = "recist"

    type: Literal["recist"]
    slice: int
    """z index in the image."""
    points_lps_mm: tuple[_Point, _Point] | tuple[_Point, _Point, _Point, _Point]
    """Both ends of the long axis, then of the short axis."""
    long_diameter_mm: _Mm
    short_diameter_mm: _Mm | None = None

    def points(self, grid: Grid) -> Points:
        return indices_of(self.points_lps_mm, grid)

    def misfits(self, grid: Grid) -> list[str]:
        if not 0 <= self.slice < grid.shape[0]:
            return [f"slice: it is not one of the {grid.shape[0]} slices of the image, counted from 0"]
        indices = self.points(grid)
        found = []
        if not (inside(indices, grid) & (np.abs(indices[:, 0] - self.slice) <= HALF)).all():
            found.append("points_lps_mm: they do not lie in this slice of the image (in LPS, as in DICOM and ITK)")
        if (self.short_diameter_mm is None) is (len(indices) == 4):
            found.append("short_diameter_mm: it belongs to four points, and to no two")
        # Some measure between the centres of both end voxels, some between their outer edges.
        slack = float(np.hypot(*grid.spacing[1:])) + ROUNDING_MM
        diameters = ("long_diameter_mm", self.long_diameter_mm), ("short_diameter_mm", self.short_diameter_mm)
        points = np.array(self.points_lps_mm)
        for (name, said), a, b in zip(diameters, points[::2], points[1::2], strict=False):
            with np.errstate(all="ignore"):
                length = float(np.linalg.norm(a - b))
            if said is not None and (said <= 0 or not abs(said - length) <= slack):
                found.append(f"{name}: it is not the distance of both points")
        if len(points) == 4 and not found:
            # Nothing in the slice of one object is further apart than its longest diameter.
            long, short = (float(np.linalg.norm(points[a] - points[a + 1])) for a in (0, 2))
            apart = float(np.linalg.norm(points[:2].mean(axis=0) - points[2:].mean(axis=0)))
            if short > long + slack:
                found.append("points_lps_mm: the second axis is longer than the first; the long axis comes first")
            if apart > long + slack:
                found.append("points_lps_mm: both axes lie too far apart to be of one object")
        return found


class BoxMark(Mark):
    """A rectangle around an object in a plane, or a box around it in several slices."""

    kind = "box"

    type: Literal["box"]
    corners_lps_mm: tuple[_Point, _Point]
    """The middles of two opposite corner voxels, both inside."""

    def points(self, grid: Grid) -> Points:
        corners = indices_of(self.corners_lps_mm, grid)
        return np.stack([corners.min(axis=0), corners.max(axis=0)])

    def misfits(self, grid: Grid) -> list[str]:
        return [] if inside(self.points(grid), grid).all() else ["corners_lps_mm: they do not lie in the image"]


class PointMark(Mark):
    """One point inside an object."""

    kind = "point"

    type: Literal["point"]
    point_lps_mm: _Point

    def points(self, grid: Grid) -> Points:
        return indices_of([self.point_lps_mm], grid)

    def misfits(self, grid: Grid) -> list[str]:
        return [] if inside(self.points(grid), grid).all() else ["point_lps_mm: it does not lie in the image"]


class Scribble(Mark):
    """A line drawn inside an object, in one plane of the image."""

    kind = "scribble"

    type: Literal["scribble"]
    points_lps_mm: Annotated[tuple[_Point, ...], Field(min_length=1, max_length=10_000)]
    """Where the line goes, in this order."""

    def points(self, grid: Grid) -> Points:
        return indices_of(self.points_lps_mm, grid)

    def misfits(self, grid: Grid) -> list[str]:
        indices = self.points(grid)
        if not inside(indices, grid).all():
            return ["points_lps_mm: they do not lie in the image"]
        if not (np.ptp(np.rint(indices), axis=0) == 0).any():
            return ["points_lps_mm: they do not lie in one plane of voxels"]
        return []

    def weak_label(self, case_id: str, source: str, grid: Grid) -> WeakLabel:
        mask, box = painted(line(self.points(grid), grid.shape))
        return drawn(case_id, self.class_name, self.kind, source, mask, box, grid)


AnyMark = Annotated[Recist | BoxMark | PointMark | Scribble, Field(discriminator="type")]


class Marks(BaseModel):
    """All marks of a case."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    format: Literal[2] = 2
    case: str
    source: str = "json"
    """What they came as: a member of `weak/readers/`."""
    marks: tuple[AnyMark, ...]

    def to_json(self) -> str:
        """The text that is kept; it depends on the values alone."""
        values = self.model_dump(mode="json", by_alias=True, exclude_none=True)
        return json.dumps(values, indent=2, sort_keys=True) + "\n"


def _listed(values: dict[str, Any]) -> dict[str, Any]:
    """Format 1 was one diameter."""
    outer = {name: values[name] for name in ("case",) if name in values}
    return outer | {"marks": [{name: v for name, v in values.items() if name not in ("case", "format")}]}


UPGRADES = (_listed,)
FORMAT = len(UPGRADES) + 1


def inside(indices: Points, grid: Grid) -> Any:
    """Which points, as voxel indices (z, y, x), lie in the image; a voxel beside it is still on its edge."""
    return ((indices >= -1) & (indices <= grid.shape)).all(axis=1)


def parse_marks(content: bytes, what: str, case_id: str, grid: Grid, schema: LabelSchema, kept: bool = False) -> Marks:
    """Parse the JSON of the weak labels of a case; `what` names it in errors, which never repeat what it says.

    Parameters
    ----------
    case_id
        The case it is for; a `case` in the JSON must name the same.
    grid
        Grid of the image of that case.
    kept
        Whether it is one that is kept here: then a class may be called as it was before, or be retired.

    Raises
    ------
    CaseRefused
        It is none, says more than marks, or does not lie in the image.
    Misuse
        A newer voxledger wrote it.
    """
    problems = []
    try:
        values = json.loads(content[: MOST_BYTES + 1])
        if len(content) > MOST_BYTES or not isinstance(values, dict):
            raise ValueError
        if not (isinstance(values.get("format", 1), int) and values.get("format", 1) > 0):
            raise ValueError
        today = upgraded(values, UPGRADES, what)
        marks = Marks.model_validate_json(json.dumps({"case": case_id, **today}))
    except ValidationError as error:
        problems = _invalid(error)
        if "marks" in values and "format" not in values:
            problems = [f"format: it is missing; marks are listed from format {FORMAT} on"]
    except (ValueError, RecursionError):
        problems.append(f"it is no mark in JSON of at most {MOST_BYTES} bytes")
    else:
        names = [*schema.names, *(m.class_name for m in marks.marks if kept and schema.is_on_record(m.class_name))]
        problems = misfits(marks, case_id, grid, names)
    if problems:
        raise refuse(what, problems)
    return marks


def refuse(what: str, problems: list[str]) -> CaseRefused:
    """The error for weak labels that are none of their case."""
    return CaseRefused(
        f"{what} is no weak label of this case: {'; '.join(problems[:10])}",
        "write marks as the curators' page says and nothing else: what is beside them may say who the patient is",
    )


def _invalid(error: ValidationError) -> list[str]:
    """What pydantic says, without values."""
    unknown = [str(e["loc"][-1]) for e in error.errors() if e["type"] == "extra_forbidden"]
    told = error.errors(include_input=False, include_context=False)
    return [f"unknown keys {', '.join(unknown)}"] * bool(unknown) + [
        f"{'.'.join(str(part) for part in e['loc'])}: {_without_value(e['type'], e['msg'])}"
        for e in told
        if e["type"] != "extra_forbidden"
    ]


def _without_value(kind: str, message: str) -> str:
    """The message of an unknown `type` repeats it."""
    if kind == "union_tag_invalid":
        return f"its type is none of {', '.join(m.kind for m in (Recist, BoxMark, PointMark, Scribble))}"
    return message


def misfits(marks: Marks, case_id: str, grid: Grid, names: Sequence[str]) -> list[str]:
    """What does not fit the case, its image or the names of classes."""
    found = [] if marks.marks else ["marks: there is none"]
    if marks.case != case_id:
        found.append(f"case: it is not {case_id}, for which the file is named")
    if marks.source not in WEAK_READERS.names():
        found.append(f"source: it is none of {', '.join(WEAK_READERS.names())}")
    for number, mark in enumerate(marks.marks):
        told = [] if mark.class_name in names else [f"class: it is none of {', '.join(names)}"]
        told += mark.misfits(grid)
        found += [f"marks.{number}.{problem}" if len(marks.marks) > 1 else problem for problem in told]
    return found


def of_today(marks: Marks, schema: LabelSchema) -> Marks:
    """The marks under today's names of their classes, without those of retired ones."""
    names = {mark.class_name: schema.renamed(mark.class_name) for mark in marks.marks}
    left = [m.model_copy(update={"class_name": names[m.class_name]}) for m in marks.marks if names[m.class_name]]
    return marks.model_copy(update={"marks": tuple(left)})


def weak_labels(marks: Marks, case_id: str, grid: Grid) -> list[WeakLabel]:
    """What they say on the grid of the image, in their order."""
    return [mark.weak_label(case_id, marks.source, grid) for mark in marks.marks]
