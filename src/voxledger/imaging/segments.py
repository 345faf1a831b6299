"""Named masks, as segmentations hold them, and the label map that they make.

A segmentation says of every segment what it is called, and often its code of a terminology; numbers mean nothing in it.
So classes are found by name or code, voxels by geometry, and classes without a segment stay as they were.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.errors import GridMismatch, UnknownLabel, UnreadableImage
from voxledger.imaging.boxes import Box, bounding_box, intersection, relative
from voxledger.imaging.placement import Placement
from voxledger.imaging.volume import Grid, smallest_unsigned
from voxledger.schema import LabelClass, LabelSchema

Mask = npt.NDArray[np.bool_]

NOWHERE: Box = (slice(0, 0), slice(0, 0), slice(0, 0))
"""Box of a segment without a voxel."""


@dataclass(frozen=True)
class Segment:
    """One named mask of a segmentation."""

    name: str
    box: Box
    """Where it lies in the grid of the segmentation (z, y, x)."""
    mask: Mask
    """Its voxels in the box."""
    code: str = ""
    """SNOMED CT code of what it is; empty where it has none."""

    @classmethod
    def of(cls, name: str, mask: npt.NDArray[Any], code: str = "") -> Segment:
        """A segment of a mask (z, y, x) of the whole grid: what is not 0."""
        box = bounding_box(mask) or NOWHERE
        return cls(name, box, mask[box] != 0, code)


@dataclass(frozen=True)
class Segmentation:
    """Named masks on one grid, which may be another than that of their image."""

    grid: Grid
    segments: tuple[Segment, ...]


@dataclass(frozen=True)
class Drawn:
    """A label map that was made of segments."""

    labels: npt.NDArray[Any]
    """Innermost ids (z, y, x)."""
    notes: tuple[str, ...]
    """What was decided where the segments left it open, for people."""


def classes_of(segments: Sequence[Segment], schema: LabelSchema, what: str) -> dict[str, Segment]:
    """The segment of every class that has one, found by its name or else by its code.

    Names are compared word by word, whatever their order, capitals and separators: `Left kidney` is `kidney_left`. A
    former name of a class counts as well. A segment without a voxel need not be of any class.

    Parameters
    ----------
    what
        Names the segmentation in errors.

    Raises
    ------
    UnknownLabel
        A segment is of no class, two are of one, or name and code are of different ones.
    """
    by_name = {_words(name): today for c in schema.classes for name in schema.names_of(c.name) if (today := c.name)}
    codes = [c.code for c in schema.classes if c.code]
    by_code = {c.code: c.name for c in schema.classes if c.code and codes.count(c.code) == 1}
    found: dict[str, Segment] = {}
    problems = []
    for segment in segments:
        named, coded = by_name.get(_words(segment.name)), by_code.get(segment.code)
        name = named or coded
        if named and coded and named != coded:
            problems.append(f"{segment.name!r} has the code of {coded} ({segment.code})")
        elif name is None and segment.mask.any():
            problems.append(f"{segment.name!r} is no class")
        elif name in found:
            problems.append(f"{found[name].name!r} and {segment.name!r} are both {name}")
        elif name is not None:
            found[name] = segment
    if problems:
        raise UnknownLabel(
            f"{what} holds segments that cannot be told: {'; '.join(problems[:10])}",
            f"name every segment as its class: {', '.join(schema.names)}",
        )
    return found


def placed(segments: Mapping[str, Segment], at: Placement, what: str) -> dict[str, Segment]:
    """Segments on a grid of the same voxels as segments on that of their image.

    Raises
    ------
    GridMismatch
        Some of their voxels lie outside of the image.
    """
    found, outside = {}, 0
    for name, segment in segments.items():
        box = at.to_image(segment.box)
        inside = intersection(box, at.inside)
        mask = at.ordered(segment.mask)
        if inside is None:
            found[name] = Segment(segment.name, NOWHERE, np.zeros((0, 0, 0), np.bool_), segment.code)
        else:
            found[name] = replace(segment, box=inside, mask=mask[relative(inside, box)])
        outside += int(np.count_nonzero(mask)) - int(np.count_nonzero(found[name].mask))
    require_inside(outside, what)
    return found


def require_inside(outside: int, what: str) -> None:
    """Raise where voxels of a label lie outside of its image."""
    if outside:
        raise GridMismatch(
            f"{what} has {outside} voxels outside of its image, which would be lost",
            "save it with the image as reference volume, or erase what lies outside of it",
        )


def draw(schema: LabelSchema, segments: Mapping[str, Segment], shown: npt.NDArray[Any], what: str) -> Drawn:
    """The label map that segments make: classes with a segment are as it says, all others as they were shown.

    An inner class lies over the one around it, whether or not the segment of that one covers it too.

    Parameters
    ----------
    segments
        By class, on the grid of the image.
    shown
        Label map (z, y, x) of innermost ids that the person started from.

    Raises
    ------
    UnreadableImage
        A voxel is of two classes neither of which lies inside the other.
    """
    labels = shown.astype(np.min_scalar_type(max(c.id for c in schema.classes)))
    _erase(schema, segments, labels)
    notes = _kept(schema, segments, labels)
    painted = np.zeros_like(labels)
    clashes: dict[tuple[str, str], int] = {}
    for name in sorted(segments, key=lambda n: (len(schema.chain(n)), schema[n].id)):
        box, mask = segments[name].box, segments[name].mask
        _note_clashes(schema, name, painted[box][mask], clashes)
        inner = [i for i in schema.ids_of(name) if i != schema[name].id]
        # What lies inside and has no segment stays; what has one is painted later.
        labels[box][mask & ~np.isin(labels[box], inner)] = schema[name].id
        painted[box][mask] = schema[name].id
    if clashes:
        told = "; ".join(f"{n} voxels are both {a} and {b}" for (a, b), n in sorted(clashes.items()))
        raise UnreadableImage(
            f"{what} cannot be one label map, in which a voxel is of one class: {told}",
            "decide which class each of these voxels is, and save it again",
        )
    return Drawn(smallest_unsigned(labels), tuple(notes))


def _erase(schema: LabelSchema, segments: Mapping[str, Segment], labels: npt.NDArray[Any]) -> None:
    """Give the voxels of classes that have a segment to the class around them that has none, or to nobody."""
    target = np.arange(int(labels.max(initial=0)) + 1, dtype=labels.dtype)
    for name in segments:
        rest = next((schema[n].id for n in schema.chain(name) if n not in segments), 0)
        if schema[name].id < len(target):
            target[schema[name].id] = rest
    labels[...] = target[labels]


def _kept(schema: LabelSchema, segments: Mapping[str, Segment], labels: npt.NDArray[Any]) -> list[str]:
    """Voxels of inner classes without a segment that the segment of the class around them does not cover."""
    notes = []
    for inner in (c for c in schema.classes if c.name not in segments):
        for outer in (n for n in schema.chain(inner.name)[1:] if n in segments):
            mine = labels == inner.id
            box, mask = segments[outer].box, segments[outer].mask
            beyond = int(np.count_nonzero(mine)) - int(np.count_nonzero(mine[box] & mask))
            if beyond:
                notes.append(
                    f"{beyond} voxels of {inner.name}, which has no segment, lie outside of the segment of {outer} and "
                    f"still count as {outer}"
                )
    return notes


def _note_clashes(
    schema: LabelSchema, name: str, before: npt.NDArray[Any], clashes: dict[tuple[str, str], int]
) -> None:
    """Count the voxels of a class that were painted with one that it does not lie inside."""
    allowed = {0, *(schema[n].id for n in schema.chain(name))}
    ids, counts = np.unique(before, return_counts=True)
    for number, count in zip(ids.tolist(), counts.tolist(), strict=True):
        if number not in allowed:
            other = next(c.name for c in schema.classes if c.id == number)
            clashes[other, name] = clashes.get((other, name), 0) + count


def terms(one: LabelClass) -> tuple[tuple[str, str], tuple[str, str]]:
    """SNOMED CT code and meaning of the category of a class, and of what it is; tissue where that has no code."""
    finding = ("49755003", "Morphologically Altered Structure")
    category = finding if one.lesion else ("123037004", "Anatomical Structure")
    return category, (one.code, one.name) if one.code else ("85756007", "Tissue")


def _words(name: str) -> tuple[str, ...]:
    return tuple(sorted(re.findall(r"[^\W_]+", name.casefold())))
