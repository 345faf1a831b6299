"""volume: a revised class has become much larger or smaller: one slice alone was saved, or half of the volume."""

from __future__ import annotations

from collections.abc import Iterator

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.comparison import Comparison

FACTOR, LESION_FACTOR = 2.5, 5.0
"""Corrections of organs stay below (`benchmarks/returns.py`); of a lesion, models may see a part."""
LEAST_ML = 0.1
"""A smaller change is that of a border, also of a structure of a few voxels."""


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Classes that have voxels before and after, by a factor more or fewer.

    Examples
    --------
    >>> from voxledger.bundles.check import example, told
    >>> told(CHECK, example(lambda a: a[3:, 2:14, 2:16].fill(0), liver="revise"))
    ['liver: its volume has changed from 16.13 to 1.34 ml (× 0.08)']
    """
    for name in comparison.revised:
        before, after = comparison.before(name), comparison.after(name)
        if not before or not after or comparison.renamed(name) or comparison.ml(abs(after - before)) < LEAST_ML:
            continue
        factor = LESION_FACTOR if comparison.schema[name].lesion else FACTOR
        if max(before / after, after / before) > factor:
            problem = (
                f"its volume has changed from {comparison.ml(before):.2f} to {comparison.ml(after):.2f} ml "
                f"(× {after / before:.2f})"
            )
            yield Suspicion(name, problem, f"look whether all slices of {name} were saved, and nothing else with it")


CHECK = Check(Severity.WARNING, find)
