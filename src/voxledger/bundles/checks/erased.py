"""erased: voxels of an inner class were erased to background, and come back as the class around it.

That is what the README of the bundle says; the count shows whether it was meant.
"""

from __future__ import annotations

from collections.abc import Iterator

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.checks.swallowed import DECIDED
from voxledger.bundles.comparison import Comparison


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Inner classes that were revised or rejected, while the class around them was not.

    Examples
    --------
    >>> from voxledger.bundles.check import example, told
    >>> told(CHECK, example(lambda a: a.__setitem__(a == 3, 0), "false_positive", lesion="revise"))
    ['lesion: 12 voxels were erased to background and come back as pancreas']
    """
    for c in comparison.schema.classes:
        if c.inside is None or comparison.decision(c.name) not in DECIDED or comparison.decision(c.inside) in DECIDED:
            continue
        erased = comparison.was(c.name) & (comparison.pairs.after == 0)
        count = int(comparison.pairs.count[erased].sum())
        if count:
            problem = f"{count} voxels were erased to background and come back as {c.inside}"
            yield Suspicion(c.name, problem, f"if {c.inside} is smaller there, decide revise for it, too")


CHECK = Check(Severity.NOTE, find)
