"""diversity: much attention, but unlike the cases already chosen, so that a batch is not twenty near-copies.

Greedy: the next case is the one whose attention in ml times its distance to the nearest chosen case is
largest; the first is the one with the most attention. Distances are Euclidean over the features of
`voxledger.score.features`, each divided by its spread over the cases.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from voxledger.score.acquire import Acquisition
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Order cases as the greedy choice takes them.

    Parameters
    ----------
    cases
        Cases with classes that nobody stands behind yet.
    seed
        Not used.

    Examples
    --------
    `b` is a near copy of `a`, so `c` comes first, with less attention:

    >>> from voxledger.score.acquire import example_case
    >>> a = example_case("a", attention_ml=10.0, features=(0.0, 0.0))
    >>> b = example_case("b", attention_ml=9.0, features=(0.0, 0.1))
    >>> c = example_case("c", attention_ml=2.0, features=(5.0, 1.0))
    >>> order([a, b, c], "0")
    ['a', 'c', 'b']
    """
    cases = sorted(cases, key=lambda c: c.case_id)
    if not cases:
        return []
    features = np.array([c.features for c in cases], np.float64).reshape(len(cases), -1)
    spread = features.std(0)
    features = (features - features.mean(0)) / np.where(spread > 1e-9, spread, np.inf)
    attention = np.array([c.attention_ml for c in cases])
    distance = np.full(len(cases), 1.0)
    left = list(range(len(cases)))
    chosen: list[str] = []
    while left:
        best = max(left, key=lambda i: (attention[i] * distance[i], attention[i], -i))
        left.remove(best)
        to_best = np.sqrt(((features - features[best]) ** 2).sum(1))
        distance = np.minimum(distance, to_best) if chosen else to_best
        chosen.append(cases[best].case_id)
    return chosen


ACQUISITION = Acquisition(order, features=True)
