"""random: by chance, the baseline of every other choice."""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.chance import shuffled
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Cases in an order that depends on the seed and the case ids alone."""
    return shuffled([c.case_id for c in cases], seed)
