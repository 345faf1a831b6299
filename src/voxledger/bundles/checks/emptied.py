"""emptied: a class was revised, and nothing is left of it.

A structure that is not there is one to say so of: its error type is `false_positive`. Where most of it became another
class, `wrong_class` or `left_right` says it.
"""

from __future__ import annotations

from collections.abc import Iterator

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.checks.swallowed import taken_from
from voxledger.bundles.comparison import Comparison
from voxledger.records.error_kind import MIXED_UP, ErrorKind


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Classes that had voxels, have none, and of which nobody said why.

    Examples
    --------
    >>> from voxledger.bundles.check import example, told
    >>> told(CHECK, example(lambda a: a.__setitem__(a == 4, 0), spleen="revise"))
    ['spleen: the decision is revise, but all of its 252 voxels are gone: 252 to background']
    >>> told(CHECK, example(lambda a: a.__setitem__(a == 4, 0), "false_positive", spleen="revise"))
    []
    """
    for name in comparison.revised:
        before, error = comparison.before(name), comparison.rows[name].error_type
        if not before or comparison.after(name) or error is ErrorKind.FALSE_POSITIVE:
            continue
        taken = taken_from(comparison, name)
        if error in MIXED_UP and 2 * taken["background"] < before:
            continue
        to = ", ".join(f"{count} to {other}" for other, count in taken.most_common())
        problem = f"the decision is revise, but all of its {before} voxels are gone: {to}"
        yield Suspicion(name, problem, f"restore {name}, or give it the error type false_positive if it is not there")


CHECK = Check(Severity.WARNING, find)
