"""Weak labels that are no label maps: a RECIST diameter, checked word by word.

What a file from outside says enters the repository and every bundle. So nothing is kept but what is checked here:
numbers on the grid of the image, a class of the schema, the id of the case. A free text could be a patient's name.
"""

from __future__ import annotations

import json
from typing import Annotated, Literal

import numpy as np
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxledger.errors import CaseRefused
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema

MOST_BYTES = 1 << 20
"""A larger file is no diameter."""

_ROUNDING_MM = 0.5
"""Diameters and points are written with one or two digits."""

_Mm = Annotated[float, Field(allow_inf_nan=False)]
_Point = tuple[_Mm, _Mm, _Mm]


class Recist(BaseModel):
    """The longest diameter of a lesion in one axial slice."""

    model_config = ConfigDict(extra="forbid", frozen=True, strict=True)

    type: Literal["recist"]
    case: str
    class_name: str = Field(alias="class")
    slice: int
    """z index in the image."""
    points_lps_mm: tuple[_Point, _Point]
    """Both ends as LPS points (x, y, z)."""
    long_diameter_mm: _Mm

    def to_json(self) -> str:
        """The text that is kept; it depends on the values alone."""
        return json.dumps(self.model_dump(mode="json", by_alias=True), indent=2, sort_keys=True) + "\n"


def parse_recist(content: bytes, what: str, case_id: str, grid: Grid, schema: LabelSchema) -> Recist:
    """Parse the JSON of a RECIST diameter; `what` names it in errors, which never repeat what it says.

    Parameters
    ----------
    case_id
        The case it is for; a `case` in the JSON must name the same.
    grid
        Grid of the image of that case.

    Raises
    ------
    CaseRefused
        It is none, says more than a diameter, or does not lie in the image.
    """
    problems = []
    try:
        values = json.loads(content[: MOST_BYTES + 1])
        if len(content) > MOST_BYTES or not isinstance(values, dict):
            raise ValueError
        recist = Recist.model_validate_json(json.dumps({"case": case_id, **values}))
    except ValidationError as error:
        unknown = [str(e["loc"][-1]) for e in error.errors() if e["type"] == "extra_forbidden"]
        problems += [f"unknown keys {', '.join(unknown)}"] if unknown else []
        problems += [
            f"{'.'.join(str(part) for part in e['loc'])}: {e['msg']}"
            for e in error.errors(include_input=False, include_context=False)
            if e["type"] != "extra_forbidden"
        ]
    except (ValueError, RecursionError):
        problems.append(f"it is no RECIST diameter in JSON of at most {MOST_BYTES} bytes")
    else:
        problems += _misfits(recist, case_id, grid, schema)
    if problems:
        keys = ", ".join(field.alias or name for name, field in Recist.model_fields.items())
        raise CaseRefused(
            f"{what} is no RECIST diameter of this case: {'; '.join(problems)}",
            f"write {keys} and nothing else: what is beside them may say who the patient is",
        )
    return recist


def _misfits(recist: Recist, case_id: str, grid: Grid, schema: LabelSchema) -> list[str]:
    """What does not fit the case, its image or the schema."""
    found = []
    if recist.case != case_id:
        found.append(f"case: it is not {case_id}, for which the file is named")
    if recist.class_name not in schema.names:
        found.append(f"class: it is none of {', '.join(schema.names)}")
    if not 0 <= recist.slice < grid.shape[0]:
        found.append(f"slice: it is not one of the {grid.shape[0]} slices of the image, counted from 0")
        return found
    points = np.array(recist.points_lps_mm)
    cosines = np.reshape(grid.direction, (3, 3))
    with np.errstate(all="ignore"):
        indices = ((points - grid.origin) @ np.linalg.inv(cosines).T / grid.spacing[::-1])[:, ::-1]
        length = float(np.linalg.norm(points[0] - points[1]))
    inside = (indices >= -1).all(axis=1) & (indices <= grid.shape).all(axis=1)
    if not (inside & (np.abs(indices[:, 0] - recist.slice) <= 0.5)).all():
        found.append("points_lps_mm: they do not lie in this slice of the image (in LPS, as in DICOM and ITK)")
    # Some measure between the centres of both end voxels, some between their outer edges.
    slack = float(np.hypot(*grid.spacing[1:])) + _ROUNDING_MM
    if recist.long_diameter_mm <= 0 or not abs(recist.long_diameter_mm - length) <= slack:
        found.append("long_diameter_mm: it is not the distance of both points")
    return found
