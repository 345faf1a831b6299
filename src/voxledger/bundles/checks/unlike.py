"""unlike: a revised class lies elsewhere than the proposal."""

from __future__ import annotations

from collections.abc import Iterator

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.checks.volume import FACTOR, LEAST_ML
from voxledger.bundles.comparison import Comparison

DICE, WHOLE_DICE = 0.4, 0.65
"""Corrections of models that are of some use lie above, of a class and of all together (`benchmarks/returns.py`)."""


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Classes of about the volume that they had, of which little is in its place; or the label map as a whole.

    Examples
    --------
    >>> import numpy as np
    >>> from voxledger.bundles.check import example, told
    >>> told(CHECK, example(lambda a: a.__setitem__(..., np.roll(a, 2, axis=0)), liver="revise"))
    []
    >>> told(CHECK, example(lambda a: a.__setitem__(..., np.roll(a, 9, axis=0)), liver="revise"))
    ['liver: Dice with the proposal is 0.33, though its volume is 16.13 of 16.13 ml']
    """
    found = False
    for name in comparison.revised:
        before, after = comparison.before(name), comparison.after(name)
        if not before or not after or comparison.renamed(name) or comparison.ml(max(before, after)) < LEAST_ML:
            continue
        if comparison.dice(name) < DICE and max(before / after, after / before) <= FACTOR:
            volumes = f"{comparison.ml(after):.2f} of {comparison.ml(before):.2f}"
            problem = f"Dice with the proposal is {comparison.dice(name):.2f}, though its volume is {volumes} ml"
            yield Suspicion(name, problem, f"look whether {name} lies where it should in the image of this case")
            found = True
    compared = (
        comparison.proposal.any() and comparison.returned.any() and not any(map(comparison.renamed, comparison.revised))
    )
    if not found and compared and comparison.agreement < WHOLE_DICE:
        problem = f"Dice of all classes together with the proposal is {comparison.agreement:.2f}"
        yield Suspicion("", problem, "look whether it is the label of this case, and lies on its image")


CHECK = Check(Severity.WARNING, find)
