"""importance_ranks: as `importance`, by the sum of ranks instead of volumes: one huge case does not decide.

A case has three ranks: how many cases have less uncertain, inconsistent, and overlapping volume; of cases with the same
volume, those between the first and the last of them count half.
"""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquire import Acquisition, descending
from voxledger.score.acquisition.importance import VOLUMES, volumes_of
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Order cases by falling sum of ranks.

    Parameters
    ----------
    cases
        Cases with classes that nobody stands behind yet.
    seed
        Not used.

    Examples
    --------
    A case that leads twice by little comes before one that leads once by far:

    >>> from voxledger.score.acquire import example_case
    >>> a = example_case("a", uncertain_ml=900.0, inconsistent_ml=1.0, overlapping_ml=1.0)
    >>> b = example_case("b", uncertain_ml=10.0, inconsistent_ml=2.0, overlapping_ml=2.0)
    >>> order([a, b], "0")
    ['b', 'a']
    """
    from scipy.stats import rankdata

    ids = [c.case_id for c in cases]
    if not ids:
        return []
    ranks = sum(rankdata([volumes_of(cases, column)[i] for i in ids]) for column in VOLUMES)
    return descending(zip(ids, map(float, ranks), strict=True))


ACQUISITION = Acquisition(order)
