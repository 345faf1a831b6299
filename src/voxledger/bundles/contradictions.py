"""Whether a returned label map says the same as its decisions, and two of them not the contrary, voxel by voxel.

What people changed counts only where they say so. A class may change without a decision of its own only where
a revised class took or gave up its voxels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, product

import numpy as np
import numpy.typing as npt

from voxledger.bundles.comparison import Comparison, Pairs
from voxledger.bundles.merge import LabelMap
from voxledger.records.decisions import Decision, Row
from voxledger.schema import LabelSchema


@dataclass(frozen=True)
class Contradiction:
    """One thing that does not fit; `class_name` is empty where it is about the whole label map."""

    class_name: str
    problem: str
    remedy: str


def contradictions(comparison: Comparison, asked: Sequence[str]) -> list[Contradiction]:
    """Compare a returned label map of one case with the proposal and the decisions by class.

    Parameters
    ----------
    asked
        Classes that the reviewer was asked about.
    """
    schema, pairs, rows = comparison.schema, comparison.pairs, comparison.rows
    if comparison.same:
        return unchanged(rows)
    found: list[Contradiction] = []
    touched = {n: c for n in schema.names if (c := _change(schema, n, pairs)).any}
    revised = {n: c for n, c in touched.items() if comparison.decision(n) is Decision.REVISE}
    emptied = {
        n: c for n, c in touched.items() if comparison.decision(n) is Decision.REJECT and not comparison.after(n)
    }
    for name in schema.names:
        decision = comparison.decision(name)
        if decision is Decision.REVISE:
            if name not in touched:
                found.append(_unchanged(name))
            continue
        if name not in touched or name in emptied:
            continue
        count = _unexplained(schema, name, touched[name], revised, emptied, pairs)
        if count:
            found.append(_changed(name, decision, count, name in rows, name in asked))
    return found


def unchanged(rows: Mapping[str, Row]) -> list[Contradiction]:
    """What does not fit where the label map is as it was sent: every revise."""
    return [_unchanged(name) for name, row in rows.items() if row.decision is Decision.REVISE]


@dataclass(frozen=True, eq=False)
class Opinion:
    """What one reviewer says of a case: the returned label map (z, y, x) and the decisions by class."""

    reviewer: str
    labels: LabelMap
    decisions: Mapping[str, Decision]


@dataclass(frozen=True)
class Dispute:
    """Voxels that are one class for one reviewer and another class for another one."""

    reviewers: tuple[str, str]
    classes: tuple[str, str]
    decisions: tuple[Decision, Decision]
    voxels: int

    def __str__(self) -> str:
        (a, b), (x, y), (p, q) = self.reviewers, self.classes, self.decisions
        count = "1 voxel is" if self.voxels == 1 else f"{self.voxels} voxels are"
        return f"{count} {x} for {a} ({p}) and {y} for {b} ({q})"


def disputes(schema: LabelSchema, proposal: LabelMap, opinions: Sequence[Opinion]) -> list[Dispute]:
    """Voxels of a case that two reviewers give to classes of which neither lies inside the other.

    Whoever revises a class says where it is, and whoever accepts one says that the proposal is right about it.

    Parameters
    ----------
    proposal
        Label map (z, y, x) that all reviewers were sent.
    opinions
        One a reviewer.
    """
    found = []
    for a, b in combinations(opinions, 2):
        changed = (a.labels != proposal) | (b.labels != proposal)
        masks = [_claimed(schema, o, proposal[changed], o.labels[changed]) for o in (a, b)]
        for x, y in product(*masks):
            if x != y and x not in schema.chain(y) and y not in schema.chain(x):
                voxels = int(np.count_nonzero(masks[0][x] & masks[1][y]))
                if voxels:
                    found.append(Dispute((a.reviewer, b.reviewer), (x, y), (a.decisions[x], b.decisions[y]), voxels))
    return found


def _claimed(
    schema: LabelSchema, opinion: Opinion, proposal: LabelMap, returned: LabelMap
) -> dict[str, npt.NDArray[np.bool_]]:
    maps = {Decision.REVISE: returned, Decision.ACCEPT: proposal}
    return {n: schema.mask(maps[d], n) for n, d in opinion.decisions.items() if d in maps}


@dataclass(frozen=True)
class _Change:
    """Which of the pairs a class gained, and which it lost."""

    gained: npt.NDArray[np.bool_]
    lost: npt.NDArray[np.bool_]

    @property
    def any(self) -> bool:
        return bool(self.gained.any() or self.lost.any())


def _change(schema: LabelSchema, name: str, pairs: Pairs) -> _Change:
    old, new = schema.mask(pairs.before, name), schema.mask(pairs.after, name)
    return _Change(new & ~old, old & ~new)


def _unexplained(
    schema: LabelSchema,
    name: str,
    change: _Change,
    revised: Mapping[str, _Change],
    emptied: Mapping[str, _Change],
    pairs: Pairs,
) -> int:
    """Voxels of a class that changed though no revised class took them or gave them up."""
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
    return int(pairs.count[gained | lost].sum())


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
