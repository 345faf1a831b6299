"""Every rule on hand-made components just inside and just outside its bound."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from voxledger.filter.apply import apply_rules
from voxledger.filter.chain import read_rules
from voxledger.filter.decisions import Decision
from voxledger.filter.proposal import Proposal
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


@pytest.mark.parametrize(("ml", "left"), [(0.0575, [64, 48]), (0.0577, [48]), (0.0721, [])])
def test_expected_volume(judge: Judge, ml: float, left: list[int]) -> None:
    """48 voxels that are sure count for more than 64 that are not; of 1.5 mm³ each."""
    blocks = {"liver": [(A, A, slice(2, 6), 0.6), (A, A, slice(10, 13), 1.0)]}
    rule = {"rule": "expected_volume", "ml": ml, "classes": ["liver"]}
    proposal, _ = judge(blocks, rule, spacing=(1.5, 1.0, 1.0))
    assert [c.voxels for c in proposal.components("liver")] == left


@pytest.mark.parametrize(
    ("spacing", "grown_mm", "share"),
    [
        ((1.0, 1.0, 1.0), 0.0, 0.0),
        ((1.0, 1.0, 1.0), 0.9, 0.0),
        ((1.0, 1.0, 1.0), 1.0, 0.25),
        ((1.0, 1.0, 1.0), 3.0, 0.75),
        ((1.0, 1.0, 1.0), 99.0, 1.0),
        ((5.0, 0.7, 0.7), 0.7, 0.25),  # x is counted in its own spacing
        ((5.0, 0.7, 0.7), 4.9, 1.0),
    ],
)
def test_inside_an_organ_that_is_grown(
    judge: Judge, spacing: tuple[float, float, float], grown_mm: float, share: float
) -> None:
    blocks = {"pancreas": [(A, A, slice(2, 6), 0.9)], "cyst": [(3, 3, slice(6, 10), 0.9)]}
    rule = {"rule": "inside_organ", "grown_mm": grown_mm, "classes": ["cyst"]}
    _, decisions = judge(blocks, rule, spacing=spacing)
    assert [(d.measured, d.outcome.value) for d in decisions] == [(share, "kept" if share else "removed")]


@pytest.mark.parametrize(
    ("z", "grown_mm", "outcome"), [(6, 4.9, "removed"), (6, 5.0, "kept"), (7, 9.9, "removed"), (7, 10.0, "kept")]
)
def test_a_slice_away_is_far_where_slices_are_thick(judge: Judge, z: int, grown_mm: float, outcome: str) -> None:
    blocks = {"pancreas": [(A, A, A, 0.9)], "cyst": [(z, 3, 3, 0.9)]}
    rule = {"rule": "inside_organ", "grown_mm": grown_mm, "classes": ["cyst"]}
    assert outcomes(judge(blocks, rule, spacing=(5.0, 0.7, 0.7))[1]) == [(1, outcome)]


def test_nothing_lies_near_an_organ_that_is_not_there(judge: Judge) -> None:
    rule = {"rule": "inside_organ", "grown_mm": 99, "classes": ["cyst"]}
    assert outcomes(judge({"pancreas": [], "cyst": [(3, 3, 3, 0.9)]}, rule)[1]) == [(1, "removed")]


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
    assert [(d.rule, d.outcome.value) for d in after if d.class_name == "pdac"] == [
        ("largest_component", "removed"),
        ("inside_organ", "kept"),
    ]
    assert [(d.rule, d.outcome.value) for d in before if d.class_name == "pdac"] == [
        ("inside_organ", "kept"),
        ("inside_organ", "kept"),
        ("largest_component", "removed"),
    ]


ORGAN = [(slice(1, 11), slice(2, 12), slice(2, 12), 0.9)]
"""1000 voxels of pancreas."""


@pytest.mark.parametrize(("slices", "kept"), [(4, True), (5, False)])
def test_minimum_slices(judge: Judge, slices: int, kept: bool) -> None:
    blocks = {"pancreas": ORGAN, "pdac": [(A, slice(2, 4), slice(2, 4), 0.9)]}
    _, decisions = judge(blocks, {"rule": "minimum_slices", "slices": slices, "classes": ["pdac"]})
    assert outcomes(decisions) == [(1, "kept" if kept else "to_organ")]
    assert (decisions[0].measured, decisions[0].bound) == (4, f">={slices}")


RATIO = {"rule": "volume_ratio", "classes": ["pdac"]}
HALVES = {"pancreas": ORGAN, "pdac": [(A, A, slice(2, 6), 0.9), (A, A, slice(8, 12), 0.9)]}
"""Two lesions of 64 voxels in an organ of 1000."""


@pytest.mark.parametrize(
    ("parameters", "measured"),
    [
        ({}, 100 * 64 / 872),
        ({"scope": "patient"}, 100 * 128 / 872),
        ({"denominator": "organ"}, 6.4),
        ({"denominator": "organ", "scope": "patient"}, 12.8),
    ],
)
def test_volume_ratio(judge: Judge, parameters: dict[str, Any], measured: float) -> None:
    for percent, outcome in ((measured, "kept"), (measured - 1e-6, "to_organ")):
        _, decisions = judge(HALVES, {**RATIO, **parameters, "percent": {"pdac": percent}})
        assert outcomes(decisions) == [(1, outcome), (2, outcome)]
        assert decisions[0].measured == pytest.approx(measured)


def test_volume_ratio_published_and_without_organ(judge: Judge) -> None:
    lesion = {"cyst": [(A, A, A, 0.9)], "pancreas": []}
    assert outcomes(judge(lesion, {**RATIO, "classes": ["cyst"]})[1]) == [(1, "to_organ")]  # no organ: infinite
    decisions = judge({**lesion, "pancreas": ORGAN}, {**RATIO, "classes": ["cyst"]})[1]
    assert (decisions[0].bound, decisions[0].outcome.value) == ("<=83%", "kept")


def test_volume_ratio_counts_other_lesions_and_those_beyond_the_organ(judge: Judge) -> None:
    blocks = {"pancreas": ORGAN, "pdac": [(A, A, slice(2, 6), 0.9)], "cyst": [(A, A, slice(10, 14), 0.9)]}
    decisions = judge(blocks, {**RATIO, "percent": {"pdac": 50}})[1]
    assert decisions[0].measured == pytest.approx(100 * 64 / (1000 - 64 - 32))
    decisions = judge(blocks, {**RATIO, "percent": {"pdac": 50}, "denominator": "organ"})[1]
    assert decisions[0].measured == pytest.approx(100 * 64 / 1032)


@pytest.mark.parametrize(
    ("duct", "tolerance", "measured", "kept"),
    [
        (5, 0.0, 0.0, False),  # overlaps
        (6, 0.0, 1.5, True),  # the next voxel
        (6, 1.5, 1.5, False),
        (7, 1.5, 3.0, True),
    ],
)
def test_touching(judge: Judge, duct: int, tolerance: float, measured: float, kept: bool) -> None:
    blocks = {"pancreas": ORGAN, "cyst": [(A, A, A, 0.9)], "pancreatic_duct": [(A, A, slice(duct, duct + 3), 0.8)]}
    rule = {"rule": "touching", "classes": ["cyst"], "tolerance_mm": tolerance}
    _, decisions = judge(blocks, rule, spacing=(3.0, 1.0, 1.5))
    assert decisions[0].measured == pytest.approx(measured)
    assert outcomes(decisions) == [(1, "kept" if kept else "to_organ")]


def test_touching_nothing(judge: Judge) -> None:
    decisions = judge({"cyst": [(A, A, A, 0.9)]}, {"rule": "touching", "classes": ["cyst"]})[1]
    assert (decisions[0].measured, decisions[0].outcome.value) == (float("inf"), "kept")


@pytest.mark.parametrize(("maximum", "kept"), [(5.0, True), (4.99, False)])
def test_distance(judge: Judge, maximum: float, kept: bool) -> None:
    # 3 voxels of 1 mm along y and 2 of 2 mm along x
    blocks = {"liver": [(A, A, A, 0.9)], "aorta": [(3, 8, 7, 0.9)]}
    rule = {"rule": "distance", "classes": ["aorta"], "structures": ["liver"], "maximum_mm": maximum}
    _, decisions = judge(blocks, rule, spacing=(5.0, 1.0, 2.0))
    assert decisions[0].measured == pytest.approx(5.0)
    assert outcomes(decisions) == [(1, "kept" if kept else "removed")]


def test_distance_to_an_absent_organ(judge: Judge) -> None:
    rule = {"rule": "distance", "classes": ["aorta"], "structures": ["liver"], "maximum_mm": 500}
    assert outcomes(judge({"aorta": [(A, A, A, 0.9)], "liver": []}, rule)[1]) == [(1, "removed")]


@pytest.mark.parametrize(
    ("hu", "outcome"), [(-206, "kept"), (-207, "to_organ"), (185, "kept"), (186, "to_organ"), (-3000, "to_organ")]
)
def test_mean_hu_published(judge: Judge, hu: int, outcome: str) -> None:
    blocks = {"pancreas": ORGAN, "pdac": [(A, A, A, 0.9)]}
    image = np.full((12, 24, 30), hu, np.int16)
    _, decisions = judge(blocks, {"rule": "mean_hu", "classes": ["pdac"]}, image=image)
    assert (decisions[0].measured, decisions[0].outcome.value) == (max(hu, -1000), outcome)
    assert decisions[0].bound == "-206..185HU"


def test_mean_hu_is_clipped_before_it_is_averaged(judge: Judge) -> None:
    image = np.zeros((12, 24, 30), np.int16)
    image[3, 3, 3] = 30000  # metal in one of the 8 voxels of the core
    blocks = {"pancreas": ORGAN, "pdac": [(A, A, A, 0.9)]}
    _, decisions = judge(blocks, {"rule": "mean_hu", "classes": ["pdac"]}, image=image)
    assert decisions[0].measured == pytest.approx(1000 / 8)
    assert decisions[0].outcome.value == "kept"


@pytest.mark.parametrize(
    ("lesion", "measured", "outcome"),
    [
        ([(A, A, A)], 20, "kept"),  # its border is half fat, and its core is not
        ([(slice(2, 4), A, A)], -50, "to_organ"),  # without a core all of it counts: 4 of 32 voxels are no fat
        ([(3, 3, 3)], 20, "kept"),  # a single voxel
        ([(2, 2, 2)], -60, "to_organ"),
    ],
)
def test_mean_hu_of_the_core(judge: Judge, lesion: list[Any], measured: float, outcome: str) -> None:
    image = np.full((12, 24, 30), -60, np.int16)
    image[(slice(3, 5),) * 3] = 20
    blocks = {"pancreas": ORGAN, "cyst": [(*block, 0.9) for block in lesion]}
    _, decisions = judge(blocks, {"rule": "mean_hu", "classes": ["cyst"]}, image=image)
    assert [(d.measured, d.outcome.value) for d in decisions] == [(pytest.approx(measured), outcome)]


def test_mean_hu_means_nothing_in_mr(judge: Judge) -> None:
    image = np.full((12, 24, 30), 900, np.int16)
    rule = {"rule": "mean_hu", "classes": ["liver"], "ranges": {"liver": [0, 100]}}
    assert outcomes(judge({"liver": [(A, A, A, 0.9)]}, rule, image=image)[1]) == [(1, "removed")]
    decisions = judge({"liver": [(A, A, A, 0.9)]}, rule, image=image, is_ct=False)[1]
    assert (decisions[0].outcome.value, decisions[0].bound) == ("kept", "not CT")


@pytest.mark.parametrize(("maximum", "outcome", "voxels"), [(0.008, "filled", 343), (0.0079, "kept", 335)])
def test_fill_holes(judge: Judge, maximum: float, outcome: str, voxels: int) -> None:
    solid, hole = (slice(2, 9),) * 3, (slice(4, 6),) * 3
    blocks = {"liver": [(*solid, 0.9), (*hole, 0.1)]}
    proposal, decisions = judge(blocks, {"rule": "fill_holes", "maximum_ml": maximum, "classes": ["liver"]})
    assert (outcomes(decisions), decisions[0].voxels) == ([(1, outcome)], 8)
    assert proposal.voxels("liver") == voxels
    assert len(proposal.components("liver")) == 1


KIDNEYS = {"kidney_left": [(A, A, slice(22, 26), 0.9), (A, A, slice(3, 5), 0.8)], "kidney_right": [(A, A, A, 0.9)]}
PAIR = {"rule": "paired_sides", "classes": ["kidney_left", "kidney_right"]}


def test_paired_sides(judge: Judge) -> None:
    proposal, decisions = judge(KIDNEYS, PAIR)
    assert [(d.class_name, d.component, d.outcome.value) for d in decisions] == [
        ("kidney_left", 1, "to_partner"),
        ("kidney_left", 2, "kept"),
        ("kidney_right", 1, "kept"),
    ]
    assert [d.measured for d in decisions] == [3.5 - 14.5, 23.5 - 14.5, 3.5 - 14.5]
    assert (proposal.voxels("kidney_left"), proposal.voxels("kidney_right")) == (64, 64)
    flipped = (-1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    turned = judge(KIDNEYS, PAIR, direction=flipped)[0]  # the patient's left is now at low x
    boxes = [turned.components(name)[0].box[2] for name in ("kidney_left", "kidney_right")]
    assert boxes == [slice(2, 6), slice(22, 26)]


@pytest.mark.parametrize(("aorta", "margin", "moved"), [(3, 0.0, False), (4, 0.0, True), (4, 0.5, False), (9, 5, True)])
def test_paired_sides_midline(judge: Judge, aorta: int, margin: float, moved: bool) -> None:
    blocks = {"kidney_left": [(A, A, slice(3, 5), 0.9)], "aorta": [(slice(0, 12), 9, aorta, 0.9)]}
    rule = {**PAIR, "midline": ["aorta"], "margin_mm": margin}
    assert outcomes(judge(blocks, rule)[1])[0] == (1, "to_partner" if moved else "kept")


@pytest.mark.parametrize(
    ("x", "spacing", "measured"),
    [
        (slice(2, 6), (1.0, 1.0, 1.0), 1.0),  # a cube
        (slice(2, 22), (1.0, 1.0, 1.0), 5.0),  # a bar of 4 × 4 × 20
        (slice(2, 6), (1.0, 1.0, 5.0), 5.0),  # the same in mm
        (slice(2, 3), (1.0, 1.0, 1.0), 1.0),  # a plate
    ],
)
def test_elongation(judge: Judge, x: slice, spacing: tuple[float, float, float], measured: float) -> None:
    for maximum, outcome in ((measured + 1e-6, "kept"), (max(measured - 1e-3, 1.0), "removed")):
        if measured == 1.0:
            outcome = "kept"
        rule = {"rule": "elongation", "classes": ["liver"], "maximum": maximum + (1e-9 if measured == 1.0 else 0)}
        _, decisions = judge({"liver": [(A, A, x, 0.9)]}, rule, spacing=spacing)
        assert decisions[0].measured == pytest.approx(measured)
        assert outcomes(decisions) == [(1, outcome)]


def test_elongation_of_a_single_voxel(judge: Judge) -> None:
    rule = {"rule": "elongation", "classes": ["liver"], "maximum": 4.9}
    decisions = judge({"liver": [(3, 3, 3, 0.9)]}, rule, spacing=(5.0, 1.0, 1.0))[1]
    assert (decisions[0].measured, decisions[0].outcome.value) == (pytest.approx(5.0), "removed")


@pytest.mark.parametrize(
    "rule",
    [
        {"rule": "inside_organ", "classes": ["pdac"]},
        {"rule": "volume_ratio", "classes": ["pdac"]},
        {"rule": "distance", "classes": ["pdac"], "structures": ["pancreas", "liver"], "maximum_mm": 5},
    ],
    ids=lambda rule: rule["rule"],
)
@pytest.mark.parametrize("knows", [True, False], ids=["organ looked for", "organ of which no model knows"])
def test_a_lesion_is_not_measured_against_what_nobody_looked_for(propose, rule, knows) -> None:
    """An empty organ takes its lesions along; an organ that no model knows says nothing about them."""
    lesion = {"pdac": [(slice(2, 4), slice(2, 4), slice(2, 4), 0.9)]}
    proposal = propose(lesion | ({"pancreas": []} if knows else {}))
    decisions = apply_rules(proposal, read_rules([rule], proposal.schema), "case")
    assert [d.outcome.value != "kept" for d in decisions] == ([True] if knows else [])
    assert (proposal.region("pdac") is None) is knows
