"""pieces: a revised class has come apart into many components, as after resampling, or with noise painted in."""

from __future__ import annotations

from collections.abc import Iterator

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.comparison import Comparison

FACTOR, MORE = 3, 10
"""Three times as many and ten more: brushes leave some crumbs, and a reviewer finds some lesions."""


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Classes with many more components (26 neighbours) than the proposal.

    Examples
    --------
    >>> from voxledger.bundles.check import example, told
    >>> told(CHECK, example(lambda a: a[16:20:2, ::3, ::3].fill(4), spleen="revise"))
    ['spleen: it has come apart into 281 pieces, the proposal has 1']
    """
    for name in comparison.revised:
        old, new = comparison.pieces(name).before, comparison.pieces(name).after
        if new > max(FACTOR * old, old + MORE):
            problem = f"it has come apart into {new} pieces, the proposal has {old}"
            yield Suspicion(name, problem, f"look for crumbs of {name}, and whether the label was resampled")


CHECK = Check(Severity.WARNING, find)
