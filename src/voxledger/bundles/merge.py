"""Merging claims of classes into one label map, and proving that nothing trusted was lost.

Every class of a case makes one claim: where its mask comes from, and how far that is trusted. Claims are laid
down in order of precedence: revised > accepted > source > predicted > rejected; between equals the newer
decision, then the inner class over the outer one, then the lower id. A claim never changes the mask of a class
that came before it: it takes no voxel from one, and adds none outside an organ that has spoken. So where two
claims contradict each other, the one of higher precedence is right, inside its mask as well as outside.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.bundles.class_boxes import ClassBoxes
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import smallest_unsigned
from voxledger.records.ledger import Origin
from voxledger.schema import LabelSchema

LabelMap = npt.NDArray[np.unsignedinteger[Any]]
"""Innermost class ids (z, y, x)."""
Mask = npt.NDArray[np.bool_]
Voxels = npt.NDArray[np.intp]
"""Indices into a label map, flat or along one axis: what changed is little of it."""


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
    boxes = ClassBoxes(schema)
    settled: list[str] = []
    for claim in by_precedence(schema, claims):
        if claim.labels is not None:
            box = boxes.box(claim.name, claim.labels)
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


def repaint(
    schema: LabelSchema, seen: LabelMap, proposal: LabelMap, returned: LabelMap, revised: Sequence[str]
) -> tuple[LabelMap, dict[str, Voxels]]:
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
        `seen` with what was painted where a revised class gave a voxel up, and those voxels by revised class.
    """
    painted = np.flatnonzero((proposal != returned) & (returned != 0))
    before, after = proposal.take(painted), returned.take(painted)
    gave = {n: schema.mask(before, n) & ~schema.mask(after, n) for n in revised}
    found = seen.astype(np.result_type(seen, returned))
    for voxels in gave.values():
        np.put(found, painted[voxels], after[voxels])
    return found, {n: painted[voxels] for n, voxels in gave.items()}


def paint(schema: LabelSchema, labels: LabelMap, source: LabelMap, name: str, apart: Collection[str] = ()) -> LabelMap:
    """The label map (z, y, x) with one class as it is in another one, and what lies inside it there.

    A voxel that the class gives up becomes what the other label map has there, or falls back to the class around it.
    Classes `apart` inside it stay where they are, as far as it goes.
    """
    own, had = schema.mask(source, name), schema.mask(labels, name)
    outer = schema[name].inside
    fallback = schema[outer].id if outer is not None else 0
    painted = np.where(own, source, labels)
    painted = np.where(had & ~own, np.where(source != 0, source, fallback), painted).astype(
        np.promote_types(labels.dtype, source.dtype)
    )
    for inner in sorted(apart, key=lambda n: len(schema.chain(n))):
        around = schema[inner].inside
        if inner != name and name in schema.chain(inner) and around is not None:
            here = schema.mask(labels, inner)
            painted[own & schema.mask(painted, inner) & ~here] = schema[around].id
            painted[own & here] = labels[own & here]
    return painted


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
    moved: Mapping[str, Voxels],
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
        Voxels that a reviewer moved to other classes, by name of the class that they were taken from.

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
    boxes = ClassBoxes(schema)
    overruled: dict[str, Overruled] = {}
    for name, labels in trusted.items():
        where = _differing(schema, boxes, name, labels, merged)
        count = len(where[0])
        if not count:
            continue
        explained = np.zeros(count, bool)
        by = []
        flat = np.ravel_multi_index(where, merged.shape)
        taken = [(c.name, _took(schema, c, name, merged, where)) for c in order[: rank[name]]]
        given = [(giver, np.isin(flat, voxels)) for giver, voxels in moved.items() if giver != name]
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


def _differing(schema: LabelSchema, boxes: ClassBoxes, name: str, a: LabelMap, b: LabelMap) -> tuple[Voxels, ...]:
    """Indices along z, y and x of the voxels that are of a class in one of two label maps alone."""
    box = boxes.box(name, a, b)
    if box is None:
        return (np.zeros(0, np.intp),) * 3
    differs = schema.mask(a[box], name) != schema.mask(b[box], name)
    return tuple(i + s.start for i, s in zip(np.nonzero(differs), box, strict=True))


def _took(schema: LabelSchema, claim: Claim, name: str, merged: LabelMap, where: tuple[Voxels, ...]) -> Mask:
    """Which of the voxels that differ from a trusted mask of class `name` a claim explains."""
    before = schema.mask(claim.labels[where], claim.name) if claim.labels is not None else np.zeros(1, bool)
    now = schema.mask(merged[where], claim.name)
    took = before & now
    if claim.name in schema.chain(name):
        took |= ~before & ~now
    return took
