"""Rules from params.yaml, and what is said about wrong ones."""

from __future__ import annotations

from typing import Any

import pytest

from voxledger.errors import Misuse
from voxledger.filter.registry import known_rules, read_rules
from voxledger.schema import LabelSchema


def test_every_file_is_a_rule(schema: LabelSchema) -> None:
    assert {"largest_component", "minimum_volume", "inside_organ"} <= set(known_rules())
    for name in known_rules():
        with pytest.raises(Misuse, match=rf"\({name}\): classes: Field required"):
            read_rules([{"rule": name}], schema)


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        ({"rule": "magic", "classes": ["liver"]}, r"entry 1: there is no rule magic(.|\n)*largest_component"),
        ({"classes": ["liver"]}, "there is no rule None"),
        ({"rule": "minimum_volume", "classes": ["liver"]}, "ml: Field required"),
        ({"rule": "minimum_volume", "classes": ["liver"], "ml": -1}, "ml: Input should be greater than 0"),
        ({"rule": "minimum_volume", "classes": ["liver"], "ml": 1, "mm": 2}, "mm: Extra inputs"),
        ({"rule": "minimum_volume", "classes": ["moon"], "ml": 1}, "moon is not a class"),
        ({"rule": "inside_organ", "classes": ["liver"]}, "liver, which lies in no organ"),
    ],
)
def test_misuse(schema: LabelSchema, entry: dict[str, Any], message: str) -> None:
    with pytest.raises(Misuse, match=message):
        read_rules([entry], schema)
