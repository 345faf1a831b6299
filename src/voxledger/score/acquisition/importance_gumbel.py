"""importance_gumbel: drawn by chance, the important ones more often: not only cases that are hard in the same way.

Gumbel noise on the logarithm of the importance: the first cases of the order are a draw without replacement in which
each has a chance in proportion to its importance (Kool et al. 2019). Cases of no importance come last, by chance.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from voxledger.score.acquire import Acquisition, descending
from voxledger.score.acquisition.importance import importance
from voxledger.score.chance import draw
from voxledger.score.table import CaseScore

_NONE = 1e-12
"""Importance of a case that has none, against a mean of 3."""


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Order cases by falling logarithm of the importance with noise.

    Parameters
    ----------
    cases
        Cases with classes that nobody stands behind yet.
    seed
        Seed of chance.

    Examples
    --------
    >>> from voxledger.score.acquire import example_case
    >>> cases = [example_case("a", uncertain_ml=9.0), example_case("b", uncertain_ml=1.0), example_case("c")]
    >>> first = [order(cases, str(seed))[0] for seed in range(1000)]
    >>> 850 < first.count("a") < 950, first.count("c")
    (True, 0)
    """

    def noisy(case_id: str, value: float) -> float:
        chance = min(max(draw(case_id, seed), 1e-15), 1 - 1e-15)
        return math.log(max(value, _NONE)) - math.log(-math.log(chance))

    return descending((case_id, noisy(case_id, value)) for case_id, value in importance(cases).items())


ACQUISITION = Acquisition(order)
