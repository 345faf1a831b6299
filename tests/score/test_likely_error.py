"""The likely error of a case."""

from __future__ import annotations

import pytest

from voxledger.records.errors import Error
from voxledger.score.likely_error import experience, likely_error
from voxledger.score.table import CaseScore, ClassScore


def error(name, criterion, kind, ml):
    return Error("case", name, "here", kind, criterion, 1, float(ml), 0, False, ())


def case(**classes):
    return CaseScore(
        "case", tuple(ClassScore("case", n, 2, sum(v), *v, 1.0, 0.0, 1.0, False) for n, v in classes.items())
    )


BEFORE = [
    error("liver", "inconsistent", "boundary", 3),
    error("liver", "inconsistent", "false_positive", 1),
    error("liver", "overlapping", "wrong_class", 2),
    error("kidney", "", "left_right", 5),
]


def test_experience_adds_up_by_class_and_criterion():
    assert experience([]) == {}
    assert experience([*BEFORE, BEFORE[0]]) == {
        ("liver", "inconsistent"): {"boundary": 6.0, "false_positive": 1.0},
        ("liver", "overlapping"): {"wrong_class": 2.0},
        ("liver", ""): {"boundary": 6.0, "false_positive": 1.0, "wrong_class": 2.0},
        ("kidney", ""): {"left_right": 5.0},
    }


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        ({"liver": (4, 0, 0)}, ("liver", "boundary")),
        ({"liver": (2, 0, 3)}, ("liver", "wrong_class")),
        # three quarters of 4 ml at the boundary against 2 ml of another class
        ({"liver": (4, 0, 2)}, ("liver", "boundary")),
        # never seen under this criterion: what the class is wrong in otherwise
        ({"liver": (0, 9, 0)}, ("liver", "boundary")),
        ({"kidney": (0, 2, 0), "liver": (1, 0, 0)}, ("kidney", "left_right")),
        ({"spleen": (0, 2, 1)}, ("spleen", "uncertain")),
        ({"spleen": (0, 0, 0)}, ("spleen", "inconsistent")),
    ],
)
def test_likely_error(classes, expected):
    assert likely_error(case(**classes), experience(BEFORE)) == expected
    assert likely_error(case(**dict(reversed(classes.items()))), experience(BEFORE[::-1])) == expected


@pytest.mark.parametrize(
    ("seen", "expected"),
    [
        # All that was seen of the class is of a few voxels of 0.3 mm: their volume is written as 0.0000 ml.
        ([error("liver", "uncertain", "boundary", "0.0000")], "boundary"),
        ([error("liver", "", "boundary", "0.0000")], "boundary"),
        ([error("liver", "uncertain", k, "0.0000") for k in ("split", "merged", "merged")], "merged"),
        ([error("liver", "uncertain", "split", "0.0000"), error("liver", "uncertain", "merged", "0.0002")], "merged"),
    ],
)
def test_errors_that_round_to_no_volume_are_no_division_by_zero(seen, expected):
    assert likely_error(case(liver=(0, 2, 0)), experience(seen)) == ("liver", expected)
