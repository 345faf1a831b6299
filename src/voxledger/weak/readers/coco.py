"""coco: a COCO file of boxes in slices (Lin et al., ECCV 2014), kept as boxes.

The `file_name` of a slice is its case and its number, `CASE_012.png` or `CASE/012.png`, counted from 0 along the third
axis of the image; `bbox` is x, y, width and height in pixels along the first and second axis, as the image file stores
them. Boxes of one category that overlap in neighbouring slices are one object. Categories are called as classes
are, or all are of one class that is said. Segmentations, scores and all else are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection
from pathlib import Path
from typing import Any

import numpy as np

from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema
from voxledger.textfile import read_json
from voxledger.weak.geometry import Points, lps_of
from voxledger.weak.marks import BoxMark, Marks, refuse
from voxledger.weak.reader import Given, Reader

_SLICE = re.compile(r"(?P<case>.+)[/_-](?P<number>\d+)\.[A-Za-z0-9]+")
_KEYS = ("images", "annotations", "categories")


def recognises(path: Path) -> bool:
    """Whether it ends in `.json`."""
    return path.suffix == ".json"


def rows(path: Path, case_ids: Collection[str]) -> dict[str, str]:
    """By case, its boxes: of each the category, slice, x, y, width, height, and the size of the slice."""
    values = read_json(path, *_KEYS)
    found: dict[str, list[list[Any]]] = {}
    try:
        names = {number: str(category["name"]) for number, category in _by_id(values["categories"]).items()}
        slices = _by_id(values["images"])
        for annotation in values["annotations"]:
            image = slices[annotation["image_id"]]
            named = _SLICE.fullmatch(str(image["file_name"]))
            if named is None or (case_id := named["case"].rpartition("/")[2]) not in case_ids:
                continue
            x, y, width, height = (float(v) for v in annotation["bbox"])
            size = int(image["width"]), int(image["height"])
            box = [names[annotation["category_id"]], int(named["number"]), x, y, width, height, *size]
            found.setdefault(case_id, []).append(box)
    except (KeyError, TypeError, ValueError, OverflowError, AttributeError) as error:
        raise VoxledgerError(f"{path} is not COCO: {type(error).__name__} {error}", "export the boxes again") from None
    return {case_id: json.dumps(boxes) for case_id, boxes in found.items()}


def _by_id(listed: list[dict[str, Any]]) -> dict[Any, dict[str, Any]]:
    """Images or categories by their number, each of which is one alone: files put together may number them anew."""
    found: dict[Any, dict[str, Any]] = {}
    for one in listed:
        if found.setdefault(one["id"], one) != one:
            raise ValueError(f"several images or categories have the id {one['id']}")
    return found


def read(given: Given, case_id: str, grid: Grid, schema: LabelSchema) -> Marks:
    """A box for every object of the case."""
    problems: list[str] = []
    by_class: dict[str, list[Points]] = {}
    for number, (category, index, x, y, width, height, *size) in enumerate(json.loads(given.rows)):
        low, high = np.array([index, y, x]), np.array([index, y + height - 1, x + width - 1])
        name = given.class_name or category
        told = [] if name in schema.names else ["its category is no class: say --weak-class, or call it as one"]
        if size != [grid.shape[2], grid.shape[1]]:
            told.append(f"its slice has {size[0]}×{size[1]} pixels, and the image {grid.shape[2]}×{grid.shape[1]}")
        if not (width >= 1 and height >= 1 and (low >= -0.5).all() and (high <= np.array(grid.shape) - 0.5).all()):
            told.append("it does not lie in the image")
        problems += [f"box {number}: {problem}" for problem in told]
        by_class.setdefault(name, []).append(np.stack([low, high]))
    if problems:
        raise refuse(given.what, problems)
    marks = [_mark(name, box, grid) for name in schema.names for box in joined(by_class.get(name, []))]
    return Marks(case=case_id, source="coco", marks=tuple(marks))


def joined(boxes: list[Points]) -> list[Points]:
    """Boxes (lowest and highest voxel, z, y, x) of slices, those that overlap in neighbouring slices as one.

    Examples
    --------
    >>> first, second, third = (np.array([[z, 2, 2 + z], [z, 5, 5 + z]]) for z in (3, 4, 6))
    >>> [box.tolist() for box in joined([second, third, first])]
    [[[3, 2, 5], [4, 5, 9]], [[6, 2, 8], [6, 5, 11]]]
    """
    found: list[Points] = []
    ends: list[Points] = []
    for box in sorted(boxes, key=lambda box: tuple(box.ravel())):
        for number, end in enumerate(ends):
            next_to = box[0, 0] == end[1, 0] + 1
            if next_to and (np.maximum(box[0, 1:], end[0, 1:]) <= np.minimum(box[1, 1:], end[1, 1:])).all():
                ends[number] = box
                found[number] = np.stack([np.minimum(found[number][0], box[0]), np.maximum(found[number][1], box[1])])
                break
        else:
            found.append(box)
            ends.append(box)
    return found


def _mark(name: str, box: Points, grid: Grid) -> BoxMark:
    corners = tuple(tuple(float(v) + 0.0 for v in point) for point in np.round(lps_of(box, grid), 3))
    return BoxMark.model_validate({"type": "box", "class": name, "corners_lps_mm": corners})


READER = Reader(recognises, read, rows)
