"""filled: a revised class fills most of the image: what was filled is the background."""

from __future__ import annotations

from collections.abc import Iterator

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.comparison import Comparison

SHARE = 0.5
"""Of the voxels of the image."""


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Classes that fill most of the image, and did not before.

    Examples
    --------
    >>> from voxledger.bundles.check import example, told
    >>> told(CHECK, example(lambda a: a.__setitem__(a == 0, 4), spleen="revise"))
    ['spleen: it fills 86 % of the image, in the proposal 1 %']
    """
    total = int(comparison.pairs.count.sum())
    for name in comparison.revised:
        old, new = comparison.before(name) / total, comparison.after(name) / total
        if new >= SHARE > old:
            problem = f"it fills {new:.0%} of the image, in the proposal {old:.0%}".replace("%", " %")
            yield Suspicion(name, problem, f"take back what was filled outside of {name}")


CHECK = Check(Severity.BLOCKING, find)
