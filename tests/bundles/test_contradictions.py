from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from voxledger.bundles.check import Found, find_all
from voxledger.bundles.comparison import Comparison
from voxledger.bundles.contradictions import Contradiction
from voxledger.bundles.contradictions import contradictions as of_comparison
from voxledger.records.decisions import Decision, Row
from voxledger.records.error_kind import ErrorKind
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(
    name="abdomen",
    classes=(
        LabelClass(id=1, name="liver"),
        LabelClass(id=2, name="pancreas"),
        LabelClass(id=3, name="lesion", inside="pancreas"),
        LabelClass(id=5, name="kidney_left"),
        LabelClass(id=6, name="kidney_right"),
    ),
)


def contradictions(
    schema: LabelSchema, proposal: np.ndarray, returned: np.ndarray, rows: dict[str, Row], asked: list[str]
) -> list[Contradiction]:
    """What does not fit, and what looks renumbered or turned."""
    comparison = Comparison(schema, proposal, returned, rows)
    found = of_comparison(comparison, asked)
    return found + [
        Contradiction(f.suspicion.class_name, f.suspicion.problem, f.suspicion.remedy) for f in mixed_up(comparison)
    ]


def mixed_up(comparison: Comparison) -> list[Found]:
    return [f for f in find_all(comparison) if f.kind in ("renumbered", "turned")]


@pytest.fixture
def proposal() -> np.ndarray:
    labels = np.zeros((10, 16, 16), np.uint8)
    labels[1:7, 1:8, 1:7] = 1
    labels[2:8, 10:14, 4:14] = 2
    labels[3:5, 11:13, 5:8] = 3
    labels[4:9, 2:6, 12:15] = 5
    labels[3:8, 3:7, 8:11] = 6
    return labels


Edit = Callable[[np.ndarray], object]


def _set(*where: object) -> Callable[[int], Edit]:
    def to(value: int) -> Edit:
        return lambda labels: labels.__setitem__(where, value)

    return to


LIVER, PANCREAS, LESION, NOTHING = (1, 1, 1), (7, 13, 13), (3, 11, 5), (0, 0, 0)


@pytest.mark.parametrize(
    ("edit", "decisions", "expected"),
    [
        (None, {"liver": "accept"}, {}),
        (None, {"liver": "reject"}, {}),
        (None, {"liver": ""}, {}),
        (None, {"liver": "revise"}, {"liver": "as it was sent"}),
        (_set(*NOTHING)(1), {"liver": "revise"}, {}),
        (_set(*NOTHING)(1), {"liver": "accept"}, {"liver": "decision is accept, but 1 voxels"}),
        (_set(*NOTHING)(1), {"liver": "reject"}, {"liver": "decision is reject, but 1 voxels"}),
        (_set(*NOTHING)(1), {"liver": ""}, {"liver": "decision is blank"}),
        (_set(*NOTHING)(5), {"liver": "accept"}, {"kidney_left": "was not asked"}),
        (_set(*NOTHING)(5), {"liver": "revise"}, {"liver": "as it was sent", "kidney_left": "was not asked"}),
        # a revised class takes a voxel of another, or gives one up
        (_set(*LIVER)(2), {"pancreas": "revise"}, {}),
        (_set(*LIVER)(2), {"liver": "revise"}, {}),
        (_set(*LIVER)(2), {"lesion": "revise"}, {"liver": "not asked", "pancreas": "not asked", "lesion": "as it was"}),
        # inside the pancreas, the lesion changes alone
        (_set(*PANCREAS)(3), {"lesion": "revise", "pancreas": "accept"}, {}),
        (_set(*PANCREAS)(3), {"pancreas": "revise"}, {"pancreas": "as it was", "lesion": "not asked"}),
        (_set(*LESION)(2), {"lesion": "revise"}, {}),
        (_set(*LESION)(2), {"lesion": "accept"}, {"lesion": "decision is accept"}),
        # a lesion that is erased leaves a hole in its organ; one that grows out takes the organ with it
        (_set(*LESION)(0), {"lesion": "revise", "pancreas": "accept"}, {}),
        (_set(*NOTHING)(3), {"lesion": "revise"}, {}),
        (_set(*NOTHING)(3), {"pancreas": "revise"}, {"lesion": "not asked"}),
        # an organ that shrinks cuts its lesion
        (_set(*LESION)(0), {"pancreas": "revise"}, {}),
        # a rejected class may be erased, whole, and its lesion with it only on a decision
        (lambda a: a.__setitem__(a == 1, 0), {"liver": "reject"}, {}),
        (lambda a: a.__setitem__(a == 3, 0), {"lesion": "reject"}, {}),
        (lambda a: a.__setitem__(a == 3, 2), {"lesion": "reject"}, {}),
        (lambda a: a.__setitem__(a == 3, 1), {"lesion": "reject"}, {"liver": "not asked"}),
        (lambda a: a.__setitem__(np.isin(a, (2, 3)), 0), {"pancreas": "reject"}, {"lesion": "not asked"}),
        (lambda a: a.__setitem__(np.isin(a, (2, 3)), 0), {"pancreas": "revise"}, {}),
    ],
)
def test_what_changed_and_what_was_said(
    proposal: np.ndarray, edit: Edit | None, decisions: dict[str, str], expected: dict[str, str]
) -> None:
    returned = proposal.copy()
    if edit is not None:
        edit(returned)
    rows = {n: Row("c", n, Decision(d) if d else None) for n, d in decisions.items()}
    found = contradictions(SCHEMA, proposal, returned, rows, list(decisions))
    named = {c.class_name: c.problem for c in found if "look renumbered" not in c.problem}
    assert sorted(named) == sorted(expected)
    for name, part in expected.items():
        assert part in named[name]
    assert all(c.remedy for c in found)


