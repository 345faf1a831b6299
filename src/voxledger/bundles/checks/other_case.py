"""other_case: the label map looks more like the proposal of another case of the round than like its own."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.bundles.alignment import alignment
from voxledger.bundles.check import Check, Severity, Surroundings, Suspicion
from voxledger.bundles.comparison import Comparison, Pairs

LEAST_DICE, GAIN = 0.5, 0.03
"""Different people on the same grid agree by 0.55 to 0.82 in the hippocampus, corrections with their own proposal by
more (`benchmarks/returns.py`)."""
ALIGNED = 0.05
"""By which a correction follows the edges of the image better than its proposal; others by 0.03 at most."""


def find(comparison: Comparison, surroundings: Surroundings) -> Iterator[Suspicion]:
    """The other case that it looks most like, where that is more than its own.

    Compared are classes that its proposal has: one that models did not find may well lie where it does in others.

    Examples
    --------
    >>> import numpy as np
    >>> from voxledger.bundles.check import EXAMPLE, example, told
    >>> all_revised = dict.fromkeys(EXAMPLE.names, "revise")
    >>> comparison = example(lambda a: a.__setitem__(..., np.roll(a, 7, axis=2)), **all_revised)
    >>> others = {"case-8": np.roll(comparison.proposal, 5, axis=2), "case-9": comparison.proposal[::-1]}
    >>> around = Surroundings(lambda: np.zeros((20, 30, 40)), {}, lambda: iter(others.items()))
    >>> told(CHECK, comparison, around)
    [': the label looks like that of case case-8 (Dice 0.82 with its proposal), and not like its own (0.41)']
    """
    pairs = comparison.pairs
    proposed = pairs.before[pairs.before != 0]
    own = _dice(pairs, proposed)
    best, name = 0.0, ""
    for case, proposal in surroundings.others():
        dice = _dice(Pairs.of(proposal, comparison.returned), proposed)
        if dice > best:
            best, name = dice, case
    if best >= LEAST_DICE and best >= own + GAIN and not _aligned(comparison, surroundings.image()):
        yield Suspicion(
            "",
            f"the label looks like that of case {name} (Dice {best:.2f} with its proposal), and not like its own "
            f"({own:.2f})",
            f"check whether the files of this case and of {name} changed places, and send them again",
        )


def _dice(pairs: Pairs, ids: npt.NDArray[np.int64]) -> float:
    """Dice of some classes together, each voxel with the same id; 0 where there are none."""
    old, new = np.isin(pairs.before, ids), np.isin(pairs.after, ids)
    total = int(pairs.count[old].sum() + pairs.count[new].sum())
    return 2 * int(pairs.count[old & (pairs.before == pairs.after)].sum()) / total if total else 0.0


def _aligned(comparison: Comparison, image: npt.NDArray[Any]) -> bool:
    """Whether the image says that it is the label of this case."""
    theirs, ours = (alignment(image, a, comparison.spacing) for a in (comparison.proposal, comparison.returned))
    return theirs is not None and ours is not None and ours >= theirs + ALIGNED


CHECK = Check(Severity.BLOCKING, find_around=find)
