"""lowest_dice: the lowest predicted Dice of the classes that nobody stands behind yet: the worst labels go first.

Where `expected_gain` takes away most error a minute, in ml, this one lifts the worst masks, small ones too. Cases of
which nothing is predicted, since too little was judged or no model looked, come after all others, by the lowest Dice
between two models, which is known before anybody has judged anything; those in which it is the same by mean voxel
entropy, as all cases are where there is one model.
"""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquire import Acquisition, descending
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Order cases by rising predicted Dice of their worst mask.

    Parameters
    ----------
    cases
        Cases with classes that nobody stands behind yet.
    seed
        Not used.

    Examples
    --------
    The worst mask of `a` is worse than that of `b`; of `c` and `d` nothing is predicted:

    >>> from dataclasses import replace
    >>> from voxledger.records.mask_quality import Quality
    >>> from voxledger.score.acquire import example_case
    >>> def case(name, **dice):
    ...     quality = {k: Quality(v, 0.0, 1.0, 1.0, 0.0, 2.0, 0.2) for k, v in dice.items()}
    ...     return replace(example_case(name), quality=quality)
    >>> unknown = [example_case("c", lowest_agreement=0.9), example_case("d", lowest_agreement=0.4)]
    >>> order([case("b", liver=0.8), case("a", liver=0.95, spleen=0.6), *unknown], "0")
    ['a', 'b', 'd', 'c']
    """
    known, rest = [c for c in cases if c.quality], [c for c in cases if not c.quality]
    worst = ((c.case_id, -min(q.predicted_dice for q in c.quality.values())) for c in known)
    return [*descending(worst), *(c.case_id for c in sorted(rest, key=_unsure))]


def _unsure(case: CaseScore) -> tuple[float, float, str]:
    agreement = min((s.lowest_agreement for s in case.classes), default=1.0)
    return agreement, -sum(s.mean_entropy for s in case.classes), case.case_id


ACQUISITION = Acquisition(order, quality=True)
