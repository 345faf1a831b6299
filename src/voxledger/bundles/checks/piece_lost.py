"""piece_lost: a large component of a revised class is gone whole, as one of two kidneys that are one class.

A piece that is not there is one to say so of: the error type of the class is `false_positive`.
"""

from __future__ import annotations

from collections.abc import Iterator

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.comparison import Comparison
from voxledger.records.error_kind import ErrorKind

SHARE = 0.2
"""Of the voxels of the class in the proposal; false pieces that models leave are smaller. Of lesion classes nothing is
said: they come and go in pieces."""


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Classes of which such a component has no voxel left.

    Examples
    --------
    >>> from voxledger.bundles.check import Comparison, example, told
    >>> two = example(lambda a: None, spleen="revise").proposal.copy()
    >>> two[6:12, 20:27, 22:27] = 4
    >>> one = example(lambda a: a[6:12, 2:9, 20:21].fill(0), spleen="revise")
    >>> told(CHECK, Comparison(one.schema, two, one.returned, one.rows))
    ['spleen: a piece of 210 of its 462 voxels is gone']
    """
    for name in comparison.revised:
        error, before = comparison.rows[name].error_type, comparison.before(name)
        if (
            comparison.schema[name].lesion
            or not comparison.after(name)
            or error is ErrorKind.FALSE_POSITIVE
            or comparison.renamed(name)
        ):
            continue
        if (lost := comparison.pieces(name).lost) >= SHARE * before > 0:
            problem = f"a piece of {lost} of its {before} voxels is gone"
            remedy = f"restore it, or give {name} the error type false_positive if it is not there"
            yield Suspicion(name, problem, remedy)


CHECK = Check(Severity.WARNING, find)
