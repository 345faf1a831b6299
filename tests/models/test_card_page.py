"""The card of a model as people read it."""

from __future__ import annotations

from voxledger.models.card_page import card_page
from voxledger.records.card import ModelCard
from voxledger.records.ladder import Ladder, Rung

CARD = ModelCard(
    id="a" * 64, name="fine", backend="monai", architecture="UNet 16-32", strategy="full", cohort="", parent="",
    params={}, licence="MIT", round=3,
)  # fmt: skip


def test_a_model_of_one_organ_says_that_it_looks_at_nothing_else():
    region = {"inside": "pancreas", "margin_mm": 20.0}
    page = card_page(CARD.model_copy(update={"params": {"region": region}}))
    assert "| looks at | the box around the pancreas and 20 mm around it on every side: it predicts images" in page
    assert "looks at" not in card_page(CARD.model_copy(update={"params": {"region": None}}))


def test_it_says_who_taught_what():
    taught = {
        "liver": {"people": 12, "model": 0},
        "spleen": {"people": 2, "model": 3},
        "aorta": {"people": 0, "model": 0},
    }
    page = card_page(CARD.model_copy(update={"taught_by": taught}))
    assert "| cases that taught | liver: 12 by people; spleen: 2 by people, 3 by model |" in page
    assert "cases that taught" not in card_page(CARD)


def test_it_says_what_was_tried_for_revised_classes():
    rungs = (
        Rung(name="heads", voxels=8_250_000, classes=("aorta",), dice={"aorta": 0.9}),
        Rung(name="decoder", voxels=30_000_000, classes=("aorta",)),
    )
    ladder = Ladder(rungs=rungs, kept={"aorta": "decoder"}, wanted={"aorta": 0.95}, margin=0.02)
    page = card_page(CARD.model_copy(update={"ladder": ladder}))
    assert (
        "| steps for revised classes | heads (8.2 million voxels): aorta 0.900; decoder (30.0 million voxels): aorta; "
        "kept: aorta decoder; full training reached last: aorta 0.950 |"
    ) in page
    assert "steps for" not in card_page(CARD)
