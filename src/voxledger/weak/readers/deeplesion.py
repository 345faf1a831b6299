"""deeplesion: `DL_info.csv` of DeepLesion (Yan et al., J Med Imaging 2018), kept as diameters with both axes.

The table has a row a lesion: key slice, ends of the long and the short axis in pixels, the box around them, spacing
and size. Images are those that DeepLesion's own `DL_save_nifti.py` makes, `PATIENT_STUDY_SERIES_FIRST-LAST.nii.gz`; the
name of a case may have something before that. In these images columns go to the left of the patient, rows to the back,
slices down: in one that was turned since, the same points are found. Rows that are marked as noisy are left out, and so
are age and gender, window, type and all else that is no measurement. The table names no class of ours.
"""

from __future__ import annotations

import csv
import json
import re
from collections.abc import Collection
from pathlib import Path

import numpy as np

from voxledger.errors import CaseRefused, VoxledgerError
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema
from voxledger.textfile import Rows, read_text
from voxledger.weak.geometry import Points, lps_of
from voxledger.weak.marks import Marks, Recist, refuse
from voxledger.weak.reader import Given, Reader

_CASE = re.compile(r"(?:.*[_.-])?(\d{6}_\d{2}_\d{2})_(\d{3,})-(\d{3,})")
_FILE = re.compile(r"(\d{6}_\d{2}_\d{2})_(\d{3,})\.png")
_NUMBERS = {"Measurement_coordinates": 8, "Bounding_boxes": 4, "Spacing_mm_px_": 3, "Image_size": 2}
_WAYS = np.array([1, 1, -1])
"""Where columns, rows and slices go, along the LPS axes."""
SPACING_TOLERANCE = 0.01
"""Share by which a spacing may differ: the table has six digits, and some headers three."""


def recognises(path: Path) -> bool:
    """Whether it ends in `.csv`."""
    return path.suffix == ".csv"


def rows(path: Path, case_ids: Collection[str]) -> dict[str, str]:
    """By case, what the table says of its lesions: of each the slice from 0, and the numbers of `_NUMBERS`."""
    by_series: dict[str, list[tuple[int, list[list[float]]]]] = {}
    table = Rows(read_text(path).removeprefix("\ufeff"))
    asked = ["File_name", "Possibly_noisy", *_NUMBERS]
    if lacking := [name for name in asked if name not in (table.fieldnames or [])]:
        raise VoxledgerError(f"{path} is not DL_info.csv: it has no column {', '.join(lacking)}", "give that table")
    try:
        for row in table:
            file = _FILE.fullmatch(row["File_name"])
            numbers = [[float(v) for v in row[name].split(",")] for name in _NUMBERS]
            if file is None or [len(n) for n in numbers] != list(_NUMBERS.values()):
                raise ValueError
            if float(row["Possibly_noisy"]) != 1:
                by_series.setdefault(file[1], []).append((int(file[2]), numbers))
    except (csv.Error, ValueError):
        raise VoxledgerError(f"{path}, line {table.line_num}: it is no row of DL_info.csv", "mend the table") from None
    found = {}
    for case_id in case_ids:
        if (named := _CASE.fullmatch(case_id)) is None:
            continue
        first, last = int(named[2]), int(named[3])
        lesions = [[key - first, *numbers] for key, numbers in by_series.get(named[1], []) if first <= key <= last]
        if lesions:
            found[case_id] = json.dumps([last - first + 1, lesions])
    return found


def read(given: Given, case_id: str, grid: Grid, schema: LabelSchema) -> Marks:
    """A diameter with both axes for every lesion of the case."""
    count, lesions = json.loads(given.rows)
    order, flipped = _axes(grid, given.what)
    marks, problems = [], []
    for number, (key, ends, box, spacing, size) in enumerate(lesions):
        pixels = np.column_stack([np.reshape(ends, (4, 2)), np.full(4, key)])
        told = _misfits(pixels, box, [*size, count], spacing, grid, order)
        if told:
            problems += [f"lesion {number}: {problem}" for problem in told]
            continue
        indices = np.where(flipped, np.array(grid.shape)[::-1] - 1 - pixels[:, order], pixels[:, order])[:, ::-1]
        marks.append(_recist(indices, given.class_name, grid))
    if problems:
        raise refuse(given.what, problems)
    return Marks(case=case_id, source="deeplesion", marks=tuple(marks))


def _recist(indices: Points, class_name: str, grid: Grid) -> Recist:
    points = np.round(lps_of(indices, grid), 3)
    long, short = (float(np.linalg.norm(points[a] - points[a + 1])) for a in (0, 2))
    return Recist.model_validate(
        {
            "type": "recist",
            "class": class_name,
            "slice": int(indices[0, 0]),
            "points_lps_mm": tuple(tuple(float(v) + 0.0 for v in point) for point in points),
            "long_diameter_mm": round(long, 2),
            "short_diameter_mm": round(short, 2),
        }
    )


def _axes(grid: Grid, what: str) -> tuple[list[int], list[bool]]:
    """Which of columns, rows and slices the axes x, y and z of an image are, and whether each is counted backwards.

    Examples
    --------
    >>> made = (0.0, 1.0, 0.0, 1.0, 0.0, 0.0, 0.0, 0.0, -1.0)  # by DL_save_nifti.py
    >>> _axes(Grid((16, 512, 512), (5.0, 0.8, 0.8), (0.0, 0.0, 0.0), made), "")
    ([1, 0, 2], [False, False, False])
    >>> _axes(Grid.plain((16, 512, 512)), "")
    ([0, 1, 2], [False, False, True])
    """
    cosines = np.reshape(grid.direction, (3, 3))
    order = [int(np.abs(cosines[:, axis]).argmax()) for axis in range(3)]
    straight = [abs(cosines[order[axis], axis]) > 0.999 for axis in range(3)]
    if not all(straight) or sorted(order) != [0, 1, 2] or order[2] != 2:
        raise CaseRefused(
            f"{what}: its image has no slices as DeepLesion's has, along the axes of the patient",
            "take the image as DL_save_nifti.py makes it",
        )
    return order, [bool(cosines[order[axis], axis] * _WAYS[order[axis]] < 0) for axis in range(3)]


def _misfits(
    pixels: Points, box: list[float], size: list[int], spacing: list[float], grid: Grid, order: list[int]
) -> list[str]:
    """What does not fit the image; all along columns, rows and slices but the grid, whose axes are of `order`."""
    found = []
    here, mm = np.array(grid.shape)[::-1], np.array(grid.spacing)[::-1]
    if list(np.array(size)[order]) != list(here):
        found.append(
            f"its image has {'×'.join(f'{n:g}' for n in size)} voxels, and this one {'×'.join(map(str, here))}"
        )
    if not np.allclose(np.array(spacing)[order], mm, rtol=SPACING_TOLERANCE, atol=0):
        found.append("its image has another spacing")
    low, high = np.array(box[:2]), np.array(box[2:])
    if not ((pixels[:, :2] >= low) & (pixels[:, :2] <= high)).all():
        found.append("the ends of its axes do not lie in its box")
    if not ((pixels >= -0.5) & (pixels <= np.array(size) - 0.5)).all():
        found.append("the ends of its axes do not lie in the image")
    return found


READER = Reader(recognises, read, rows, names_classes=False)
