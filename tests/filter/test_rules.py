"""Every rule on hand-made components just inside and just outside its bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from voxledger.filter.apply import apply_rules
from voxledger.filter.decisions import Decision
from voxledger.filter.proposal import Proposal
from voxledger.filter.registry import read_rules
from voxledger.schema import LabelSchema

A = slice(2, 6)


@pytest.fixture
def judge(propose: Callable[..., Proposal], schema: LabelSchema) -> Callable[..., tuple[Proposal, list[Decision]]]:
    """Apply one rule to hand-made blocks."""

    def run(blocks: dict[str, Any], rule: dict[str, Any], **how: Any) -> tuple[Proposal, list[Decision]]:
        proposal = propose(blocks, **how)
        return proposal, apply_rules(proposal, read_rules([rule], schema), "case-1")

    return run


Judge = Callable[..., tuple[Proposal, list[Decision]]]


def outcomes(decisions: list[Decision]) -> list[tuple[int, str]]:
    return [(d.component, d.outcome.value) for d in decisions]


def test_largest_component(judge: Judge) -> None:
    blocks = {"liver": [(A, A, slice(0, 3), 0.9), (A, A, slice(10, 14), 0.9), (A, A, slice(20, 24), 0.9)]}
    proposal, decisions = judge(blocks, {"rule": "largest_component", "classes": ["liver"]})
    assert outcomes(decisions) == [(1, "removed"), (2, "kept"), (3, "removed")]  # of equals the first stays
    assert proposal.voxels("liver") == 64
    assert (decisions[0].measured, decisions[0].bound) == (pytest.approx(0.048), ">=0.0640")


def test_largest_component_of_nothing(judge: Judge) -> None:
    assert judge({"liver": []}, {"rule": "largest_component", "classes": ["liver", "aorta"]})[1] == []


@pytest.mark.parametrize(
    ("spacing", "ml", "kept"),
    [
        ((1, 1, 1), 0.064, True),
        ((1, 1, 1), 0.0641, False),
        ((5, 0.7, 0.7), 0.1568, True),
        ((5, 0.7, 0.7), 0.157, False),
    ],
)
def test_minimum_volume(judge: Judge, spacing: tuple[float, float, float], ml: float, kept: bool) -> None:
    rule = {"rule": "minimum_volume", "ml": ml, "classes": ["liver"]}
    proposal, decisions = judge({"liver": [(A, A, A, 0.9)]}, rule, spacing=spacing)
    assert outcomes(decisions) == [(1, "kept" if kept else "removed")]
    assert proposal.voxels("liver") == (64 if kept else 0)


def test_minimum_volume_of_a_lesion_goes_to_the_organ(judge: Judge) -> None:
    blocks = {"pancreas": [(A, A, A, 0.9)], "pdac": [(3, 3, 3, 0.9)]}
    proposal, decisions = judge(blocks, {"rule": "minimum_volume", "ml": 0.05, "classes": ["pdac"]})
    assert outcomes(decisions) == [(1, "to_organ")]
    assert proposal.label_map()[3, 3, 3] == 5
    again = {"rule": "minimum_volume", "ml": 0.05, "classes": ["pdac"], "to": "background"}
    assert judge(blocks, again)[0].label_map()[3, 3, 3] == 0


@pytest.mark.parametrize(("share", "kept"), [(0.0, True), (0.49, True), (0.5, False), (0.9, False)])
def test_inside_organ(judge: Judge, share: float, kept: bool) -> None:
    blocks = {"pancreas": [(A, A, slice(2, 6), 0.9)], "pdac": [(3, 3, slice(4, 8), 0.9), (9, 9, 9, 0.9)]}
    rule = {"rule": "inside_organ", "share": share, "classes": ["pdac"]}
    _, decisions = judge(blocks, rule)
    assert outcomes(decisions) == [(1, "kept" if kept else "removed"), (2, "removed")]
    assert [d.measured for d in decisions] == [0.5, 0.0]


def test_rules_run_in_their_order(propose: Callable[..., Proposal], schema: LabelSchema) -> None:
    blocks = {
        "pancreas": [(A, A, slice(2, 6), 0.9), (A, A, slice(20, 22), 0.9)],
        "pdac": [(3, 3, 3, 0.9), (3, 3, 20, 0.9)],
    }
    organ = {"rule": "largest_component", "classes": ["pancreas"]}
    lesion = {"rule": "inside_organ", "classes": ["pdac"]}
    after = apply_rules(propose(blocks), read_rules([organ, lesion], schema), "c")
    before = apply_rules(propose(blocks), read_rules([lesion, organ], schema), "c")
    assert [d.outcome.value for d in after if d.class_name == "pdac"] == ["kept", "removed"]
    assert [d.outcome.value for d in before if d.class_name == "pdac"] == ["kept", "kept"]
