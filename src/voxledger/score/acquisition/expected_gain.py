"""expected_gain: most error per minute, both as predicted, of the classes that nobody stands behind yet.

What a case holds is the error in ml that is predicted of its masks; what it costs are the minutes that they are likely
to take, a look at each and what is to be drawn anew (`voxledger.score.quality`). Cases of which nothing is predicted,
since too little was judged or no model looked, come after all others, by attention in ml.
"""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.score.acquire import Acquisition, descending
from voxledger.score.table import CaseScore


def order(cases: Sequence[CaseScore], seed: str) -> list[str]:
    """Order cases by falling predicted error per expected minute.

    Parameters
    ----------
    cases
        Cases with classes that nobody stands behind yet.
    seed
        Not used.

    Examples
    --------
    `a` has most error, but takes long; of `c` nothing is predicted:

    >>> from dataclasses import replace
    >>> from voxledger.records.mask_quality import Quality
    >>> from voxledger.score.acquire import example_case
    >>> def case(name, ml, minutes):
    ...     quality = Quality(0.8, 0.7, 0.9, ml, 0.0, 2 * ml, 0.2)
    ...     return replace(example_case(name), quality={"liver": quality}, minutes={"liver": minutes})
    >>> order([case("a", 6.0, 12.0), case("b", 4.0, 2.0), example_case("c", attention_ml=99.0)], "0")
    ['b', 'a', 'c']
    """
    known, rest = [c for c in cases if c.quality], [c for c in cases if not c.quality]
    return [
        *descending((c.case_id, gain(c)) for c in known),
        *descending((c.case_id, c.attention_ml) for c in rest),
    ]


def gain(case: CaseScore) -> float:
    """Predicted error in ml per expected minute."""
    return sum(q.predicted_error_ml for q in case.quality.values()) / max(sum(case.minutes.values()), 1e-9)


ACQUISITION = Acquisition(order, quality=True)
