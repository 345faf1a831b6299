"""Whether a returned label map says the same as its decisions, class by class and voxel by voxel.

What people changed counts only where they say so. A class may change without a decision of its own only where
a revised class took or gave up its voxels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations, product

import numpy as np
import numpy.typing as npt

from voxledger.review.decisions import Decision, ErrorType, Row
from voxledger.review.merge import LabelMap, Mask
from voxledger.schema import LabelSchema
from voxledger.volume import bounding_box

SAME_DICE = 0.9
"""Two regions are taken for the same above this Dice, when a mirrored or renumbered label is looked for."""
OTHER_DICE = 0.5
"""… and for different below this one."""
MIRROR_GAIN = 0.05
"""A label is taken for mirrored if it agrees with the proposal by this much more Dice when turned back."""

_MIXED_UP = (ErrorType.LEFT_RIGHT, ErrorType.WRONG_CLASS)


@dataclass(frozen=True)
class Contradiction:
    """One thing that does not fit; `class_name` is empty where it is about the whole label map."""

    class_name: str
    problem: str
    remedy: str


def contradictions(
    schema: LabelSchema,
    proposal: LabelMap,
    returned: LabelMap,
    rows: Mapping[str, Row],
    asked: Sequence[str],
) -> list[Contradiction]:
    """Compare a returned label map (z, y, x) of one case with the proposal and the decisions by class.

    Parameters
    ----------
    rows
        Lines of `decisions.csv` about this case, by class; a reviewer may add classes that were not asked.
    """
    found: list[Contradiction] = []
    box = bounding_box(proposal != returned)
    if box is None:
        return unchanged(rows)
    before, after = proposal[box], returned[box]
    differs = before != after
    involved = {
        n for i in np.unique([*np.unique(before[differs]), *np.unique(after[differs])]) for n in _chain(schema, i)
    }
    touched = {n: _Change.of(schema, n, before, after) for n in schema.names if n in involved}
    touched = {n: c for n, c in touched.items() if c.gained.any() or c.lost.any()}
    revised = {n: c for n, c in touched.items() if _decision(rows, n) is Decision.REVISE}
    emptied = {
        n: c for n, c in touched.items() if _decision(rows, n) is Decision.REJECT and not schema.mask(returned, n).any()
    }
    for name in schema.names:
        decision = _decision(rows, name)
        if decision is Decision.REVISE:
            if name not in touched:
                found.append(_unchanged(name))
            continue
        if name not in touched or name in emptied:
            continue
        count = _unexplained(schema, name, touched[name], revised, emptied)
        if count:
            found.append(_changed(name, decision, count, name in rows, name in asked))
    found.extend(_mixed_up(schema, proposal, returned, rows))
    return found


def unchanged(rows: Mapping[str, Row]) -> list[Contradiction]:
    """What does not fit where the label map is as it was sent: every revise."""
    return [_unchanged(name) for name, row in rows.items() if row.decision is Decision.REVISE]


@dataclass(frozen=True)
class _Change:
    gained: Mask
    lost: Mask

    @classmethod
    def of(cls, schema: LabelSchema, name: str, before: LabelMap, after: LabelMap) -> _Change:
        old, new = schema.mask(before, name), schema.mask(after, name)
        return cls(new & ~old, old & ~new)


def _unexplained(
    schema: LabelSchema,
    name: str,
    change: _Change,
    revised: Mapping[str, _Change],
    emptied: Mapping[str, _Change],
) -> int:
    gained, lost = change.gained.copy(), change.lost.copy()
    for other, by in revised.items():
        outer_of = name in schema.chain(other)
        gained &= ~by.lost
        lost &= ~by.gained
        if outer_of:
            gained &= ~by.gained
        if outer_of or other in schema.chain(name):
            lost &= ~by.lost
    for other, by in emptied.items():
        # A finding that was rejected and erased leaves a hole in its organ, which the import fills.
        if name in schema.chain(other):
            lost &= ~by.lost
    return int(gained.sum() + lost.sum())


def _mixed_up(
    schema: LabelSchema, proposal: LabelMap, returned: LabelMap, rows: Mapping[str, Row]
) -> Iterator[Contradiction]:
    """Labels that look mirrored, re-ordered, swapped or renumbered, unless the reviewer says that they were."""
    said = {n for n, row in rows.items() if row.decision is Decision.REVISE and row.error_type in _MIXED_UP}
    ids = np.union1d(np.unique(proposal), np.unique(returned))
    joint = _joint(proposal, returned, ids)
    sizes = joint.sum(axis=1, keepdims=True) + joint.sum(axis=0, keepdims=True)
    dice = 2 * joint / np.maximum(sizes, 1)
    for i, j in product(range(len(ids)), repeat=2):
        if i == j or 0 in (ids[i], ids[j]) or dice[i, j] < SAME_DICE or dice[i, i] > OTHER_DICE:
            continue
        old, new = (next(c.name for c in schema.classes if c.id == ids[k]) for k in (i, j))
        nested = old in schema.chain(new) or new in schema.chain(old)
        if nested and dice[j, i] < SAME_DICE:
            # A false lesion given back to its organ is a correction, not a mix-up.
            continue
        if not said & {old, new}:
            yield Contradiction(
                new,
                f"what was {old} has come back as {new}: the labels look renumbered or swapped",
                f"keep the numbers of the label map; if {new} is right, "
                f"give {new} or {old} the error type wrong_class or left_right",
            )
    if not any(rows[n].error_type is ErrorType.LEFT_RIGHT for n in said):
        yield from _mirrored(proposal, returned, joint, ids)


def _mirrored(
    proposal: LabelMap, returned: LabelMap, joint: npt.NDArray[np.int64], ids: npt.NDArray[np.integer]
) -> Iterator[Contradiction]:
    foreground = ids != 0
    total = int(joint[foreground].sum() + joint[:, foreground].sum())
    as_it_is = 2 * int(np.trace(joint[foreground][:, foreground])) / max(total, 1)
    if as_it_is > 1 - MIRROR_GAIN:
        return
    for axes in permutations(range(3)):
        turned = returned.transpose(axes)
        if turned.shape != proposal.shape:
            continue
        for flips in product((1, -1), repeat=3):
            if axes == (0, 1, 2) and flips == (1, 1, 1):
                continue
            view = turned[:: flips[0], :: flips[1], :: flips[2]]
            agreement = 2 * sum(int(((p == v) & (p != 0)).sum()) for p, v in zip(proposal, view, strict=True)) / total
            if agreement >= SAME_DICE and agreement > as_it_is + MIRROR_GAIN:
                how = ["flipped along " + a for a, f in zip("zyx", flips, strict=True) if f < 0]
                how += ["with its axes in another order"] if axes != (0, 1, 2) else []
                yield Contradiction(
                    "",
                    f"the label map has come back {', '.join(how)} "
                    f"(Dice with the proposal {as_it_is:.2f} as it is, {agreement:.2f} turned back)",
                    "save it again without flipping or re-orienting; if the proposal was mirrored, "
                    "give the revised classes the error type left_right",
                )
                return


def _joint(a: LabelMap, b: LabelMap, ids: npt.NDArray[np.integer]) -> npt.NDArray[np.int64]:
    """How many voxels have ids[i] in `a` and ids[j] in `b`, slice by slice."""
    n = len(ids)
    table = np.zeros(int(ids.max()) + 1, np.int64)
    table[ids] = np.arange(n)
    counts = np.zeros(n * n, np.int64)
    for one, other in zip(a, b, strict=True):
        counts += np.bincount((table[one] * n + table[other]).ravel(), minlength=n * n)
    return counts.reshape(n, n)


def _chain(schema: LabelSchema, class_id: int) -> list[str]:
    return schema.chain(next(c.name for c in schema.classes if c.id == class_id)) if class_id else []


def _decision(rows: Mapping[str, Row], name: str) -> Decision | None:
    return rows[name].decision if name in rows else None


def _unchanged(name: str) -> Contradiction:
    return Contradiction(
        name,
        "the decision is revise, but the mask is as it was sent",
        "save the corrected label over the one in labels/ (was it saved elsewhere?), or decide accept or reject",
    )


def _changed(name: str, decision: Decision | None, count: int, listed: bool, asked: bool) -> Contradiction:
    if decision is not None:
        said, then = f"the decision is {decision}", f"decide revise if {name} was corrected, or restore its mask"
    elif asked or listed:
        said, then = "the decision is blank", f"decide revise if {name} was corrected, or restore its mask"
    else:
        said = "it was not asked"
        then = f"restore its mask, or, if it was corrected, add a line with {name} and revise to decisions.csv"
    return Contradiction(name, f"{said}, but {count} voxels of the mask have changed", then)