def _all(error: str = "none") -> dict[str, Row]:
    return {n: Row("c", n, Decision.REVISE, 1.0, ErrorKind(error)) for n in SCHEMA.names}


TURNS: list[Callable[[np.ndarray], np.ndarray]] = [
    lambda a: a[::-1],
    lambda a: a[:, ::-1],
    lambda a: a[:, :, ::-1],
    lambda a: a[::-1, ::-1, ::-1],
    lambda a: a.transpose(0, 2, 1),
    lambda a: a.transpose(0, 2, 1)[:, ::-1],
]


@pytest.mark.parametrize("turn", TURNS)
def test_a_mirrored_label_is_noticed_even_if_everything_was_revised(
    proposal: np.ndarray, turn: Callable[[np.ndarray], np.ndarray]
) -> None:
    returned = turn(proposal).copy()
    returned[1, 1, 1] = 1
    found = [c for c in contradictions(SCHEMA, proposal, returned, _all(), SCHEMA.names) if not c.class_name]
    assert len(found) == 1
    assert "turned back" in found[0].problem
    assert not [
        c for c in contradictions(SCHEMA, proposal, returned, _all("left_right"), SCHEMA.names) if not c.class_name
    ]


@pytest.mark.parametrize("renumbered", [{5: 6, 6: 5}, {1: 2, 2: 1}, {1: 1, 5: 2, 2: 3, 3: 5}, {6: 1, 1: 6}])
def test_swapped_and_renumbered_classes_are_noticed(proposal: np.ndarray, renumbered: dict[int, int]) -> None:
    returned = proposal.copy()
    for old, new in renumbered.items():
        returned[proposal == old] = new
    found = [c for c in contradictions(SCHEMA, proposal, returned, _all(), SCHEMA.names) if "renumbered" in c.problem]
    assert found
    assert not [
        c
        for c in contradictions(SCHEMA, proposal, returned, _all("wrong_class"), SCHEMA.names)
        if "renumbered" in c.problem
    ]


def test_honest_work_is_not_taken_for_mirrored(proposal: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    for _ in range(20):
        returned = proposal.copy()
        z, y, x = (int(rng.integers(0, n - 4)) for n in proposal.shape)
        returned[z : z + 4, y : y + 4, x : x + 4] = rng.choice([0, 1, 2, 3, 5, 6])
        found = contradictions(SCHEMA, proposal, returned, _all(), SCHEMA.names)
        assert all("as it was sent" in c.problem for c in found)


def test_symmetric_and_empty_proposals() -> None:
    ball = np.zeros((5, 5, 5), np.uint8)
    ball[1:4, 1:4, 1:4] = 1
    grown = ball.copy()
    grown[2, 2, 4] = 1
    liver = {"liver": Row("c", "liver", Decision.REVISE)}
    assert contradictions(SCHEMA, ball, grown, liver, ["liver"]) == []
    assert contradictions(SCHEMA, np.zeros_like(ball), ball, liver, ["liver"]) == []
    assert contradictions(SCHEMA, ball, np.zeros_like(ball), liver, ["liver"]) == []


def test_the_error_type_of_an_organ_speaks_for_the_lesion_in_it() -> None:
    """A pancreas that is all lesion and should be liver: revised as wrong_class, nothing is mixed up unsaid."""
    sent = np.zeros((5, 5, 5), np.uint8)
    sent[1:3, 1:3, 1:3] = 3
    returned = np.where(sent == 3, 1, sent).astype(np.uint8)
    row = Row("c", "pancreas", Decision.REVISE, 1.0, ErrorKind.WRONG_CLASS)
    assert contradictions(SCHEMA, sent, returned, {"pancreas": row}, ["pancreas"]) == []
    row = Row("c", "pancreas", Decision.REVISE, 1.0, ErrorKind.BOUNDARY)
    found = contradictions(SCHEMA, sent, returned, {"pancreas": row}, ["pancreas"])
    assert [c.class_name for c in found] == ["liver"]
