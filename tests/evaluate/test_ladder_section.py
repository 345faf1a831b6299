"""What the report says of heads, decoders and adapters."""

from __future__ import annotations

import re

from voxledger.evaluate.ladder_section import ladder_section
from voxledger.records.card import ModelCard
from voxledger.records.ladder import Ladder, Rung

RUNGS = (
    Rung(name="heads", voxels=8_250_000, classes=("aorta", "stomach"), dice={"aorta": 0.91, "stomach": 0.7}),
    Rung(name="decoder", voxels=30_000_000, classes=("stomach",), dice={"stomach": 0.8}),
)
LADDER = Ladder(rungs=RUNGS, kept={"aorta": "heads", "stomach": "decoder"}, wanted={"stomach": 0.85}, margin=0.02)


def card(name: str, round_number: int, ladder: Ladder | None) -> ModelCard:
    return ModelCard(
        id="a" * 64, name=name, backend="monai", architecture="", strategy="continual", cohort="", parent="", params={},
        licence="", round=round_number, ladder=ladder,
    )  # fmt: skip


def test_every_step_has_its_work_and_what_came_of_it():
    text = ladder_section([card("m", 2, LADDER)], 2)
    rows = [re.findall("<td>(.*?)</td>", row) for row in re.findall("<tr>(.*?)</tr>", text)]
    assert rows == [
        [],
        ["heads", "8.2", "aorta", "0.910", "–", "yes"],
        ["heads", "8.2", "stomach", "0.700", "0.850", ""],
        ["decoder", "30.0", "stomach", "0.800", "0.850", "yes"],
    ]
    assert "more than 0.02 below what full training reached last" in text


def test_what_was_asked_for_says_so():
    asked = Ladder(rungs=(Rung(name="heads", voxels=1, classes=("aorta",)),), kept={"aorta": "heads"})
    text = ladder_section([card("m", 2, asked)], 2)
    assert "Steps were not chosen by what came of them" in text
    assert "<td>–</td><td>–</td><td>yes</td>" in text


def test_models_of_other_rounds_and_others_say_nothing():
    assert ladder_section([card("m", 1, LADDER), card("n", 2, None)], 2) == ""
