"""What a round changed in the labels, told from the ledgers before and after it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

from voxledger.records.ledger import Ledger, Origin


@dataclass(frozen=True)
class ClassChange:
    """One class over all cases: masks by origin now, and how masks differ from those before."""

    class_name: str
    origins: dict[Origin, int]
    added: int
    """Masks that were not there before."""
    changed: int
    """Masks whose voxels changed."""
    removed: int
    """Masks that are no longer there."""
    ml: float
    """Net change of the class's volume over all cases in ml."""


def changes(before: Ledger, after: Ledger, class_order: Sequence[str]) -> list[ClassChange]:
    """Compare two ledgers class by class; classes without a row in either are left out."""
    found = []
    for name in class_order:
        old = {case: e for (case, c), e in before.items() if c == name}
        new = {case: e for (case, c), e in after.items() if c == name}
        if not old and not new:
            continue
        counts = Counter(e.origin for e in new.values())
        found.append(
            ClassChange(
                name,
                {origin: counts[origin] for origin in Origin},
                added=len(new.keys() - old.keys()),
                changed=sum(new[c].mask_sha256 != old[c].mask_sha256 for c in new.keys() & old.keys()),
                removed=len(old.keys() - new.keys()),
                ml=sum(e.ml for e in new.values()) - sum(e.ml for e in old.values()),
            )
        )
    return found
