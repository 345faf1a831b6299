"""The table of patients."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxledger.cases.patients import read_patients
from voxledger.errors import CaseRefused, VoxledgerError
from voxledger.records.cases import Case, Split

HEADER = "case_id,patient\n"


def test_the_patient_of_every_new_case(tmp_path: Path) -> None:
    path = tmp_path / "patients.csv"
    path.write_text(f"\ufeff{HEADER}a-1,a\na-2, a\nb,b\nelsewhere,c\n", "utf-8")
    assert read_patients(path, ["a-1", "a-2", "b"]) == {"a-1": "a", "a-2": "a", "b": "b"}


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ("a,p\n", "no row of case b"),
        ("a,p\na,q\nb,q\n", "a second row of case a"),
        ("a,\nb,q\n", "the patient of case a is no pseudonym"),
        ("a,Jane Doe\nb,q\n", "the patient of case a is no pseudonym"),
        ("a,p\nb,P\n", "patients p and P differ in capitals alone"),
        ("a,old\nb,q\n", "patients Old and old differ in capitals alone"),
    ],
)
def test_what_does_not_say_who_is_who_is_refused(tmp_path: Path, rows: str, problem: str) -> None:
    path = tmp_path / "patients.csv"
    path.write_text(HEADER + rows, "utf-8")
    with pytest.raises(CaseRefused, match=problem) as refused:
        read_patients(path, ["a", "b"], [Case("x", "", "", "", "", "", Split.POOL, "CT", "", "Old")])
    assert "Jane" not in str(refused.value)


@pytest.mark.parametrize("text", ["", "case,person\na,p\n", HEADER + "a,p,1\n", HEADER + "a,p"])
def test_another_table_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "patients.csv"
    path.write_text(text, "utf-8")
    with pytest.raises(VoxledgerError, match=r"patients\.csv"):
        read_patients(path, ["a"])
