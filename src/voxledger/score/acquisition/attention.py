"""attention: most ml of attention in classes that nobody stands behind yet (AbdomenAtlas-8K, but in ml)."""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquisition import descending
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Cases by falling attention in ml."""
    return descending((c.case_id, c.attention_ml) for c in cases)
