"""The case table: formats, patients, channels."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from voxledger.errors import CaseRefused, VoxledgerError
from voxledger.records.cases import (
    TABLE,
    Case,
    Channel,
    Split,
    parse_cases,
    read_cases,
    require_one_channel,
    require_patients_apart,
    write_cases,
)

CASE = Case("a", "data/images/a.nii.gz", "x", "y", "here", "CC0-1.0", Split.POOL, "CT", "data/weak/a.json")


def test_read_what_was_written(tmp_path: Path) -> None:
    cases = [CASE, replace(CASE, case_id="b", patient="p")]
    write_cases(tmp_path / "cases.csv", reversed(cases))
    assert read_cases(tmp_path / "cases.csv") == cases
    assert [c.patient for c in cases] == ["a", "p"]


def test_in_a_table_of_format_1_every_case_is_a_patient() -> None:
    text = ",".join(TABLE.headers[0]) + "\na,data/images/a.nii.gz,x,y,here,CC0-1.0,pool,CT,data/weak/a.json\n"
    assert parse_cases(text, "data/cases.csv at round-00") == [CASE]


@pytest.mark.parametrize("split", [s for s in Split if s is not Split.POOL])
def test_a_patient_on_two_sides_is_refused_on_record(split: Split) -> None:
    other = replace(CASE, case_id="b", split=split, patient="")
    require_patients_apart([CASE, other, replace(CASE, case_id="c")])
    with pytest.raises(VoxledgerError, match=rf"patient a: a \(pool\), b \({split.value}\)"):
        require_patients_apart([CASE, replace(other, patient="a")])


def test_several_channels_are_kept_and_refused_as_long_as_no_backend_takes_them(tmp_path: Path) -> None:
    two = replace(CASE, image="data/images/a_0000.nii.gz;data/images/a_0001.nii.gz", sha256="x;z")
    write_cases(tmp_path / "cases.csv", [two])
    assert read_cases(tmp_path / "cases.csv") == [two]
    assert two.channels == (Channel("data/images/a_0000.nii.gz", "x"), Channel("data/images/a_0001.nii.gz", "z"))
    assert CASE.channels == (Channel("data/images/a.nii.gz", "x"),)
    require_one_channel([CASE])
    with pytest.raises(CaseRefused, match="a: 1 cases have several channels"):
        require_one_channel([two])


def test_a_channel_without_a_hash_is_damage(tmp_path: Path) -> None:
    write_cases(tmp_path / "cases.csv", [replace(CASE, image="a.nii.gz;b.nii.gz")])
    with pytest.raises(VoxledgerError, match=r"cases\.csv, line 2"):
        read_cases(tmp_path / "cases.csv")
