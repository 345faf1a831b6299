"""attention: most ml of attention in classes that nobody stands behind yet (AbdomenAtlas-8K, but in ml)."""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquire import Acquisition, descending
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Order cases by falling attention in ml.

    Parameters
    ----------
    cases
        Cases with classes that nobody stands behind yet.
    seed
        Not used.

    Examples
    --------
    >>> from voxledger.score.acquire import example_case
    >>> order([example_case("a", attention_ml=0.5), example_case("b", attention_ml=2.0)], "0")
    ['b', 'a']
    """
    return descending((c.case_id, c.attention_ml) for c in cases)


ACQUISITION = Acquisition(order)
