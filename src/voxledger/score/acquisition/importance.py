"""importance: uncertainty combined with inconsistency and overlap, as Continual Tuning chooses cases to replay.

Each of the three volumes is divided by its mean over the cases, so that none drowns the others, and the three
are added.
"""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquire import Acquisition, descending
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Order cases by falling importance.

    Parameters
    ----------
    cases
        Cases with classes that nobody stands behind yet.
    seed
        Not used.

    Examples
    --------
    A small volume counts as much as a large one, against its own mean:

    >>> from voxledger.score.acquire import example_case
    >>> a = example_case("a", uncertain_ml=90.0)
    >>> b = example_case("b", uncertain_ml=10.0, overlapping_ml=0.1)
    >>> order([a, b], "0")
    ['b', 'a']
    """
    importance = dict.fromkeys((c.case_id for c in cases), 0.0)
    for column in ("uncertain_ml", "inconsistent_ml", "overlapping_ml"):
        volumes = {c.case_id: sum(getattr(s, column) for s in c.classes) for c in cases}
        total = sum(volumes[case_id] for case_id in sorted(volumes))
        for case_id, volume in volumes.items():
            importance[case_id] += volume * len(volumes) / total if total else 0.0
    return descending(importance.items())


ACQUISITION = Acquisition(order)
