"""What every check of a returned label map is: it names what is likely not what the reviewer meant, and how sure it is.

`bundles/checks/` holds them, one file a kind. `review.findings` in params.yaml says per kind what follows from one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.bundles.appearance import Look
from voxledger.bundles.comparison import Comparison
from voxledger.bundles.merge import LabelMap
from voxledger.records.decisions import Decision, Row
from voxledger.records.error_kind import ErrorKind
from voxledger.registry import CHECKS
from voxledger.schema import LabelClass, LabelSchema


class Severity(StrEnum):
    """What follows from a finding."""

    BLOCKING = "blocking"
    """The label has to be sent again."""
    WARNING = "warning"
    """A person has to confirm it: the reviewer in decisions.csv, or the curator on record."""
    NOTE = "note"
    """It is said."""


@dataclass(frozen=True)
class Suspicion:
    """One thing that is likely not what was meant; `class_name` is empty where it is about the whole label map."""

    class_name: str
    problem: str
    """What, with numbers."""
    remedy: str
    """What to do if it is wrong, or to say if it is right."""


@dataclass(frozen=True, eq=False)
class Surroundings:
    """What a label map that is unlike its proposal is compared with besides."""

    image: Callable[[], npt.NDArray[Any]]
    """Gives that of the case (z, y, x); may be asked again."""
    looks: Mapping[str, Look]
    """What classes look like in cases that people stand behind, by class."""
    others: Callable[[], Iterator[tuple[str, LabelMap]]]
    """Proposals of the other cases of the round on a grid of the same shape (z, y, x), by case."""


@dataclass(frozen=True)
class Check:
    """One kind of finding.

    Parameters
    ----------
    severity
        What follows from it, unless `review.findings` says otherwise.
    find
        Compares one label map with its proposal. It is asked only where something has changed.
    find_around
        The same for a check that needs the image or other cases, which are read only where a class is unlike its
        proposal.
    """

    severity: Severity
    find: Callable[[Comparison], Iterator[Suspicion]] | None = None
    find_around: Callable[[Comparison, Surroundings], Iterator[Suspicion]] | None = None


def all_checks() -> dict[str, Check]:
    """All kinds by name."""
    return CHECKS.all()


@dataclass(frozen=True)
class Found:
    """A suspicion with its kind."""

    kind: str
    suspicion: Suspicion


def find_all(comparison: Comparison) -> list[Found]:
    """What all checks say that need no more than the label maps, by kind."""
    if comparison.same:
        return []
    checks = [(kind, check.find) for kind, check in all_checks().items() if check.find is not None]
    return [Found(kind, suspicion) for kind, find in checks for suspicion in find(comparison)]


def find_around(comparison: Comparison, surroundings: Surroundings) -> list[Found]:
    """What the others say."""
    checks = [(kind, check.find_around) for kind, check in all_checks().items() if check.find_around is not None]
    return [Found(kind, suspicion) for kind, find in checks for suspicion in find(comparison, surroundings)]


EXAMPLE = LabelSchema(
    name="abdomen",
    classes=(
        LabelClass(id=1, name="liver"),
        LabelClass(id=2, name="pancreas"),
        LabelClass(id=3, name="lesion", inside="pancreas", lesion=True),
        LabelClass(id=4, name="spleen"),
        LabelClass(id=5, name="kidney_left"),
        LabelClass(id=6, name="kidney_right"),
    ),
)


def example(
    change: Callable[[LabelMap], object], error: str = "none", trusted: tuple[str, ...] = (), **decisions: str
) -> Comparison:
    """An example with voxels of 2 × 2 × 2 mm, in which something was changed and classes decided on.

    Parameters
    ----------
    change
        Edits the label map (z, y, x) in place.
    error
        Error type of all lines.
    trusted
        Classes that people stand behind.
    decisions
        By class; all others have no line.
    """
    labels = np.zeros((20, 30, 40), np.uint8)
    labels[2:14, 2:14, 2:16] = 1
    labels[4:12, 18:24, 4:20] = 2
    labels[6:8, 20:22, 6:9] = 3
    labels[6:12, 2:9, 20:26] = 4
    labels[3:11, 12:17, 28:36] = 5
    labels[4:12, 18:23, 30:36] = 6
    returned = labels.copy()
    change(returned)
    rows = {n: Row("case-7", n, Decision(d) if d else None, 1.0, ErrorKind(error)) for n, d in decisions.items()}
    return Comparison(EXAMPLE, labels, returned, rows, frozenset(trusted), (2.0, 2.0, 2.0))


def told(check: Check, comparison: Comparison, surroundings: Surroundings | None = None) -> list[str]:
    """What a check says of an example, in words."""
    if surroundings is not None:
        assert check.find_around is not None
        return [f"{s.class_name}: {s.problem}" for s in check.find_around(comparison, surroundings)]
    assert check.find is not None
    return [f"{s.class_name}: {s.problem}" for s in check.find(comparison)]
