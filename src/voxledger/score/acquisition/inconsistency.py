"""inconsistency: most ml on which the models disagree."""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquisition import descending
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Cases by falling inconsistent volume in ml."""
    return descending((c.case_id, sum(s.inconsistent_ml for s in c.classes)) for c in cases)
