"""renumbered: what was one class has come back as another: a viewer gave new numbers, or two classes were swapped.

Corrected labels are found too: a class is compared with every class of the proposal, and what fits suspiciously better
than itself is named.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import permutations

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.comparison import Comparison, Pairs
from voxledger.bundles.merge import LabelMap
from voxledger.records.decisions import Decision
from voxledger.records.error_kind import MIXED_UP
from voxledger.schema import LabelSchema

SAME_DICE = 0.9
"""Two regions are taken for the same above this Dice."""
LEAST_DICE, GAIN = 0.5, 0.2
"""Of a label that was corrected besides: so much at least, and so much more than under its own number."""


def exchanged(schema: LabelSchema, proposal: LabelMap, returned: LabelMap) -> list[tuple[str, str]]:
    """Pairs of classes of which the first has come back as the second."""
    return list(_exchanged(schema, Pairs.of(proposal, returned)))


def _exchanged(schema: LabelSchema, pairs: Pairs) -> Iterator[tuple[str, str]]:
    for old, new in permutations(schema.classes, 2):
        fits = pairs.dice(old.id, new.id)
        if fits < LEAST_DICE or fits <= max(pairs.dice(old.id, old.id), pairs.dice(new.id, new.id)) + GAIN:
            continue
        nested = old.name in schema.chain(new.name) or new.name in schema.chain(old.name)
        if nested and pairs.dice(new.id, old.id) < SAME_DICE:
            # A false lesion given back to its organ is a correction, not a mix-up.
            continue
        yield old.name, new.name


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Such pairs, unless the reviewer says that the proposal had mixed them up.

    Examples
    --------
    >>> from voxledger.bundles.check import example, told
    >>> def swapped(a):
    ...     left, right = a == 5, a == 6
    ...     a[left], a[right] = 6, 5
    ...     a[3:5] = 0
    >>> both = dict(kidney_left="revise", kidney_right="revise")
    >>> [line[:80] for line in told(CHECK, example(swapped, **both))]
    ['kidney_right: what was kidney_left has come back as kidney_right (Dice 0.86, 0.0', 'kidney_left: what was kidney_right has come back as kidney_left (Dice 0.93, 0.00']
    >>> told(CHECK, example(swapped, "left_right", **both))
    []
    """  # noqa: E501
    schema, pairs, rows = comparison.schema, comparison.pairs, comparison.rows
    said = {n for n, row in rows.items() if row.decision is Decision.REVISE and row.error_type in MIXED_UP}
    for old, new in _exchanged(schema, pairs):
        if said & {*schema.chain(old), *schema.chain(new)}:
            continue
        yield Suspicion(
            new,
            f"what was {old} has come back as {new} (Dice {pairs.dice(schema[old].id, schema[new].id):.2f}, "
            f"{pairs.dice(schema[old].id, schema[old].id):.2f} as {old}): the labels look renumbered or swapped",
            f"keep the numbers of the label map; if {new} is right, "
            f"give {new} or {old} the error type wrong_class or left_right",
        )


CHECK = Check(Severity.BLOCKING, find)
