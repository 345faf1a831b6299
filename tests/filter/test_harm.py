"""What rules take of true lesions, and the parameters that would have kept it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from ruamel.yaml import YAML

from voxledger.filter.apply import decide
from voxledger.filter.chain import read_rules
from voxledger.filter.harm import advise, taken_by
from voxledger.filter.proposal import Proposal
from voxledger.imaging.detection import Advice
from voxledger.schema import LabelSchema

A = slice(2, 6)
GLAND = {"pancreas": [(A, slice(2, 14), slice(2, 14), 0.9)], "pancreatic_duct": [(3, 3, A, 0.9)], "liver": []}
LONE, INSIDE = (9, 20, slice(20, 24)), (4, 5, slice(5, 9))


def advice_of(
    propose: Callable[..., Proposal], schema: LabelSchema, entry: dict[str, Any], lesions: list[Any], truth: list[Any]
) -> list[Advice]:
    proposal = propose({**GLAND, "cyst": [(*block, 0.9) for block in lesions]}, image=np.full((12, 24, 30), -50))
    labels = np.zeros((12, 24, 30), np.uint8)
    for block in truth:
        labels[block] = schema["cyst"].id
    (rule,) = read_rules([entry], schema)
    decided = list(decide(proposal, [rule], "case-1"))
    return advise(taken_by(rule, 1, proposal, labels, ["cyst"], "calibration", decided), [rule])


@pytest.mark.parametrize(
    ("entry", "keeps"),
    [
        ({"rule": "minimum_volume", "ml": 1}, "ml: 0.004"),
        ({"rule": "expected_volume", "ml": 1}, "ml: 0.0035"),
        ({"rule": "minimum_slices", "slices": 3}, "slices: 1"),
        ({"rule": "inside_organ"}, "grown_mm: 10.7"),
        ({"rule": "inside_organ", "share": 0.5}, "share: 0, grown_mm: 10.7"),
        ({"rule": "volume_ratio", "percent": {"cyst": 0.1}}, "percent: {cyst: 0.7}"),
        ({"rule": "touching", "tolerance_mm": 30}, "tolerance_mm: 2.2"),
        ({"rule": "mean_hu"}, "ranges: {cyst: [-50, 222]}"),
        ({"rule": "distance", "structures": ["pancreas"], "maximum_mm": 0}, "maximum_mm: 10.7"),
        ({"rule": "elongation", "maximum": 2}, "maximum: 4"),
        ({"rule": "largest_component"}, ""),
        ({"rule": "distance", "structures": ["liver"], "maximum_mm": 0}, ""),  # it is not there
    ],
)
def test_the_advice_keeps_what_was_taken(
    propose: Callable[..., Proposal], schema: LabelSchema, entry: dict[str, Any], keeps: str
) -> None:
    entry = {**entry, "classes": ["cyst"]}
    (advice,) = advice_of(propose, schema, entry, [INSIDE, LONE], [INSIDE, LONE])
    assert advice.keeps == keeps
    if keeps:
        assert (
            advice_of(propose, schema, entry | YAML(typ="safe").load(f"{{{keeps}}}"), [INSIDE, LONE], [INSIDE, LONE])
            == []
        )


KEPT: dict[str, Callable[[Any, float], bool]] = {
    "distance": lambda rule, mm: mm <= rule.maximum_mm,
    "expected_volume": lambda rule, ml: ml >= rule.ml,
    "elongation": lambda rule, ratio: ratio <= rule.maximum,
    "inside_organ": lambda rule, mm: mm <= rule.grown_mm,
    "mean_hu": lambda rule, hu: rule.bound("cyst")[0] <= hu <= rule.bound("cyst")[1],
    "minimum_volume": lambda rule, ml: ml >= rule.ml,
    "volume_ratio": lambda rule, percent: percent <= rule.bound("cyst"),
}


@pytest.mark.parametrize(
    ("entry", "needed"),
    [
        ({"rule": "distance", "structures": ["liver"], "maximum_mm": 1}, 3 * 0.8),
        ({"rule": "inside_organ"}, 3 * 0.8),
        ({"rule": "elongation", "maximum": 2}, 3 * 0.8),
        ({"rule": "mean_hu"}, -33.0000001),
        ({"rule": "mean_hu"}, 222.0000001),
        ({"rule": "minimum_volume", "ml": 1}, 0.4 * 0.4 * 0.5 / 1000),
        ({"rule": "minimum_volume", "ml": 200}, 123.4567),
        ({"rule": "expected_volume", "ml": 1}, 0.00001234),
        ({"rule": "volume_ratio"}, 1234563.2),
        ({"rule": "volume_ratio"}, 83.10000001),
    ],
)
def test_no_digit_that_the_advice_leaves_out_takes_the_lesion(
    schema: LabelSchema, entry: dict[str, Any], needed: float
) -> None:
    entry = {**entry, "classes": ["cyst"]}
    (rule,) = read_rules([entry], schema)
    (advised,) = read_rules([entry | YAML(typ="safe").load(f"{{{rule.keeping('cyst', [needed])}}}")], schema)
    assert not KEPT[rule.rule](rule, needed)
    assert KEPT[rule.rule](advised, needed)


def test_what_shares_no_voxel_with_a_true_lesion_is_not_regretted(
    propose: Callable[..., Proposal], schema: LabelSchema
) -> None:
    entry = {"rule": "inside_organ", "classes": ["cyst"]}
    assert advice_of(propose, schema, entry, [LONE], [INSIDE]) == []
    assert advice_of(propose, schema, entry, [], [LONE]) == []
    assert advice_of(propose, schema, entry, [INSIDE], [INSIDE]) == []


def test_a_lesion_that_touches_is_kept_by_no_tolerance(propose: Callable[..., Proposal], schema: LabelSchema) -> None:
    entry = {"rule": "touching", "classes": ["cyst"]}
    (advice,) = advice_of(propose, schema, entry, [(3, 3, 5)], [(3, 3, 5)])
    assert (advice.keeps, advice.taken[0].measured) == ("", 0.0)
