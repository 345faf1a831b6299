"""inconsistency: most ml on which the models disagree."""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquire import Acquisition, descending
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Order cases by falling inconsistent volume in ml.

    Parameters
    ----------
    cases
        Cases with classes that nobody stands behind yet.
    seed
        Not used.

    Examples
    --------
    >>> from voxledger.score.acquire import example_case
    >>> order([example_case("a", inconsistent_ml=3.0), example_case("b", inconsistent_ml=0.1)], "0")
    ['a', 'b']
    """
    return descending((c.case_id, sum(s.inconsistent_ml for s in c.classes)) for c in cases)


ACQUISITION = Acquisition(order)
