"""entropy: highest mean voxel entropy, as SAIM ranks its pool.

The sum over classes of the mean entropy per voxel. With classes that exclude each other and `one_sided`
entropy this is the entropy of the class distribution without the term of the background.
"""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquisition import descending
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Cases by falling mean voxel entropy of the untrusted classes."""
    return descending((c.case_id, sum(s.mean_entropy for s in c.classes)) for c in cases)
