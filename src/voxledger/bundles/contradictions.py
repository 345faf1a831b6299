"""Whether a returned label map says the same as its decisions, and two of them not the contrary, voxel by voxel.

What people changed counts only where they say so. A class may change without a decision of its own only where
a revised class took or gave up its voxels.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations, permutations, product

import numpy as np
import numpy.typing as npt

from voxledger.bundles.merge import LabelMap
from voxledger.records.decisions import Decision, Row
from voxledger.records.error_kind import ErrorKind
from voxledger.schema import LabelSchema

SAME_DICE = 0.9
"""Two regions are taken for the same above this Dice, when a mirrored or renumbered label is looked for."""
OTHER_DICE = 0.5
"""… and for different below this one."""
MIRROR_GAIN = 0.05
"""A label is taken for mirrored if it agrees with the proposal by this much more Dice when turned back."""

MIXED_UP = (ErrorKind.LEFT_RIGHT, ErrorKind.WRONG_CLASS)


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
    proposal
        Label map (z, y, x) that the reviewer was sent.
    returned
        Label map (z, y, x) on the same grid that came back.
    rows
        Lines of `decisions.csv` about this case, by class; a reviewer may add classes that were not asked.
    asked
        Classes that the reviewer was asked about.
    """
    pairs = _pairs(proposal, returned)
    if np.array_equal(pairs.before, pairs.after):
        return unchanged(rows)
    found: list[Contradiction] = []
    touched = {n: c for n in schema.names if (c := _change(schema, n, pairs)).any}
    revised = {n: c for n, c in touched.items() if _decision(rows, n) is Decision.REVISE}
    emptied = {
        n: c
        for n, c in touched.items()
        if _decision(rows, n) is Decision.REJECT and not np.isin(pairs.after, schema.ids_of(n)).any()
    }
    for name in schema.names:
        decision = _decision(rows, name)
        if decision is Decision.REVISE:
            if name not in touched:
                found.append(_unchanged(name))
            continue
        if name not in touched or name in emptied:
            continue
        count = _unexplained(schema, name, touched[name], revised, emptied, pairs)
        if count:
            found.append(_changed(name, decision, count, name in rows, name in asked))
    found.extend(_mixed_up(schema, pairs, rows))
    if not any(row.error_type is ErrorKind.LEFT_RIGHT for row in rows.values() if row.decision is Decision.REVISE):
        found.extend(_mirrored(proposal, returned, pairs))
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
class _Pairs:
    """How many voxels went from id `before` to id `after`: all that the decisions can be checked on."""

    before: npt.NDArray[np.int64]
    after: npt.NDArray[np.int64]
    count: npt.NDArray[np.int64]


@dataclass(frozen=True)
class _Change:
    """Which of the pairs a class gained, and which it lost."""

    gained: npt.NDArray[np.bool_]
    lost: npt.NDArray[np.bool_]

    @property
    def any(self) -> bool:
        return bool(self.gained.any() or self.lost.any())


def _pairs(proposal: LabelMap, returned: LabelMap) -> _Pairs:
    """Count voxels slice by slice, so that nothing of the size of the volume is held."""
    ids = np.union1d(np.unique(proposal), np.unique(returned)).astype(np.int64)
    n = len(ids)
    table = np.zeros(int(ids[-1]) + 1, np.int64)
    table[ids] = np.arange(n)
    counts = np.zeros(n * n, np.int64)
    for one, other in zip(proposal, returned, strict=True):
        counts += np.bincount((table[one] * n + table[other]).ravel(), minlength=n * n)
    seen = np.flatnonzero(counts)
    return _Pairs(ids[seen // n], ids[seen % n], counts[seen])


def _change(schema: LabelSchema, name: str, pairs: _Pairs) -> _Change:
    old, new = schema.mask(pairs.before, name), schema.mask(pairs.after, name)
    return _Change(new & ~old, old & ~new)


def _unexplained(
    schema: LabelSchema,
    name: str,
    change: _Change,
    revised: Mapping[str, _Change],
    emptied: Mapping[str, _Change],
    pairs: _Pairs,
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


def _mixed_up(schema: LabelSchema, pairs: _Pairs, rows: Mapping[str, Row]) -> Iterator[Contradiction]:
    """Labels that look swapped or renumbered, unless the reviewer says that they were."""
    said = {n for n, row in rows.items() if row.decision is Decision.REVISE and row.error_type in MIXED_UP}
    for old, new in _exchanged(schema, pairs):
        if not said & {*schema.chain(old), *schema.chain(new)}:
            yield Contradiction(
                new,
                f"what was {old} has come back as {new}: the labels look renumbered or swapped",
                f"keep the numbers of the label map; if {new} is right, "
                f"give {new} or {old} the error type wrong_class or left_right",
            )


def exchanged(schema: LabelSchema, proposal: LabelMap, returned: LabelMap) -> list[tuple[str, str]]:
    """Pairs of classes of which the first has come back as the second."""
    return list(_exchanged(schema, _pairs(proposal, returned)))


def _exchanged(schema: LabelSchema, pairs: _Pairs) -> Iterator[tuple[str, str]]:
    for old, new in permutations(schema.classes, 2):
        if _dice(pairs, old.id, new.id) < SAME_DICE or _dice(pairs, old.id, old.id) > OTHER_DICE:
            continue
        nested = old.name in schema.chain(new.name) or new.name in schema.chain(old.name)
        if nested and _dice(pairs, new.id, old.id) < SAME_DICE:
            # A false lesion given back to its organ is a correction, not a mix-up.
            continue
        yield old.name, new.name


def _dice(pairs: _Pairs, before: int, after: int) -> float:
    """Dice of the voxels that had an id before and those that have an id after."""
    old, new = pairs.before == before, pairs.after == after
    total = int(pairs.count[old].sum() + pairs.count[new].sum())
    return 2 * int(pairs.count[old & new].sum()) / total if total else 0.0


def _mirrored(proposal: LabelMap, returned: LabelMap, pairs: _Pairs) -> Iterator[Contradiction]:
    """A label map that fits the proposal much better once it is flipped or its axes are re-ordered."""
    total = int(pairs.count[pairs.before != 0].sum() + pairs.count[pairs.after != 0].sum())
    kept = (pairs.before == pairs.after) & (pairs.before != 0)
    as_it_is = 2 * int(pairs.count[kept].sum()) / total
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
