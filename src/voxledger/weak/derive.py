"""Weak labels of every kind from a reference mask, as a careful person would mark the object.

One object a mask: of several pieces the largest is marked.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import Box, bounding_box
from voxledger.imaging.components import connected_components
from voxledger.imaging.volume import Grid
from voxledger.weak.diameter import longest, short_axis
from voxledger.weak.geometry import line, lps_of, painted
from voxledger.weak.label import Kind, WeakLabel, drawn, measured
from voxledger.weak.marks import AnyMark, BoxMark, PointMark, Recist, Scribble

Mask = npt.NDArray[np.bool_]
SOURCE = "json"


def derive(how: str, mask: Mask, case_id: str, class_name: str, grid: Grid) -> WeakLabel:
    """The weak label of one object.

    Parameters
    ----------
    how
        One of `WAYS`.
    mask
        The object (z, y, x); holds a voxel.
    """
    return WAYS[how](largest_piece(mask), case_id, class_name, grid)


def largest_piece(mask: Mask) -> Mask:
    """The largest connected piece (26 neighbours) of a mask (z, y, x), the first of several."""
    labels, _ = connected_components(mask)
    return np.asarray(labels == 1 + int(np.bincount(labels[mask])[1:].argmax()))


def largest_slice(mask: Mask, axis: int = 0) -> int:
    """Index of the plane across `axis` with most voxels of a mask (z, y, x); the lowest of several."""
    return int(np.argmax(mask.sum(axis=tuple(a for a in range(3) if a != axis))))


def _slices(axes: tuple[int, ...], kind: Kind) -> Callable[[Mask, str, str, Grid], WeakLabel]:
    def make(mask: Mask, case_id: str, class_name: str, grid: Grid) -> WeakLabel:
        found = np.zeros_like(mask)
        for axis in axes:
            index = largest_slice(mask, axis)
            np.moveaxis(found, axis, 0)[index] |= np.moveaxis(mask, axis, 0)[index]
        box = _box(found)
        return drawn(case_id, class_name, kind, "nifti", np.ascontiguousarray(found[box]), box, grid)

    return make


def recist_axes(mask: Mask, grid: Grid) -> tuple[npt.NDArray[np.int64], list[float]]:
    """The slice of the longest axial diameter: ends of long and short axis (4, 3) as voxels, and both lengths in mm."""
    spacing = grid.spacing[1:]
    best: tuple[float, int, npt.NDArray[np.int64]] | None = None
    for k in np.flatnonzero(mask.any(axis=(1, 2))).tolist():
        ends, length = longest(mask[k], spacing)
        if best is None or length > best[0]:
            best = (length, k, ends)
    if best is None:
        raise ValueError("an empty mask has no diameter")
    length, k, ends = best
    across, short = short_axis(mask[k], spacing, ends)
    return np.insert(np.concatenate([ends, across]), 0, k, axis=1), [length, short]


def _recist(axes: int) -> Callable[[Mask, str, str, Grid], WeakLabel]:
    def make(mask: Mask, case_id: str, class_name: str, grid: Grid) -> WeakLabel:
        points, _ = recist_axes(mask, grid)
        return measured(case_id, class_name, "recist", SOURCE, points[: 2 * axes].astype(np.float64), grid)

    return make


def _box_mark(mask: Mask, case_id: str, class_name: str, grid: Grid) -> WeakLabel:
    """The rectangle around it in its largest axial slice."""
    k = largest_slice(mask)
    box = _box(mask[k : k + 1])
    corners = [[k, box[1].start, box[2].start], [k, box[1].stop - 1, box[2].stop - 1]]
    return measured(case_id, class_name, "box", SOURCE, np.array(corners, np.float64), grid)


def deepest(mask: Mask, grid: Grid) -> tuple[int, int, int]:
    """The voxel of the largest axial slice that lies furthest from the border there."""
    from scipy.ndimage import distance_transform_edt

    k = largest_slice(mask)
    depth = distance_transform_edt(np.pad(mask[k], 1), grid.spacing[1:])[1:-1, 1:-1]
    y, x = np.unravel_index(int(np.argmax(depth)), depth.shape)
    return k, int(y), int(x)


def _point(mask: Mask, case_id: str, class_name: str, grid: Grid) -> WeakLabel:
    return measured(case_id, class_name, "point", SOURCE, np.array([deepest(mask, grid)], np.float64), grid)


def scribble_points(mask: Mask) -> npt.NDArray[np.float64]:
    """Where a line goes (n, 3): along the longer side of the largest axial slice, through the middle of the object.

    It leaves out an eighth at both ends.
    """
    k = largest_slice(mask)
    plane = mask[k]
    box = _box(mask[k : k + 1])
    along = 0 if box[1].stop - box[1].start >= box[2].stop - box[2].start else 1
    rows = np.flatnonzero(plane.any(axis=1 - along))
    kept = rows[len(rows) // 8 : max(len(rows) - len(rows) // 8, 1)]
    middle = [_middle(np.flatnonzero(np.take(plane, row, along))) for row in kept.tolist()]
    across = np.stack([kept, middle] if along == 0 else [middle, kept], axis=1)
    return np.insert(across.astype(np.float64), 0, k, axis=1)


def _middle(hits: npt.NDArray[np.int64]) -> int:
    """The middle of the longest run of a row."""
    runs = np.split(hits, np.flatnonzero(np.diff(hits) > 1) + 1)
    run = max(runs, key=len)
    return int(run[len(run) // 2])


def _scribble(mask: Mask, case_id: str, class_name: str, grid: Grid) -> WeakLabel:
    voxels, box = painted(line(scribble_points(mask), grid.shape))
    return drawn(case_id, class_name, "scribble", SOURCE, voxels, box, grid)


def _box(mask: Mask) -> Box:
    box = bounding_box(mask)
    assert box is not None  # an object has voxels
    return box


WAYS: dict[str, Callable[[Mask, str, str, Grid], WeakLabel]] = {
    "slice_mask": _slices((0,), "slice_mask"),
    "slices": _slices((0, 1, 2), "slices"),
    "recist": _recist(1),
    "recist_both": _recist(2),
    "box": _box_mark,
    "point": _point,
    "scribble": _scribble,
}
"""`slice_mask`: the largest axial slice; `slices`: the largest of each direction; `recist`, `recist_both`: the longest
diameter, and the short axis too; `box`: around the largest slice; `point`: deep inside; `scribble`: along it."""
DRAWN = ("slice_mask", "slices")
"""Those that are kept as label maps."""


def mark(how: str, mask: Mask, class_name: str, grid: Grid) -> AnyMark:
    """The same as a mark that is kept in JSON; `how` is none of `DRAWN`."""
    mask = largest_piece(mask)
    weak = WAYS[how](mask, "", class_name, grid)

    def points(indices: Any) -> tuple[tuple[float, ...], ...]:
        return tuple(tuple(float(v) + 0.0 for v in point) for point in np.round(lps_of(indices, grid), 3))

    of_class = {"type": weak.kind, "class": class_name}
    if how == "box":
        return BoxMark.model_validate(of_class | {"corners_lps_mm": points(weak.points)})
    if how == "point":
        return PointMark.model_validate(of_class | {"point_lps_mm": points(weak.points)[0]})
    if how == "scribble":
        return Scribble.model_validate(of_class | {"points_lps_mm": points(scribble_points(mask))})
    lengths = zip(
        ("long_diameter_mm", "short_diameter_mm"), recist_axes(mask, grid)[1][: len(weak.points) // 2], strict=False
    )
    said = {name: round(length, 2) for name, length in lengths}
    where = {"slice": int(weak.points[0, 0]), "points_lps_mm": points(weak.points)}
    return Recist.model_validate(of_class | where | said)
