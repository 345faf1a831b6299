"""What a case's error most likely is, so that a worklist can be spread over kinds of errors.

Attention of a class for one reason (inconsistent, uncertain, overlapping) is shared out over the kinds of errors that
reviewers found under such attention in earlier rounds, by their ml. Where they have found none of the class yet, the
reason itself stands for the kind.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping

from voxledger.imaging.attention_file import PUBLISHED
from voxledger.records.errors import Error
from voxledger.score.table import CaseScore

LEAST_ML = 0.00005
"""What `errors.csv` writes as 0.0000 ml is at most this."""

CRITERIA = tuple(str(c.name).lower() for c in PUBLISHED)

Experience = Mapping[tuple[str, str], Mapping[str, float]]
"""Class and criterion → kind of error → ml; the criterion "" holds all of the class."""


def experience(errors: Iterable[Error]) -> Experience:
    """What kinds of errors there were under which attention."""
    found: dict[tuple[str, str], dict[str, float]] = {}
    for error in errors:
        for criterion in {error.criterion, ""}:
            kinds = found.setdefault((error.class_name, criterion), {})
            kinds[error.kind] = kinds.get(error.kind, 0.0) + max(error.ml, LEAST_ML)
    return found


def likely_error(case: CaseScore, known: Experience) -> tuple[str, str]:
    """Class and kind of the error with most expected ml; class and criterion where no kind is known."""
    expected: defaultdict[tuple[str, str], float] = defaultdict(float)
    for score in case.classes:
        for criterion in CRITERIA:
            ml: float = getattr(score, f"{criterion}_ml")
            kinds = known.get((score.class_name, criterion)) or known.get((score.class_name, "")) or {criterion: 1.0}
            total = sum(kinds.values())
            for kind, seen in kinds.items():
                expected[score.class_name, kind] += ml * seen / total
    return max(sorted(expected), key=lambda error: expected[error])
