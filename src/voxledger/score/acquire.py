"""What every acquisition function is: an order of cases, the one that people should look at first in front."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, get_type_hints

from voxledger.score.table import CaseScore, ClassScore


@dataclass(frozen=True)
class Acquisition:
    """One acquisition function; the file that holds it, as `ACQUISITION`, has its name."""

    order: Callable[[Sequence[CaseScore], str], list[str]]
    """Gets cases with what was measured of their classes, and a seed that differs from round to round; gives the ids
    of all of them. The order of the cases must not matter: break ties by case id."""
    features: bool = False
    """Whether it needs `CaseScore.features`, for which every image is read."""
    quality: bool = False
    """Whether it goes by `CaseScore.quality`."""


class Turns:
    """Cases in an order of their own for each class, of which whoever's turn it is takes the first that is left."""

    def __init__(self, ordered: Mapping[str, Sequence[str]]) -> None:
        self._ordered = ordered
        self._at = dict.fromkeys(ordered, 0)

    def left(self, chosen: Collection[str]) -> list[str]:
        """Classes that have a case which is not chosen yet."""
        return [name for name in self._ordered if self._next(name, chosen) < len(self._ordered[name])]

    def first(self, name: str, chosen: Collection[str]) -> str:
        """The first case of a class that is not chosen yet."""
        return self._ordered[name][self._next(name, chosen)]

    def _next(self, name: str, chosen: Collection[str]) -> int:
        cases, at = self._ordered[name], self._at[name]
        while at < len(cases) and cases[at] in chosen:
            at += 1
        self._at[name] = at
        return at


def descending(values: Iterable[tuple[str, float]]) -> list[str]:
    """Order cases by falling value, ties by case id.

    Parameters
    ----------
    values
        Case id and value of each case.

    Examples
    --------
    >>> descending([("b", 1.0), ("a", 1.0), ("c", 2.5)])
    ['c', 'a', 'b']
    """
    return [case_id for case_id, _ in sorted(values, key=lambda item: (-item[1], item[0]))]


def example_case(case_id: str, *, features: tuple[float, ...] = (), **measured: float) -> CaseScore:
    """A case of one class, as in the examples of acquisition functions.

    Parameters
    ----------
    features
        See `voxledger.score.features`.
    measured
        Columns of `voxledger.score.table.ClassScore`, such as `attention_ml=3.5`; all others are 0.
    """
    zero: dict[str, Any] = {column: 0.0 for column, kind in get_type_hints(ClassScore).items() if kind is float}
    return CaseScore(case_id, (ClassScore(case_id, "liver", 2, trusted=False, **{**zero, **measured}),), features)
