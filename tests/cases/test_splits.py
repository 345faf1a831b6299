"""Splits by patient."""

from __future__ import annotations

from collections import Counter

import pytest

from voxledger.cases.splits import assign_splits
from voxledger.errors import CaseRefused
from voxledger.params import CasesParams
from voxledger.records.cases import Case, Split

PARAMS = CasesParams(calibration=0.25, test=0.25)
VISITS = {f"p{n}-{visit}": f"p{n}" for n in range(8) for visit in range(1 + n % 3)}
"""Patients with one, two and three cases."""


def registered(case_id: str, patient: str, split: Split) -> Case:
    return Case(case_id, f"{case_id}.nii.gz", case_id, "", "", "", split, "CT", "", patient)


@pytest.mark.parametrize("labelled", [list(VISITS), [c for c in VISITS if c.endswith("-0")]])
def test_a_patient_is_never_on_both_sides(labelled: list[str]) -> None:
    """Also where only one of the visits has a label."""
    found = assign_splits(VISITS, labelled, None, PARAMS)
    of_patient = {(VISITS[c], s) for c, s in found.items()}
    assert len(of_patient) == 8
    assert Counter(s.value for _, s in of_patient) == {"pool": 4, "calibration": 2, "test": 2}


def test_neither_order_nor_other_cases_of_the_patient_matter() -> None:
    first = assign_splits(VISITS, VISITS, None, PARAMS)
    assert assign_splits(dict(reversed(VISITS.items())), VISITS, None, PARAMS) == first
    fewer = {c: p for c, p in VISITS.items() if c.endswith("-0")}
    assert assign_splits(fewer, fewer, None, PARAMS) == {c: first[c] for c in fewer}


@pytest.mark.parametrize("split", list(Split))
def test_a_new_case_of_a_registered_patient_goes_where_the_patient_is(split: Split) -> None:
    found = assign_splits({"new": "p", "other": "q"}, ["new"], None, PARAMS, [registered("old", "p", split)])
    assert found == {"new": split, "other": Split.POOL}
    assert assign_splits({"new": "p"}, [], split, PARAMS, [registered("old", "p", split)]) == {"new": split}


def test_registered_patients_do_not_change_the_share_of_the_new_ones() -> None:
    old = [registered(f"old{n}", f"p{n}", Split.POOL) for n in range(4)]
    found = assign_splits({f"new{n}": f"p{n}" for n in range(8)}, [f"new{n}" for n in range(8)], None, PARAMS, old)
    assert Counter(s.value for s in found.values()) == {"pool": 6, "calibration": 1, "test": 1}


def test_a_split_that_tears_a_patient_is_refused() -> None:
    old = [registered("old", "p", Split.POOL)]
    with pytest.raises(CaseRefused, match="case new of patient p, of whom cases are in pool"):
        assign_splits({"new": "p", "other": "q"}, [], Split.EXTERNAL, PARAMS, old)


def test_without_patients_the_draw_is_that_of_cases() -> None:
    """As it always was: fixed here, since a split must never change."""
    cases = {f"case{n}": f"case{n}" for n in range(8)}
    found = assign_splits(cases, cases, None, PARAMS)
    assert {s.value: [c for c in cases if found[c] is s] for s in (Split.TEST, Split.CALIBRATION)} == {
        "test": ["case0", "case6"],
        "calibration": ["case2", "case3"],
    }
