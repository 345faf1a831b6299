"""Krippendorff's alpha: how far people agree on categories, beyond what chance would give."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Hashable, Iterable, Sequence


def nominal_alpha(units: Iterable[Sequence[Hashable]]) -> float:
    """Krippendorff's alpha for nominal data, of any number of raters, with missing ratings.

    1 − D_o / D_e with the disagreement that is observed within units and the one that is expected if all ratings were
    paired at random (Krippendorff 2011, *Computing Krippendorff's Alpha-Reliability*). 1 is agreement, 0 what chance
    gives, below 0 is worse. NaN where no unit has two ratings, or where all ratings are the same: then nothing says
    whether raters can tell categories apart.

    Parameters
    ----------
    units
        The ratings of each unit that somebody rated, in any order; those that are missing are left out.

    Examples
    --------
    >>> round(nominal_alpha([["a", "a"], ["b", "b"], ["a", "b"]]), 4)
    0.4444
    """
    totals: Counter[Hashable] = Counter()
    observed = 0.0
    for ratings in units:
        if len(ratings) < 2:
            continue
        counts = Counter(ratings)
        totals.update(counts)
        unlike = len(ratings) ** 2 - sum(n * n for n in counts.values())
        observed += unlike / (len(ratings) - 1)
    n = sum(totals.values())
    expected = n * n - sum(count * count for count in totals.values())
    return 1 - observed * (n - 1) / expected if expected else math.nan
