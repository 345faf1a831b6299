"""Which classes of which cases models are trained on.

A case of the pool joins the cohort when people stand behind at least one of its classes and rejected none of them.
What is not known about it is not taught, see `knowledge.CaseKnowledge.voxels`.
"""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voxledger.knowledge import CaseKnowledge
from voxledger.records.cases import Case, Split, require_patients_apart
from voxledger.records.decisions import Decision
from voxledger.records.ledger import Entry, Ledger
from voxledger.records.readings import Reading, settled
from voxledger.schema import LabelSchema
from voxledger.textfile import replace_text

COLUMNS = ["case_id", "image_sha256", "class_name", "origin", "mask_sha256"]


@dataclass(frozen=True)
class Member:
    """One case of a cohort and its rows of the ledger, in the order of the schema."""

    case: Case
    entries: tuple[Entry, ...]
    places: Mapping[str, int] = field(default_factory=dict)
    """Its place in the order in which older cases are learned from again, by class; by the empty name, over all."""
    rejected: frozenset[int] = frozenset()
    """Rounds in which people rejected a class of it, so that no other class of it was taught."""

    def knowledge(self, schema: LabelSchema) -> CaseKnowledge:
        """What is known of every class of the schema."""
        return CaseKnowledge.of(self.entries, schema)


def build_cohort(
    cases: Iterable[Case], ledger: Ledger, schema: LabelSchema, readings: Iterable[Reading] = ()
) -> list[Member]:
    """Members sorted by case id.

    Parameters
    ----------
    cases
        All cases of the repository: those of the pool may join, and no patient of theirs may be a test case.
    ledger
        Where each mask came from.
    schema
        The classes; gives the order of a member's rows.
    readings
        Of all rounds so far: they say when a member did not teach.

    Raises
    ------
    VoxledgerError
        A patient is on two sides of a split.
    """
    cohort, cases = [], sorted(cases, key=lambda c: c.case_id)
    require_patients_apart(cases)
    rejected: dict[str, set[int]] = {}
    for one in settled(readings):
        if one.decision is Decision.REJECT:
            rejected.setdefault(one.case_id, set()).add(one.version)
    for case in cases:
        if case.split is not Split.POOL:
            continue
        entries = tuple(ledger[case.case_id, n] for n in schema.names if (case.case_id, n) in ledger)
        member = Member(case, entries, rejected=frozenset(rejected.get(case.case_id, ())))
        if member.knowledge(schema).teaches:
            cohort.append(member)
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
