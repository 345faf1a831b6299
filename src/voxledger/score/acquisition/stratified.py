"""stratified: one class after the other takes the case that is most uncertain of it, with noise.

After ClaSP PE (Lüth et al. 2026, *Finally Outshining the Random Baseline*), which stratifies by class, so that rare
classes have their turn, and adds Gumbel noise to the logarithm of the entropy, so that a batch is not twenty alike: a
case is then taken with a probability that rises with its entropy. There patches, with noise that falls from round to
round; here whole cases, with noise of scale 1 in every round.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from voxledger.score.acquire import Acquisition, Turns
from voxledger.score.chance import draw, shuffled
from voxledger.score.table import CaseScore

SMALLEST = 2.0**-60
"""Keeps the logarithms of what chance draws finite."""


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Order cases by turns of the classes, each by log entropy plus Gumbel noise.

    Parameters
    ----------
    cases
        Cases with classes that nobody stands behind yet. Those of which no class has any entropy come last, by chance.
    seed
        Seed of chance.

    Examples
    --------
    Noise of scale 1 seldom turns a hundredfold entropy round:

    >>> from voxledger.score.acquire import example_case
    >>> a, b = example_case("a", mean_entropy=0.001), example_case("b", mean_entropy=0.1)
    >>> [order([a, b], str(seed))[0] for seed in range(5)]
    ['b', 'b', 'b', 'b', 'b']
    """
    ranked: dict[str, list[tuple[float, str]]] = {}
    for case in cases:
        for score in case.classes:
            if score.mean_entropy > 0:
                value = math.log(score.mean_entropy) + gumbel(case.case_id, f"{seed}/{score.class_name}")
                ranked.setdefault(score.class_name, []).append((-value, case.case_id))
    turns = Turns({name: [case_id for _, case_id in sorted(ranked[name])] for name in sorted(ranked)})
    chosen: dict[str, None] = {}
    while classes := turns.left(chosen):
        for name in classes:
            if name in turns.left(chosen):
                chosen[turns.first(name, chosen)] = None
    rest = [case.case_id for case in cases if case.case_id not in chosen]
    return [*chosen, *shuffled(rest, seed)]


def gumbel(case_id: str, seed: str) -> float:
    """A number from the standard Gumbel distribution, by chance that repeats."""
    return -math.log(max(-math.log(max(draw(case_id, seed), SMALLEST)), SMALLEST))


ACQUISITION = Acquisition(order)
