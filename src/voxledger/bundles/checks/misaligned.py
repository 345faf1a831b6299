"""misaligned: the border runs across the edges of the image where that of the proposal follows them.

Where the intensities of two patients are alike, so are those under a label of the wrong one; its border still follows
the edges of the other image. A correction follows those of its own better than the proposal did.
"""

from __future__ import annotations

from collections.abc import Iterator

from voxledger.bundles.alignment import alignment
from voxledger.bundles.check import Check, Severity, Surroundings, Suspicion
from voxledger.bundles.comparison import Comparison

LIKE, GAIN = 0.78, 0.01
"""A label with a smaller Dice of all classes with the proposal is a correction if its alignment is better by this."""
LOSS = -0.03
"""One that is more like its proposal may lose up to this. On the tuning split of `benchmarks/returns.py`, labels of
other patients gain from -0.23 to 0.03, corrections that are that unlike their proposal 0.01 to 0.11 in 19 of 20."""


def find(comparison: Comparison, surroundings: Surroundings) -> Iterator[Suspicion]:
    """A label map that is unlike its proposal and follows the image no better.

    Examples
    --------
    >>> import numpy as np
    >>> from voxledger.bundles.check import example, told
    >>> comparison = example(lambda a: a.__setitem__(..., np.roll(a, 3, axis=1)), liver="revise")
    >>> proposal, returned = (np.where(a != 0, 60.0, -80.0) for a in (comparison.proposal, comparison.returned))
    >>> told(CHECK, comparison, Surroundings(lambda: proposal, {}, lambda: iter(())))
    [': its border runs across the edges of the image (alignment 0.76, that of the proposal 1.00)']
    >>> told(CHECK, comparison, Surroundings(lambda: returned, {}, lambda: iter(())))
    []
    """
    compared = (
        comparison.proposal.any() and comparison.returned.any() and not any(map(comparison.renamed, comparison.revised))
    )
    if not compared:
        return
    image = surroundings.image()
    theirs, ours = (alignment(image, a, comparison.spacing) for a in (comparison.proposal, comparison.returned))
    if ours is not None and theirs is not None and ours < theirs + (GAIN if comparison.agreement < LIKE else LOSS):
        problem = (
            f"its border runs across the edges of the image (alignment {ours:.2f}, that of the proposal {theirs:.2f})"
        )
        yield Suspicion("", problem, "look whether it was drawn on the image of this case, and lies on it")


CHECK = Check(Severity.WARNING, find_around=find)
