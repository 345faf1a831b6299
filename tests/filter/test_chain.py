"""Rules from params.yaml, and what is said about wrong ones."""

from __future__ import annotations

from typing import Any

import pytest

from voxledger.errors import Misuse
from voxledger.filter.chain import read_rules
from voxledger.registry import RULES
from voxledger.schema import LabelSchema


def test_every_file_is_a_rule(schema: LabelSchema) -> None:
    assert {"largest_component", "minimum_volume", "inside_organ"} <= set(RULES.names())
    for name in RULES.names():
        with pytest.raises(Misuse, match=rf"\({name}\): classes: Field required"):
            read_rules([{"rule": name}], schema)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (
            {"rule": "magic", "classes": ["liver"]},
            r"there is no rule magic(.|\n)*largest_component",
        ),
        ({"classes": ["liver"]}, "there is no rule None"),
        ({"rule": "minimum_volume", "classes": ["liver"]}, "ml: Field required"),
        ({"rule": "minimum_volume", "classes": ["liver"], "ml": -1}, "ml: Input should be greater than 0"),
        ({"rule": "minimum_volume", "classes": ["liver"], "ml": 1, "mm": 2}, "mm: Extra inputs"),
        ({"rule": "minimum_volume", "classes": ["moon"], "ml": 1}, "moon is not a class"),
        ({"rule": "inside_organ", "classes": ["liver"]}, "liver, which lies in no organ"),
        ({"rule": "volume_ratio", "classes": ["liver"]}, "liver, which lies in no organ"),
        ({"rule": "volume_ratio", "classes": ["pancreatic_duct"]}, "no bound for pancreatic_duct"),
        ({"rule": "mean_hu", "classes": ["liver"]}, "no range for liver"),
        ({"rule": "mean_hu", "classes": ["pdac"], "ranges": {"pdac": [5, 1]}}, "pdac ends below its start"),
        ({"rule": "touching", "classes": ["pdac"], "structures": ["moon"]}, "moon is not a class"),
        ({"rule": "distance", "classes": ["pdac"], "structures": ["moon"], "maximum_mm": 1}, "moon is not a class"),
        ({"rule": "paired_sides", "classes": ["kidney_left"]}, "classes"),
        ({"rule": "paired_sides", "classes": ["kidney_left", "liver"], "midline": ["moon"]}, "moon is not a class"),
        ({"rule": "fill_holes", "classes": ["liver"], "to": "background"}, "to: Extra inputs"),
    ],
)
def test_misuse(schema: LabelSchema, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(Misuse, match=message) as refused:
        read_rules([entry], schema)
    assert refused.value.problem.startswith("params.yaml: filter.rules[0]")
