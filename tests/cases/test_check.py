"""What a round starts from is checked before anything is computed."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from voxledger.cases.check import check_inputs
from voxledger.errors import VoxledgerError
from voxledger.records.cases import Case, Split
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(name="one", classes=(LabelClass(id=1, name="organ"),))
CASE = Case("a", "data/images/a.nii.gz", "x", "", "here", "", Split.POOL, "CT", "")


@pytest.mark.parametrize(
    ("cases", "problem"),
    [
        ([], "no case is registered"),
        ([CASE, replace(CASE, case_id="b", split=Split.TEST)], r"patient a: a \(pool\), b \(test\)"),
        ([replace(CASE, image="a_0000.nii.gz;a_0001.nii.gz", sha256="x;y")], "a: 1 cases have several channels"),
        ([CASE], r"the first is data/images/a\.nii\.gz"),
    ],
)
def test_what_no_round_can_start_from_is_named(folder: Path, cases: list[Case], problem: str) -> None:
    with pytest.raises(VoxledgerError, match=problem) as refused:
        check_inputs(cases, SCHEMA)
    assert refused.value.remedy
