"""Merging claims of classes into one label map, and proving that nothing trusted was lost.

Every class of a case makes one claim: where its mask comes from, and how far that is trusted. Claims are laid
down in order of precedence: revised > accepted > source > predicted > rejected; between equals the newer
decision, then the inner class over the outer one, then the lower id. A claim never changes the mask of a class
that came before it: it takes no voxel from one, and adds none outside an organ that has spoken. So where two
claims contradict each other, the one of higher precedence is right, inside its mask as well as outside.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.errors import VoxledgerError
from voxledger.imaging.boxes import Box, label_boxes, union
from voxledger.imaging.volume import smallest_unsigned
from voxledger.records.ledger import Origin
from voxledger.schema import LabelSchema

LabelMap = npt.NDArray[np.unsignedinteger[Any]]
"""Innermost class ids (z, y, x)."""
Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Claim:
    """What one class claims: its mask (inner classes included) in a label map; None claims nothing."""

    name: str
    origin: Origin
    version: int
    """Round of the decision; the newer wins between equals."""
    labels: LabelMap | None


def by_precedence(schema: LabelSchema, claims: Sequence[Claim]) -> list[Claim]:
    """Claims in the order in which they are right."""
    return sorted(claims, key=lambda c: (-c.origin.rank, -c.version, -len(schema.chain(c.name)), schema[c.name].id))


def merge(schema: LabelSchema, claims: Sequence[Claim], shape: tuple[int, int, int]) -> LabelMap:
    """Merge the claims of all classes into a label map (z, y, x) of innermost ids.

    Works in the bounding box of every class. The result does not depend on the order of `claims`.

    Parameters
    ----------
    claims
        At most one of each class.
    shape
        Of the image (z, y, x).

    Returns
    -------
    array
        In the smallest unsigned type that holds the largest id.
    """
    merged = np.zeros(shape, np.min_scalar_type(max((c.id for c in schema.classes), default=0)))
    boxes: dict[int, dict[int, Box]] = {}
    settled: list[str] = []
    for claim in by_precedence(schema, claims):
        if claim.labels is not None:
            box = _box(schema, claim, boxes)
            if box is not None:
                region = merged[box]
                _lay_down(schema, claim.name, schema.mask(claim.labels[box], claim.name), region, settled)
        settled.append(claim.name)
    return smallest_unsigned(merged)


def _lay_down(schema: LabelSchema, name: str, mask: Mask, region: LabelMap, settled: Sequence[str]) -> None:
    outer = schema.chain(name)[1:]
    free = region == 0
    for ancestor in outer:
        free |= region == schema[ancestor].id
    for ancestor in outer:
        if ancestor in settled:
            free &= schema.mask(region, ancestor)
    region[mask & free] = schema[name].id


def _box(schema: LabelSchema, claim: Claim, boxes: dict[int, dict[int, Box]]) -> Box | None:
    """The box of a class in its label map; the map is run through once for all of its classes."""
    assert claim.labels is not None
    if id(claim.labels) not in boxes:
        boxes[id(claim.labels)] = label_boxes(claim.labels)
    return union(boxes[id(claim.labels)].get(i) for i in schema.ids_of(claim.name))


def repaint(
    schema: LabelSchema, seen: LabelMap, proposal: LabelMap, returned: LabelMap, revised: Sequence[str]
) -> tuple[LabelMap, dict[str, Mask]]:
    """What classes that were not revised look like after a revision, and the voxels that each revised one gave them.

    Where a revised class gave a voxel up and the reviewer painted another class there, that class gets it.
    Where nothing was painted, the proposal stands: what is erased from a lesion falls back to its organ.

    Parameters
    ----------
    seen
        The proposal after the revisions of other reviewers of the same case; at first the proposal itself.
    proposal
        Label map (z, y, x) that the reviewer was sent.
    returned
        Label map (z, y, x) that came back.
    revised
        Classes that the reviewer revised.

    Returns
    -------
    array, dict
        `seen` with what was painted where a revised class gave a voxel up, and those voxels (z, y, x) by revised class.
    """
    painted = (proposal != returned) & (returned != 0)
    moved = {n: painted & schema.mask(proposal, n) & ~schema.mask(returned, n) for n in revised}
    anywhere = np.logical_or.reduce([*moved.values(), np.zeros(proposal.shape, bool)])
    return np.where(anywhere, returned, seen), moved


def paint(schema: LabelSchema, labels: LabelMap, source: LabelMap, name: str) -> LabelMap:
    """The label map (z, y, x) with one class as it is in another one.

    A voxel that the class gives up becomes what the other label map has there, or falls back to the class around it.
    """
    own, had = schema.mask(source, name), schema.mask(labels, name)
    outer = schema[name].inside
    fallback = schema[outer].id if outer is not None else 0
    painted = np.where(own, source, labels)
    return np.where(had & ~own, np.where(source != 0, source, fallback), painted).astype(
        np.promote_types(labels.dtype, source.dtype)
    )


@dataclass(frozen=True)
class Overruled:
    """A trusted mask that is not as it was."""

    voxels: int
    """How many differ."""
    by: tuple[str, ...]
    """Classes that took or added them, in the order of precedence."""


def require_trust(
    schema: LabelSchema,
    claims: Sequence[Claim],
    trusted: Mapping[str, LabelMap],
    merged: LabelMap,
    moved: Mapping[str, Mask],
    case_id: str,
) -> dict[str, Overruled]:
    """Prove that every trusted mask is in the merged label map, but for what a class of higher precedence took.

    Independent of `merge`: looks at the result alone.

    Parameters
    ----------
    claims
        Of all classes of the case.
    trusted
        Label map (z, y, x) that holds the trusted mask, by name of the class.
    merged
        Label map (z, y, x) of innermost ids.
    moved
        Voxels (z, y, x) that a reviewer moved to other classes, by name of the class that they were taken from.

    Returns
    -------
    dict
        By class, every trusted mask that is not as it was.

    Raises
    ------
    VoxledgerError
        A trusted mask differs where no class of higher precedence decided.
    """
    order = by_precedence(schema, claims)
    rank = {claim.name: i for i, claim in enumerate(order)}
    overruled: dict[str, Overruled] = {}
    for name, labels in trusted.items():
        differs = schema.mask(labels, name) != schema.mask(merged, name)
        count = int(differs.sum())
        if not count:
            continue
        explained = np.zeros(count, bool)
        by = []
        taken = [(c.name, _took(schema, c, name, merged, differs)) for c in order[: rank[name]]]
        given = [(giver, voxels[differs]) for giver, voxels in moved.items() if giver != name]
        for other, voxels in (*taken, *given):
            if voxels.any() and other not in by:
                by.append(other)
            explained |= voxels
        if not explained.all():
            raise VoxledgerError(
                f"case {case_id}: {int((~explained).sum())} voxels of the trusted class {name} would be lost or added "
                "though no class of higher precedence decided on them",
                "nothing was written; please report this with the case",
            )
        overruled[name] = Overruled(count, tuple(by))
    return overruled


def _took(schema: LabelSchema, claim: Claim, name: str, merged: LabelMap, differs: Mask) -> Mask:
    """Which of the voxels that differ from a trusted mask of class `name` a claim explains."""
    before = schema.mask(claim.labels[differs], claim.name) if claim.labels is not None else np.zeros(1, bool)
    now = schema.mask(merged[differs], claim.name)
    took = before & now
    if claim.name in schema.chain(name):
        took |= ~before & ~now
    return took
