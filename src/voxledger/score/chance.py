"""Chance that repeats: it depends on a seed and on case ids, not on how many cases there are or in what order."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable


def draw(case_id: str, seed: str) -> float:
    """A number in [0, 1) for one case."""
    digest = hashlib.sha256(f"{seed}/{case_id}".encode()).digest()
    return int.from_bytes(digest[:7], "big") / 2.0**56


def shuffled(case_ids: Iterable[str], seed: str) -> list[str]:
    """Case ids in an order of chance."""
    return sorted(case_ids, key=lambda case_id: (draw(case_id, seed), case_id))
