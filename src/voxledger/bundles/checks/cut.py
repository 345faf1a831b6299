"""cut: a revised class ends in a flat face where the proposal goes on: only some of the slices were saved."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.checks.gaps import areas
from voxledger.bundles.comparison import Comparison

LEAST_SHARE, LEAST_SLICES = 0.1, 2
"""Of the extent of the proposal that is missing at one end."""
LEAST_EXTENT = 6
"""Slices of the proposal: fewer are flat at both ends."""
FLAT = 0.6
"""Organs taper: a last slice this large against the largest is none of theirs, and so is one of the proposal behind."""
BEHIND = 0.15
"""Share of the proposal behind the cut that is not left out by drawing a border elsewhere."""


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Classes that are cut at one end, along the axis on which most is missing.

    Examples
    --------
    >>> from voxledger.bundles.check import example, told
    >>> told(CHECK, example(lambda a: a[10:, 2:14, 2:16].fill(0), liver="revise"))
    ['liver: it ends in a flat face along z, and the last 4 slices of the proposal are empty']
    """
    for name in comparison.revised:
        box = comparison.box(name)
        if box is None or not comparison.after(name) or not comparison.before(name) or comparison.renamed(name):
            continue
        before, after = comparison.masks(name, box)
        found = []
        for axis, called in enumerate("zyx"):
            old, new = areas(before, axis), areas(after, axis)
            found += [(_missing(old, new), called, "last"), (_missing(old[::-1], new[::-1]), called, "first")]
        count, called, end = max(found, key=lambda f: f[0])
        if count:
            problem = f"it ends in a flat face along {called}, and the {end} {count} slices of the proposal are empty"
            yield Suspicion(name, problem, f"look whether all slices of {name} were saved")


def _missing(old: npt.NDArray[np.int64], new: npt.NDArray[np.int64]) -> int:
    """Slices of the proposal behind a flat last slice; 0 where there is no such face."""
    last, lasted = int(np.flatnonzero(new)[-1]), np.flatnonzero(old)
    count = int(lasted[-1]) - last
    extent = int(lasted[-1] - lasted[0]) + 1
    if extent < LEAST_EXTENT or count < max(LEAST_SLICES, LEAST_SHARE * extent):
        return 0
    goes_on = old[last + 1] >= FLAT * old.max() or old[last + 1 :].sum() >= BEHIND * old.sum()
    return count if new[last] >= FLAT * new.max() and goes_on else 0


CHECK = Check(Severity.WARNING, find)
