"""gaps: slices inside a revised class are empty, in which the proposal has it."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import numpy.typing as npt

from voxledger.bundles.check import Check, Severity, Suspicion
from voxledger.bundles.comparison import Comparison
from voxledger.bundles.merge import Mask

AREA = 0.25
"""Of the largest slice of the proposal, that it has to have where the class is gone: where a structure is thin, or
between two parts of it, a correction may leave a slice out."""


def areas(mask: Mask, axis: int) -> npt.NDArray[np.int64]:
    """Voxels of a mask (z, y, x) in every slice along an axis."""
    return np.asarray(np.count_nonzero(mask, axis=tuple(a for a in range(3) if a != axis)), np.int64)


def find(comparison: Comparison) -> Iterator[Suspicion]:
    """Classes with such slices, along the axis that has most of them.

    Examples
    --------
    >>> from voxledger.bundles.check import example, told
    >>> told(CHECK, example(lambda a: a[5:7, 2:14, 2:16].fill(0), liver="revise"))
    ['liver: 2 slices inside of it are empty along z, from slice 5 on (counted from 0), where the proposal has it']
    """
    for name in comparison.revised:
        box = comparison.box(name)
        if box is None or not comparison.before(name) or not comparison.after(name) or comparison.renamed(name):
            continue
        before, after = comparison.masks(name, box)
        found: list[tuple[int, int, str]] = []
        for axis, called in enumerate("zyx"):
            old, new = areas(before, axis), areas(after, axis)
            inside = np.flatnonzero(new)
            empty = np.flatnonzero((old >= AREA * old.max()) & (new == 0))
            empty = empty[(empty > inside[0]) & (empty < inside[-1])]
            if empty.size:
                found.append((int(empty.size), int(empty[0]) + box[axis].start, called))
        if found:
            count, first, called = max(found, key=lambda f: f[0])
            slices = "1 slice" if count == 1 else f"{count} slices"
            problem = (
                f"{slices} inside of it {'is' if count == 1 else 'are'} empty along {called}, from slice {first} on "
                "(counted from 0), where the proposal has it"
            )
            yield Suspicion(name, problem, f"fill the slices of {name}, or save all of them")


CHECK = Check(Severity.WARNING, find)
