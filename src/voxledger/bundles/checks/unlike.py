"""unlike: a revised class lies elsewhere than the proposal."""

from __future__ import annotations

from collections.abc import Iterator

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.checks.volume import FACTOR, LEAST_ML
from voxledger.bundles.comparison import Comparison

DICE = 0.4
"""Corrections of models that are of some use lie above (`benchmarks/returns.py`)."""


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Classes of about the volume that they had, of which little is in its place.

    Examples
    --------
    >>> import numpy as np
    >>> from voxledger.bundles.check import example, told
    >>> told(CHECK, example(lambda a: a.__setitem__(..., np.roll(a, 6, axis=0)), liver="revise"))
    []
    >>> told(CHECK, example(lambda a: a.__setitem__(..., np.roll(a, 9, axis=0)), liver="revise"))
    ['liver: Dice with the proposal is 0.33, though its volume is 16.13 of 16.13 ml']
    """
    for name in comparison.revised:
        before, after = comparison.before(name), comparison.after(name)
        if not before or not after or comparison.renamed(name) or comparison.ml(max(before, after)) < LEAST_ML:
            continue
        if comparison.dice(name) < DICE and max(before / after, after / before) <= FACTOR:
            volumes = f"{comparison.ml(after):.2f} of {comparison.ml(before):.2f}"
            problem = f"Dice with the proposal is {comparison.dice(name):.2f}, though its volume is {volumes} ml"
            yield Suspicion(name, problem, f"look whether {name} lies where it should in the image of this case")


CHECK = Check(Severity.WARNING, find)
