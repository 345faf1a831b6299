"""Error taxonomy: what was wrong, region by region, derived from a mask before and after revision.

A region is a connected component (26 neighbours) of the voxels of one class that a reviewer changed.

left_right      most of it was, or became, the same organ of the other side
wrong_class     most of it was, or became, another class that may not overlap with this one
false_positive  a component of the mask that was taken away altogether
false_negative  a component of the mask that was missing altogether
merged          taken away between components that the proposal had grown together
split           added between components that the proposal had torn apart
boundary        anything else: too much or too little along the surface
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import Box, absolute, bounding_box, grown, view
from voxledger.imaging.components import connected_components
from voxledger.records.error_kind import ErrorKind
from voxledger.schema import LabelSchema

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Region:
    """One region of error of a class."""

    kind: ErrorKind
    box: Box
    mask: Mask
    """The changed voxels inside `box` (z, y, x)."""
    added: int
    """Voxels that were missing; the others were too many."""

    @property
    def voxels(self) -> int:
        return int(np.count_nonzero(self.mask))


def counterpart(schema: LabelSchema, name: str) -> str | None:
    """The same organ of the other side: `kidney_left` for `kidney_right`; None where the schema has none."""
    for one, other in (("left", "right"), ("right", "left")):
        mirrored = re.sub(rf"(?<![a-z]){one}(?![a-z])", other, name, flags=re.IGNORECASE)
        if mirrored != name and mirrored in schema.by_name:
            return mirrored
    return None


def regions(schema: LabelSchema, name: str, before: npt.NDArray[Any], after: npt.NDArray[Any]) -> Iterator[Region]:
    """Regions in which a class differs between two label maps (z, y, x), in the order of their first voxel."""
    import cc3d

    everything = schema.mask(before, name) | schema.mask(after, name)
    field = bounding_box(everything)
    if field is None:
        return
    before, after = before[field], after[field]
    was, became = schema.mask(before, name), schema.mask(after, name)
    changed, count = connected_components(was != became)
    old, _ = connected_components(was)
    new, _ = connected_components(became)
    partners = _Partners.of(old, new)
    boxes = cc3d.statistics(changed)["bounding_boxes"]
    for label in range(1, count + 1):
        tight: Box = tuple(slice(int(s.start), int(s.stop)) for s in boxes[label])  # type: ignore[assignment]
        wide = grown(tight, 1, changed.shape)
        mask = changed[wide] == label
        touched = [int(v) for v in np.unique(old[wide][mask]) if v], [int(v) for v in np.unique(new[wide][mask]) if v]
        kind = _kind(schema, name, mask, before[wide], after[wide], touched, partners)
        added = int(np.count_nonzero(mask & became[wide]))
        yield Region(kind, absolute(tight, field), view(mask, wide, tight), added)


@dataclass(frozen=True)
class _Partners:
    """Which components of the mask before and after share voxels."""

    of_old: dict[int, set[int]]
    of_new: dict[int, set[int]]

    @classmethod
    def of(cls, old: npt.NDArray[Any], new: npt.NDArray[Any]) -> _Partners:
        both = (old != 0) & (new != 0)
        partners = cls({}, {})
        for a, b in np.unique(np.stack([old[both], new[both]]), axis=1).T.tolist():
            partners.of_old.setdefault(a, set()).add(b)
            partners.of_new.setdefault(b, set()).add(a)
        return partners


def _kind(
    schema: LabelSchema,
    name: str,
    mask: Mask,
    before: npt.NDArray[Any],
    after: npt.NDArray[Any],
    touched: tuple[list[int], list[int]],
    partners: _Partners,
) -> ErrorKind:
    """ErrorKind of one region; `touched` are the components of the mask before and after that it shares voxels with."""
    size = int(np.count_nonzero(mask))
    own = schema.mask(after, name) & mask
    # where the region was added, what else it had been; where it was taken away, what else it became
    instead = np.where(own, before, after)
    other_side = counterpart(schema, name)
    if other_side and 2 * np.count_nonzero(schema.mask(instead, other_side) & mask) > size:
        return ErrorKind.LEFT_RIGHT
    rivals = [i for c in schema.classes if not schema.may_overlap(name, c.name) for i in schema.ids_of(c.name)]
    if rivals and 2 * np.count_nonzero(np.isin(instead, rivals) & mask) > size:
        return ErrorKind.WRONG_CLASS
    old, new = touched
    if 2 * np.count_nonzero(own) >= size:
        if not any(b in partners.of_new for b in new):
            return ErrorKind.FALSE_NEGATIVE
        return ErrorKind.SPLIT if any(len(partners.of_new.get(b, ())) > 1 for b in new) else ErrorKind.BOUNDARY
    if not any(a in partners.of_old for a in old):
        return ErrorKind.FALSE_POSITIVE
    return ErrorKind.MERGED if any(len(partners.of_old.get(a, ())) > 1 for a in old) else ErrorKind.BOUNDARY
