"""foreground_random: by chance among cases in which the models see an open class, the baseline that is hard to beat.

nnActive (Lüth et al. 2025) finds that active learning beats plain chance, and hardly beats chance that minds the
foreground: there patches, of which two in three are drawn around a class. Here whole cases: of every three places two
go to a class that is drawn by chance, and to a case by chance in which models see it; the third goes to any case.
"""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquire import Acquisition, Turns
from voxledger.score.chance import draw, shuffled
from voxledger.score.table import CaseScore

EVERY = 3
"""One of so many places goes to any case."""


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Order cases by chance, those with foreground of a class in front where it is the turn of one.

    Parameters
    ----------
    cases
        Cases with classes that nobody stands behind yet.
    seed
        Seed of chance.

    Examples
    --------
    Nothing is seen in `b` and `d`, so that they wait for the third place or the end:

    >>> from voxledger.score.acquire import example_case
    >>> cases = [example_case(name, predicted_ml=ml) for name, ml in zip("abcd", (1.0, 0.0, 1.0, 0.0))]
    >>> sorted(order(cases, "0")[:2])
    ['a', 'c']
    """
    seen: dict[str, list[str]] = {}
    for case in cases:
        for score in case.classes:
            if score.predicted_ml > 0:
                seen.setdefault(score.class_name, []).append(case.case_id)
    anywhere = Turns({"": shuffled([case.case_id for case in cases], seed)})
    of_class = Turns({name: shuffled(seen[name], seed) for name in sorted(seen)})
    chosen: dict[str, None] = {}
    while len(chosen) < len(cases):
        place, classes = len(chosen), of_class.left(chosen)
        if classes and place % EVERY != EVERY - 1:
            name = classes[int(draw(str(place), f"{seed}/class") * len(classes))]
            chosen[of_class.first(name, chosen)] = None
        else:
            chosen[anywhere.first("", chosen)] = None
    return list(chosen)


ACQUISITION = Acquisition(order)
