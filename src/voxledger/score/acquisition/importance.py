"""importance: uncertainty combined with inconsistency and overlap, as Continual Tuning chooses cases to replay.

Each of the three volumes is divided by its mean over the cases, so that none drowns the others, and the three
are added.
"""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquire import Acquisition, descending
from voxledger.score.table import CaseScore

VOLUMES = ("uncertain_ml", "inconsistent_ml", "overlapping_ml")
"""Columns of the score table that make up importance."""


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
    return descending(importance(cases).items())


def importance(cases: Sequence[CaseScore]) -> dict[str, float]:
    """Sum of the three volumes of every case, each divided by its mean over the cases, by case id."""
    found = dict.fromkeys((c.case_id for c in cases), 0.0)
    for column in VOLUMES:
        volumes = volumes_of(cases, column)
        total = sum(volumes[case_id] for case_id in sorted(volumes))
        for case_id, volume in volumes.items():
            found[case_id] += volume * len(volumes) / total if total else 0.0
    return found


def volumes_of(cases: Sequence[CaseScore], column: str) -> dict[str, float]:
    """One of the volumes, in ml over the classes of each case, by case id."""
    return {c.case_id: sum(getattr(s, column) for s in c.classes) for c in cases}


ACQUISITION = Acquisition(order)
