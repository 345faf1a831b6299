"""Bounding boxes in relation to one another."""

from __future__ import annotations

from typing import Any

import numpy.typing as npt

from voxledger.imaging.volume import Box


def intersection(a: Box | None, b: Box | None) -> Box | None:
    """The box that two boxes share; None where they share no voxel."""
    if a is None or b is None:
        return None
    z, y, x = (slice(max(s.start, t.start), min(s.stop, t.stop)) for s, t in zip(a, b, strict=True))
    return None if z.start >= z.stop or y.start >= y.stop or x.start >= x.stop else (z, y, x)


def shape_of(box: Box) -> tuple[int, int, int]:
    """Voxels along z, y, x."""
    z, y, x = (s.stop - s.start for s in box)
    return z, y, x


def within(array: npt.NDArray[Any], outer: Box, inner: Box) -> npt.NDArray[Any]:
    """View of the part of `array`, which fills `outer`, that lies in `inner`."""
    z, y, x = (slice(s.start - o.start, s.stop - o.start) for o, s in zip(outer, inner, strict=True))
    return array[z, y, x]


def shifted(outer: Box, inner: Box) -> Box:
    """`inner`, given relative to the start of `outer`, in the coordinates of `outer`."""
    z, y, x = (slice(o.start + s.start, o.start + s.stop) for o, s in zip(outer, inner, strict=True))
    return z, y, x
