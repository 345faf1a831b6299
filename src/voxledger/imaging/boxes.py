"""Bounding boxes of masks, in voxels along (z, y, x), and their arithmetic."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from itertools import pairwise, product
from typing import Any

import numpy as np
import numpy.typing as npt

Box = tuple[slice, slice, slice]
"""A box as three slices in (z, y, x), each with a start and a stop from 0 up and no step."""


def bounding_box(mask: npt.NDArray[Any], margin: int = 0) -> Box | None:
    """The smallest box that holds every non-zero voxel, grown by a margin; None for an empty mask.

    Parameters
    ----------
    mask
        Any array (z, y, x).
    margin
        Voxels by which every side is moved out, as far as the array goes.
    """
    sides = []
    for axis in range(mask.ndim):
        others = tuple(a for a in range(mask.ndim) if a != axis)
        hits = np.flatnonzero(mask.any(axis=others))
        if hits.size == 0:
            return None
        sides.append(slice(int(hits[0]), int(hits[-1]) + 1))
    return grown((sides[0], sides[1], sides[2]), margin, mask.shape)


def label_boxes(labels: npt.NDArray[Any]) -> dict[int, Box]:
    """The bounding box of every id from 1 up in a label map (z, y, x), in one pass; ids without a voxel are left out.

    Ids are those of classes: memory grows with the largest.
    """
    from scipy.ndimage import find_objects

    found = find_objects(labels)
    return {number: (box[0], box[1], box[2]) for number, box in enumerate(found, start=1) if box is not None}


def grown(box: Box, margin: int | Sequence[int], shape: tuple[int, ...]) -> Box:
    """A box whose sides are moved out by `margin` voxels, or as many as it says for (z, y, x), as far as an array of
    `shape` (z, y, x) goes."""
    margins = (margin,) * 3 if isinstance(margin, int) else margin
    z, y, x = (slice(max(s.start - m, 0), min(s.stop + m, n)) for s, m, n in zip(box, margins, shape, strict=True))
    return z, y, x


def whole(shape: tuple[int, ...]) -> Box:
    """The box of a whole array of `shape` (z, y, x)."""
    z, y, x = (slice(0, n) for n in shape)
    return z, y, x


def parts(box: Box, others: Sequence[Box]) -> Iterator[tuple[Box, tuple[int, ...]]]:
    """Cut a box along the sides of others; gives each part, and the indices of the others that it lies in.

    Examples
    --------
    >>> line = (slice(0, 1), slice(0, 1), slice(0, 9))
    >>> [(part[2], inside) for part, inside in parts(line, [line, (slice(0, 1), slice(0, 1), slice(4, 9))])]
    [(slice(0, 4, None), (0,)), (slice(4, 9, None), (0, 1))]
    """
    sides = []
    for axis, s in enumerate(box):
        edges = {edge for other in others for edge in (other[axis].start, other[axis].stop)}
        cuts = sorted({s.start, s.stop, *(edge for edge in edges if s.start < edge < s.stop)})
        sides.append([slice(a, b) for a, b in pairwise(cuts)])
    for z, y, x in product(*sides):
        part = (z, y, x)
        yield part, tuple(i for i, other in enumerate(others) if intersection(part, other) == part)


def aligned(box: Box, chunks: tuple[int, ...], shape: tuple[int, ...]) -> Box:
    """The smallest box of whole chunks around a box, as far as an array of `shape` (z, y, x) goes."""
    z, y, x = (slice(s.start // c * c, min(-(-s.stop // c) * c, n)) for s, c, n in zip(box, chunks, shape, strict=True))
    return z, y, x


def intersection(a: Box | None, b: Box | None) -> Box | None:
    """The box that two boxes share; None where they share no voxel. None is the box of nothing."""
    if a is None or b is None:
        return None
    z, y, x = (slice(max(s.start, t.start), min(s.stop, t.stop)) for s, t in zip(a, b, strict=True))
    return None if z.start >= z.stop or y.start >= y.stop or x.start >= x.stop else (z, y, x)


def union(boxes: Iterable[Box | None]) -> Box | None:
    """The smallest box around all boxes; None, the box of nothing, adds nothing and comes of nothing."""
    found = [box for box in boxes if box is not None]
    if not found:
        return None
    z, y, x = (slice(min(b[a].start for b in found), max(b[a].stop for b in found)) for a in range(3))
    return z, y, x


def shape_of(box: Box) -> tuple[int, int, int]:
    """Voxels along z, y, x."""
    z, y, x = (s.stop - s.start for s in box)
    return z, y, x


def relative(box: Box, outer: Box) -> Box:
    """A box of the image in the coordinates of a box around it."""
    z, y, x = (slice(s.start - o.start, s.stop - o.start) for s, o in zip(box, outer, strict=True))
    return z, y, x


def absolute(box: Box, outer: Box) -> Box:
    """A box that is given in the coordinates of a box around it, in those of the image: undoes `relative`."""
    z, y, x = (slice(s.start + o.start, s.stop + o.start) for s, o in zip(box, outer, strict=True))
    return z, y, x


def view(array: npt.NDArray[Any], outer: Box, inner: Box) -> npt.NDArray[Any]:
    """View of the part of `array` (z, y, x), which fills `outer`, that lies in `inner`."""
    return array[relative(inner, outer)]
