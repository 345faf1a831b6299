"""random: by chance, the baseline of every other choice."""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquire import Acquisition
from voxledger.score.chance import shuffled
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Order cases by chance: by the seed and the case ids alone.

    Parameters
    ----------
    cases
        Cases with classes that nobody stands behind yet.
    seed
        Seed of chance.

    Examples
    --------
    >>> from voxledger.score.acquire import example_case
    >>> cases = [example_case(name) for name in "abcd"]
    >>> order(cases, "0") == order(cases[::-1], "0")
    True
    """
    return shuffled([c.case_id for c in cases], seed)


ACQUISITION = Acquisition(order)
