"""importance: uncertainty combined with inconsistency and overlap, as Continual Tuning chooses cases to replay.

Each of the three volumes is divided by its mean over the cases, so that none drowns the others, and the three
are added.
"""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquisition import descending
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Cases by falling importance."""
    importance = dict.fromkeys((c.case_id for c in cases), 0.0)
    for column in ("uncertain_ml", "inconsistent_ml", "overlapping_ml"):
        volumes = {c.case_id: sum(getattr(s, column) for s in c.classes) for c in cases}
        total = sum(volumes[case_id] for case_id in sorted(volumes))
        for case_id, volume in volumes.items():
            importance[case_id] += volume * len(volumes) / total if total else 0.0
    return descending(importance.items())
