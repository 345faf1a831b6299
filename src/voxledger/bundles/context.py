"""What returns are judged by besides the bundles that were sent: parameters, the base version, confirmations."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voxledger import layout
from voxledger.bundles.appearance import Look, LookAtCase, looks
from voxledger.bundles.check import Severity, all_checks
from voxledger.casemap.once import once
from voxledger.knowledge import Knowledge, knowledge_of
from voxledger.params import ReviewParams
from voxledger.records.cases import Case, Split, in_split, read_cases
from voxledger.records.confirmed import read_confirmed
from voxledger.records.decisions import Decision, Row
from voxledger.records.ledger import read_ledger
from voxledger.records.reviewers import Reviewers, read_reviewers
from voxledger.schema import LabelSchema

MOST_CASES = 24
"""Trusted cases that are looked at: more change a standard deviation by little."""


@dataclass(frozen=True)
class SettledCase:
    """What the readers of a case agree on, before an adjudicator decides on the rest."""

    labels: Path
    """Label map of innermost ids: what was proposed, with what they revised together."""
    rows: tuple[Row, ...]
    """What they decided together."""

    @property
    def kept(self) -> frozenset[str]:
        """Classes that they do not reject."""
        return frozenset(row.class_name for row in self.rows if row.decision is not Decision.REJECT)


@dataclass(frozen=True)
class Context:
    """What returns are judged by; nothing is trusted, and severities are those of the checks, unless it says so."""

    review: ReviewParams = field(default_factory=ReviewParams)
    """How labels are read, and what follows from findings."""
    trusted: Mapping[str, frozenset[str]] = field(default_factory=dict)
    """Classes that people stand behind in the base version, by case."""
    cases: tuple[Case, ...] = ()
    """Cases of the pool, whose trusted classes say what they look like."""
    confirmed: frozenset[tuple[str, str, str, str]] = frozenset()
    """Findings that a curator confirmed: `records.confirmed.Confirmed.key`."""
    reviewers: Reviewers = field(default_factory=dict)
    """Who may sign, and with which keys."""
    proposals: Mapping[str, Path] = field(default_factory=dict)
    """What reviewers were sent in this round, by case."""
    settled: Mapping[str, SettledCase] = field(default_factory=dict)
    """What the readers of this round agree on, by case: an adjudicator is asked about the rest."""

    def severity(self, kind: str) -> Severity:
        """What follows from a kind of finding."""
        return Severity(self.review.findings.get(kind, all_checks()[kind].severity))

    def looks(self, schema: LabelSchema) -> dict[str, Look]:
        """What classes look like in trusted cases, by class; those of which too little is known are left out."""
        found = []
        for case in self.cases:
            image, labels = Path(case.image), layout.label_map(layout.BASE_LABELS, case.case_id)
            names = tuple(n for n in schema.names if n in self.trusted.get(case.case_id, ()))
            if names and image.is_file() and labels.is_file():
                job = LookAtCase(name=case.case_id, image=image, labels=labels, classes=names, label_schema=schema)
                found.append(once(job))
            if len(found) == MOST_CASES:
                break
        return looks(found)


def read_context(review: ReviewParams) -> Context:
    """Read what the repository says, in the current folder."""
    trusted: dict[str, set[str]] = {}
    for (case_id, name), entry in read_ledger(layout.BASE_LEDGER).items():
        if knowledge_of(entry) is Knowledge.TRUSTED:
            trusted.setdefault(case_id, set()).add(name)
    return Context(
        review,
        {case_id: frozenset(names) for case_id, names in trusted.items()},
        tuple(in_split(read_cases(), Split.POOL)),
        frozenset(c.key for c in read_confirmed(layout.CONFIRMED)),
        read_reviewers(),
    )
