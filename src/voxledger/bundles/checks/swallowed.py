"""swallowed: a class that people stand behind lost half of its voxels or more, and was not revised.

Whoever revises the liver says where it is; that a spleen which was accepted is gone in it is no decision on the spleen.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.comparison import Comparison
from voxledger.records.decisions import Decision

SHARE = 0.5
"""Of its voxels; a border that moves takes less, also from structures of a few voxels."""


DECIDED = (Decision.REVISE, Decision.REJECT)
"""Decisions after which a class is not what it was."""


def trusted_classes(comparison: Comparison) -> list[str]:
    """Classes that were accepted, or that people stand behind and nobody decided on, in the order of the schema."""
    names = comparison.schema.names
    return [
        n
        for n in names
        if comparison.decision(n) is Decision.ACCEPT or (n in comparison.trusted and comparison.decision(n) is None)
    ]


def taken_from(comparison: Comparison, name: str) -> Counter[str]:
    """Voxels that a class lost, by the innermost class that they are of now.

    What was erased to background from a class inside it, which was decided on, falls back to it.
    """
    called = {c.id: c.name for c in comparison.schema.classes} | {0: "background"}
    pairs, schema = comparison.pairs, comparison.schema
    lost = comparison.was(name) & ~comparison.became(name)
    for inner in schema.names:
        if inner != name and name in schema.chain(inner) and comparison.decision(inner) in DECIDED:
            lost &= ~(comparison.was(inner) & (pairs.after == 0))
    found: Counter[str] = Counter()
    for after, count in zip(pairs.after[lost].tolist(), pairs.count[lost].tolist(), strict=True):
        found[called[after]] += count
    return found


def in_words(comparison: Comparison, name: str, taken: Counter[str]) -> str:
    """Which trusted class lost how much to whom."""
    how = "the decision is accept" if comparison.decision(name) is Decision.ACCEPT else "it is not asked and trusted"
    to = ", ".join(f"{count} to {other}" for other, count in taken.most_common())
    return f"{how}, but {taken.total()} of its {comparison.before(name)} voxels are gone: {to}"


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Classes of which at least `SHARE` is gone.

    Examples
    --------
    >>> from voxledger.bundles.check import example, told
    >>> told(CHECK, example(lambda a: a.__setitem__(a == 4, 1), liver="revise", spleen="accept"))
    ['spleen: the decision is accept, but 252 of its 252 voxels are gone: 252 to liver']
    >>> told(CHECK, example(lambda a: a.__setitem__(a == 4, 1), liver="revise", spleen="revise"))
    []
    """
    for name in trusted_classes(comparison):
        taken = taken_from(comparison, name)
        if taken and taken.total() >= SHARE * comparison.before(name):
            remedy = f"restore {name}, or decide revise for it, too, if it really is not there"
            yield Suspicion(name, in_words(comparison, name, taken), remedy)


CHECK = Check(Severity.BLOCKING, find)
