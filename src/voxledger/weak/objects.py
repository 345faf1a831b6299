"""From a label map with a few slices to one weak label an object."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import combinations
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import Box, bounding_box
from voxledger.imaging.components import connected_components
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelClass, LabelSchema
from voxledger.weak.geometry import planes
from voxledger.weak.label import Kind, WeakLabel, drawn


def objects(labels: npt.NDArray[Any], case_id: str, source: str, grid: Grid, schema: LabelSchema) -> list[WeakLabel]:
    """One weak label for every object that is drawn in a label map (z, y, x), by class, then by its first voxel.

    Of a class that is no lesion, all that is drawn is one object. Lesions are told apart: what is connected is one, and
    so are drawings in parallel planes that lie over one another, closer than they are wide. What lies in a class
    belongs to it where it touches what is drawn of the class itself; so does a retired class that lay in it.
    """
    found, today = [], schema.repaint_retired(labels)
    for c in schema.classes:
        own = labels == c.id
        if not own.any():
            continue
        pieces, _ = connected_components(schema.mask(today, c.name))
        for part in _parts(np.isin(pieces, np.unique(pieces[own])), c, grid):
            box = bounding_box(part)
            assert box is not None  # a part has voxels
            cut = np.ascontiguousarray(part[box])
            kind: Kind = "slice_mask" if len(list(planes(cut))) == 1 else "slices"
            found.append(drawn(case_id, c.name, kind, source, cut, box, grid))
    return found


def _parts(mask: npt.NDArray[np.bool_], c: LabelClass, grid: Grid) -> Iterator[npt.NDArray[np.bool_]]:
    if not c.lesion:
        yield mask
        return
    labels, count = connected_components(mask)
    of = list(range(count))
    boxes = [bounding_box(labels == number) for number in range(1, count + 1)]
    for a, b in combinations(range(count), 2):
        if of[a] != of[b] and _one_object(labels, (a, b), (boxes[a], boxes[b]), grid):
            of = [of[a] if number == of[b] else number for number in of]
    for first in dict.fromkeys(of):
        yield np.isin(labels, [number + 1 for number in range(count) if of[number] == first])


def _one_object(
    labels: npt.NDArray[Any], numbers: tuple[int, int], boxes: tuple[Box | None, Box | None], grid: Grid
) -> bool:
    """Whether two pieces are drawn in parallel planes, over one another, and closer than the wider one is wide."""
    one, other = boxes
    assert one is not None
    assert other is not None
    for axis in range(3):
        if one[axis].stop - one[axis].start > 1 or other[axis].stop - other[axis].start > 1:
            continue
        apart = abs(one[axis].start - other[axis].start) * grid.spacing[axis]
        wide = max((b[a].stop - b[a].start) * grid.spacing[a] for b in (one, other) for a in range(3) if a != axis)
        shadows = [
            np.take(labels, box[axis].start, axis) == n + 1 for n, box in zip(numbers, (one, other), strict=True)
        ]
        if 0 < apart < wide and (shadows[0] & shadows[1]).any():
            return True
    return False
