"""Which cases people look at first: one acquisition function a file, all of the same shape.

Each has `order(cases, seed) -> list[str]`: the ids of all cases, the one to review first in front. Ties are
broken by case id, so the order of the input does not matter.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib import import_module

from voxledger.score.table import CaseScore

Order = Callable[[Sequence[CaseScore], str], list[str]]


def acquisition(name: str) -> Order:
    """The acquisition function of that name; names are checked where `params.yaml` is read."""
    order: Order = import_module(f"voxledger.score.acquisition.{name}").order
    return order


def descending(values: Iterable[tuple[str, float]]) -> list[str]:
    """Case ids by falling value, ties by case id."""
    return [case_id for case_id, _ in sorted(values, key=lambda item: (-item[1], item[0]))]
