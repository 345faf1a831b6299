"""Which cases join, and what of them is taught."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voxledger.errors import VoxledgerError
from voxledger.models.cohort import build_cohort, cohort_sha256, to_csv
from voxledger.records.decisions import Decision
from voxledger.records.ledger import Origin
from voxledger.records.readings import Outcome, Reading


@pytest.mark.parametrize(
    ("origins", "joins"),
    [
        ({}, True),
        ({"organ": Origin.REVISED, "lesion": Origin.ACCEPTED}, True),
        ({"organ": Origin.PREDICTED, "lesion": Origin.PREDICTED}, True),
        ({"organ": Origin.PREDICTED, "lesion": Origin.PREDICTED, "spleen": Origin.PREDICTED}, False),
        ({"lesion": Origin.REJECTED}, False),
        ({"lesion": None, "spleen": None}, True),
        ({"organ": None, "lesion": None, "spleen": None}, False),
    ],
)
def test_a_case_joins_if_something_is_trusted_and_nothing_rejected(small, schema, origins, joins):
    for name, origin in origins.items():
        small = small.with_origin("c1", name, origin)
    members = [m.case.case_id for m in build_cohort(small.cases, small.ledger, schema)]
    assert members == (["c0", "c1", "c2"] if joins else ["c0", "c2"])


def test_it_is_known_in_which_rounds_a_class_of_a_member_was_rejected(small, schema):
    """Not where the readers did not agree, or most of them did not reject."""

    def said(version: int, case_id: str, decision: Decision, outcome: Outcome = Outcome.COUNTED) -> Reading:
        return Reading(version, case_id, "organ", "ann", decision, None, "none", "", "", "", "", outcome)

    reject = Decision.REJECT
    readings = [
        said(1, "c0", reject),
        said(2, "c0", Decision.ACCEPT),
        said(3, "c0", reject, Outcome.MERGED),
        said(3, "c0", reject, Outcome.MERGED),
        said(3, "c0", Decision.REVISE, Outcome.MERGED),
        said(1, "c1", reject, Outcome.PENDING),
        said(2, "c1", reject, Outcome.OVERRULED),
        said(2, "c1", Decision.REVISE),
    ]
    found = {m.case.case_id: m.rejected for m in build_cohort(small.cases, small.ledger, schema, readings)}
    assert found == {"c0": {1, 3}, "c1": set(), "c2": set()}


def test_other_cases_of_a_tested_patient_never_join(small, schema):
    """A patient on both sides is an error, on record, and no case is left out without a word."""
    small.cases[0] = replace(small.cases[0], patient="c3")
    with pytest.raises(VoxledgerError, match=r"patient c3: c0 \(pool\), c3 \(test\)"):
        build_cohort(small.cases, small.ledger, schema)


def test_test_cases_never_join(small, schema):
    assert "c3" not in {m.case.case_id for m in build_cohort(small.cases, small.ledger, schema)}


def test_the_table_does_not_depend_on_order_and_follows_its_content(small, schema):
    table = to_csv(build_cohort(small.cases, small.ledger, schema))
    turned = dict(reversed(small.ledger.items()))
    assert to_csv(build_cohort(small.cases[::-1], turned, schema)) == table
    assert len(table.splitlines()) == 1 + 3 * 3
    other = small.with_origin("c0", "spleen", Origin.PREDICTED)
    assert cohort_sha256(to_csv(build_cohort(other.cases, other.ledger, schema))) != cohort_sha256(table)
