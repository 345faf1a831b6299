"""What virtual readers clicked in a round, and the minutes that this stands for, apart from those of people."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from voxledger import layout
from voxledger.minutes import CLICK_MINUTES
from voxledger.records.clicks import Clicks, read_clicks
from voxledger.records.decisions import Decided
from voxledger.records.readings import Reading


@dataclass(frozen=True)
class Clicking:
    """The clicks of a round."""

    bundles: frozenset[str]
    """SHA-256 of the returns that were made by clicks."""
    cases: int
    """Cases read so; one that two readers clicked at counts twice."""
    masks: int
    """Classes of these cases that were judged."""
    clicks: int
    helped: int
    """Clicks whose answer was kept."""
    looking_minutes: float
    """Of a look at one class of one case: assumed."""
    gates: tuple[str, ...]
    """What let them be used, in words."""

    @property
    def minutes(self) -> float:
        """What they stand for: a look at every mask, and every click. Assumed, not measured."""
        return self.looking_minutes * self.masks + CLICK_MINUTES * self.clicks

    @property
    def click_minutes(self) -> float:
        """Minutes assumed for a click."""
        return CLICK_MINUTES


def clicking(said: Sequence[Decided | Reading], looking_minutes: float) -> Clicking | None:
    """What the record of clicks beside some decisions or readings says; None where people made all of them.

    Raises
    ------
    VoxledgerError
        A record is damaged.
    """
    made = virtual_clicks(one.bundle for one in said)
    if not made:
        return None
    found = list(made.values())
    return Clicking(
        bundles=frozenset(made),
        cases=sum(len(one.cases) for one in found),
        masks=sum(one.bundle in made for one in said),
        clicks=sum(len(one.clicks) for one in found),
        helped=sum(click.helped for one in found for click in one.clicks),
        looking_minutes=looking_minutes,
        gates=tuple(sorted({str(one.gate) for one in found})),
    )


def virtual_clicks(bundles: Iterable[str]) -> dict[str, Clicks]:
    """Records of virtual readers by SHA-256 of their returns, sorted.

    People who click give minutes, as those who draw do: they are left out.
    """
    found = {sha256: read_clicks(layout.RELEASE_REVISIONS / sha256) for sha256 in sorted({*bundles} - {""})}
    return {sha256: one for sha256, one in found.items() if one is not None and one.gate is not None}
