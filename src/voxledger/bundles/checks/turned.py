"""turned: the label map fits the proposal much better once it is flipped, its axes re-ordered, or sides exchanged."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations, product

import numpy as np

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.comparison import Comparison
from voxledger.bundles.merge import LabelMap
from voxledger.bundles.taxonomy import counterpart
from voxledger.records.decisions import Decision
from voxledger.records.error_kind import ErrorKind

SAME_DICE, SAME_GAIN = 0.9, 0.05
"""A label that agrees this well once it is turned back, and so much better than as it is, was turned and no more."""
LEAST_DICE, GAIN = 0.5, 0.15
"""The same of one that was corrected besides; organs that are nearly symmetric gain less."""
MOST_VOXELS = 2_000_000
"""Larger label maps are compared at every second voxel, every third, …"""


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """The turn that fits best, unless the reviewer says that the proposal had its sides mixed up.

    Examples
    --------
    >>> from voxledger.bundles.check import EXAMPLE, example, told
    >>> all_revised = dict.fromkeys(EXAMPLE.names, "revise")
    >>> def mirrored(a):
    ...     a[:] = a[:, :, ::-1].copy()
    ...     a[2:4] = 0
    >>> told(CHECK, example(mirrored, **all_revised))
    [': the label map has come back flipped along x (Dice with the proposal 0.00 as it is, 0.94 turned back)']
    """
    rows = comparison.rows.values()
    if comparison.agreement > 1 - SAME_GAIN or not comparison.proposal.any() or not comparison.returned.any():
        return
    if any(row.decision is Decision.REVISE and row.error_type is ErrorKind.LEFT_RIGHT for row in rows):
        return
    fits, how = max(_turns(comparison), key=lambda turn: turn[0])
    gain = fits - comparison.agreement
    if (fits >= SAME_DICE and gain > SAME_GAIN) or (fits >= LEAST_DICE and gain > GAIN):
        yield Suspicion(
            "",
            f"the label map has come back {how} (Dice with the proposal {comparison.agreement:.2f} as it is, "
            f"{fits:.2f} turned back)",
            "save it again without flipping or re-orienting; if the proposal was mirrored, "
            "give the revised classes the error type left_right",
        )


def _turns(comparison: Comparison) -> Iterator[tuple[float, str]]:
    """Dice with the proposal of every turn but the one that is none, and what it is called."""
    step = int(np.ceil((comparison.proposal.size / MOST_VOXELS) ** (1 / 3)))
    wanted = comparison.proposal[::step, ::step, ::step]
    sides = _sides_exchanged(comparison)
    for axes in permutations(range(3)):
        for flips in product((1, -1), repeat=3):
            turned = comparison.returned.transpose(axes)[:: flips[0], :: flips[1], :: flips[2]]
            if turned.shape != comparison.proposal.shape:
                continue
            view = turned[::step, ::step, ::step]
            how = ["flipped along " + a for a, f in zip("zyx", flips, strict=True) if f < 0]
            how += ["with its axes in another order"] if axes != (0, 1, 2) else []
            if how:
                yield _agreement(wanted, view), ", ".join(how)
            if how and sides is not None:
                yield _agreement(wanted, sides[view]), ", ".join([*how, "and with left and right exchanged"])
    yield 0.0, ""


def _sides_exchanged(comparison: Comparison) -> LabelMap | None:
    """By id, the id of the same organ of the other side; None where there are no sides."""
    schema = comparison.schema
    table = np.arange(max(c.id for c in schema.classes) + 1, dtype=comparison.returned.dtype)
    found = False
    for c in schema.classes:
        other = counterpart(schema, c.name)
        if other is not None and schema[other].id <= np.iinfo(table.dtype).max:
            table[c.id] = schema[other].id
            found = True
    return table if found else None


def _agreement(a: LabelMap, b: LabelMap) -> float:
    total = np.count_nonzero(a) + np.count_nonzero(b)
    return 2 * np.count_nonzero((a == b) & (a != 0)) / total if total else 0.0


CHECK = Check(Severity.BLOCKING, find)
