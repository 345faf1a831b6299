"""Which classes of which cases models are trained on.

A case of the pool joins the cohort when people stand behind at least one of its classes and rejected none of them.
What is not known about it is not taught (`labels_to_learn`):

* a class that was only predicted: its voxels are ignored, nobody has said that they are right;
* a class that nobody looked for: its voxels could be anywhere in what surrounds it, so the outer class, or the
  background if it lies in none, is ignored in this case. That is a class without any row in the ledger; one that the
  models predicted empty; and a lesion class that was only predicted, since where they drew one there may be another.

So a class is taught to be absent only where a person decided, or the source looked for it. A structure that is no
lesion is taken to be where the models drew it: what surrounds it goes on being taught.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Entry, Ledger, Origin
from voxledger.schema import LabelSchema
from voxledger.textfile import replace_text

COLUMNS = ["case_id", "image_sha256", "class_name", "origin", "mask_sha256"]


@dataclass(frozen=True)
class Member:
    """One case of a cohort and its rows of the ledger, in the order of the schema."""

    case: Case
    entries: tuple[Entry, ...]

    @property
    def trusted(self) -> tuple[str, ...]:
        """Classes that people stand behind."""
        return tuple(e.class_name for e in self.entries if e.origin.trusted)

    @property
    def predicted(self) -> tuple[str, ...]:
        """Classes that only models have drawn."""
        return tuple(e.class_name for e in self.entries if not e.origin.trusted)


def build_cohort(cases: Iterable[Case], ledger: Ledger, schema: LabelSchema) -> list[Member]:
    """Members sorted by case id."""
    cohort = []
    for case in sorted(cases, key=lambda c: c.case_id):
        if case.split is not Split.POOL:
            continue
        entries = tuple(ledger[case.case_id, n] for n in schema.names if (case.case_id, n) in ledger)
        if any(e.origin.trusted for e in entries) and all(e.origin is not Origin.REJECTED for e in entries):
            cohort.append(Member(case, entries))
    return cohort


def to_csv(cohort: list[Member]) -> str:
    """The cohort as a table, one row a case and class; a class that is only predicted has that origin."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(COLUMNS)
    for member in cohort:
        for e in member.entries:
            writer.writerow([e.case_id, member.case.sha256, e.class_name, e.origin.value, e.mask_sha256])
    return stream.getvalue()


def cohort_sha256(table: str) -> str:
    """Hash of the bytes of `cohort.csv`; it goes into the cards of the models trained on it."""
    return hashlib.sha256(table.encode()).hexdigest()


def write_cohort(path: Path, table: str) -> None:
    """Write `cohort.csv`."""
    replace_text(path, table)


def labels_to_learn(
    labels: npt.NDArray[Any], schema: LabelSchema, trusted: Iterable[str], predicted: Iterable[str]
) -> npt.NDArray[np.int16]:
    """Turn a label map (z, y, x) of schema ids into what a network learns.

    Classes are numbered from 1 in the order of the schema, background is 0, and what is not known is
    `len(schema.classes) + 1`.

    Parameters
    ----------
    trusted
        Classes that people stand behind, or that the source covers.
    predicted
        Classes that only models have drawn, or predicted empty.
    """
    ignore = len(schema.classes) + 1
    trusted, predicted = set(trusted), set(predicted)
    learned = np.full(max(c.id for c in schema.classes) + 1, ignore, np.int16)
    learned[0] = 0
    for index, c in enumerate(schema.classes, start=1):
        if c.name in trusted:
            learned[c.id] = index
    present = set(np.unique(labels).tolist())
    drawn = {c.name for c in schema.classes if c.name in predicted and c.id in present}
    located = {outer for name in drawn for outer in schema.chain(name)} & predicted
    for c in schema.classes:
        if c.name not in trusted and (c.lesion or c.name not in located):
            learned[schema[c.inside].id if c.inside else 0] = ignore
    return np.asarray(learned[labels])
