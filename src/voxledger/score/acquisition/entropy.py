"""entropy: highest mean voxel entropy, as SAIM ranks its pool.

The sum over classes of the mean entropy per voxel. With classes that exclude each other and `one_sided`
entropy this is the entropy of the class distribution without the term of the background.
"""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquire import Acquisition, descending
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Order cases by falling mean voxel entropy, in nats, of the untrusted classes.

    Parameters
    ----------
    cases
        Cases with classes that nobody stands behind yet.
    seed
        Not used.

    Examples
    --------
    >>> from voxledger.score.acquire import example_case
    >>> order([example_case("a", mean_entropy=0.01), example_case("b", mean_entropy=0.02)], "0")
    ['b', 'a']
    """
    return descending((c.case_id, sum(s.mean_entropy for s in c.classes)) for c in cases)


ACQUISITION = Acquisition(order)
