"""taken: a class that people stand behind gave voxels to a revised neighbour, and was not revised.

Voxels that are trusted change hands only where a decision names both classes: the line of the neighbour says revise,
that of the class itself has to say revise too, or `confirmed`.
"""

from __future__ import annotations

from collections.abc import Iterator

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.checks.swallowed import SHARE, in_words, taken_from, trusted_classes
from voxledger.bundles.comparison import Comparison


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Classes that lost a voxel, but less than what is swallowed.

    Examples
    --------
    >>> from voxledger.bundles.check import example, told
    >>> told(CHECK, example(lambda a: a[6:12, 2:9, 20:22].fill(1), trusted=("spleen",), liver="revise"))
    ['spleen: it is not asked and trusted, but 84 of its 252 voxels are gone: 84 to liver']
    """
    for name in trusted_classes(comparison):
        taken = taken_from(comparison, name)
        if taken and taken.total() < SHARE * comparison.before(name):
            remedy = f"restore {name} if it was not meant, or decide revise for it, too"
            yield Suspicion(name, in_words(comparison, name, taken), remedy)


CHECK = Check(Severity.WARNING, find)
