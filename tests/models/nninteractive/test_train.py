"""The training of a tiny network, and what it leaves."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from interactive import MARKS, TINY, opened, train_tiny

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import file_sha256, read, write
from voxledger.models.nninteractive.images import normalised
from voxledger.models.nninteractive.train import CT
from voxledger.params import ModelParams, RetrainParams
from voxledger.records.card import PLANS, WEIGHTS
from voxledger.records.ledger import Origin


def test_a_training_leaves_a_model_whose_card_says_what_it_is(small):
    card = train_tiny(small, licence="CC-BY-4.0")
    model = opened(small)
    assert (card.backend, card.strategy, card.licence) == ("nninteractive", "full", "CC-BY-4.0")
    assert card.architecture == "PlainConvUNet 4-8, marked objects"
    assert card.id == file_sha256(model.folder / WEIGHTS)
    assert card.params["iterations"] == 3
    assert model.taught == []
    assert sorted(p.name for p in model.folder.iterdir()) == ["dataset.json", "model.json", PLANS, WEIGHTS]
    plans = json.loads((model.folder / PLANS).read_text())
    assert plans["voxledger"]["clip"] == list(CT)


def test_it_repeats_bit_for_bit_and_depends_on_the_seed(small):
    first = train_tiny(small, "one")
    import shutil

    shutil.rmtree(".memo")
    assert train_tiny(small, "two").id == first.id
    assert train_tiny(small, "three", seed=1).id != first.id


def test_only_what_people_stand_behind_is_learned_from(small):
    """Predicted masks are no objects; without any other there is nothing to learn."""
    first = train_tiny(small, "one")
    fewer = small
    for number in range(3):
        fewer = fewer.with_origin(f"c{number}", "spleen", Origin.PREDICTED)
    assert train_tiny(fewer, "two").id != first.id
    for number in range(3):
        for name in ("organ", "lesion"):
            fewer = fewer.with_origin(f"c{number}", name, Origin.PREDICTED)
    with pytest.raises(VoxledgerError, match="no class that people stand behind has an object"):
        train_tiny(fewer, "three")
    assert not (layout.BASE_MODELS / "three").exists()


@pytest.mark.parametrize(
    ("name", "model", "said"),
    [
        (MARKS, TINY, f"there is a model {MARKS} already"),
        ("Marks", TINY, "is not a model name"),
        ("other", TINY.model_copy(update={"patch": (8, 15, 16)}), "cannot be halved 1 times"),
        ("other", TINY.model_copy(update={"classes": ("liver",)}), "liver"),
    ],
)
def test_what_cannot_be_trained_is_refused_by_name(small, name, model, said):
    train_tiny(small)
    with pytest.raises((Misuse, VoxledgerError), match=said):
        train_tiny(small, name, model)
    assert [p.name for p in layout.BASE_MODELS.iterdir()] == [MARKS]


def test_a_label_that_is_not_what_the_ledger_names_is_refused(small):
    ledger = dict(small.ledger)
    ledger["c1", "spleen"] = replace(ledger["c1", "spleen"], mask_sha256="0" * 64)
    with pytest.raises(VoxledgerError, match=r"case c1: spleen in .* is not the mask that the ledger names"):
        train_tiny(replace(small, ledger=ledger))


def test_a_case_whose_image_is_the_same_everywhere_is_left_out(small):
    image = read("images/c1.nii.gz")
    write("images/c1.nii.gz", np.zeros_like(image.array), image.grid)
    cases = [replace(c, sha256=file_sha256(c.image)) if c.case_id == "c1" else c for c in small.cases]
    assert train_tiny(replace(small, cases=cases)).id


def test_retrain_trains_it_anew_or_goes_on_from_it(small):
    from voxledger.params import MachineParams
    from voxledger.records.card import read_card
    from voxledger.retrain.run import retrain_round

    first = train_tiny(small)
    ids = []
    for strategy in ("full", "finetune"):
        params = RetrainParams(strategy=strategy, models={MARKS: TINY}, finetune_iterations=1)
        retrain_round(small.cases, small.schema, small.ledger, 1, params, MachineParams(workers=1))
        card = read_card(layout.NEXT_MODELS / MARKS)
        ids.append((card.id == first.id, card.parent == first.id))
    # Trained in full on the same cases with the same seed, it is the same; or it goes on from the base model.
    assert ids == [(True, False), (False, True)]
    retrain_round(small.cases, small.schema, small.ledger, 1, RetrainParams(), MachineParams(workers=1))
    assert read_card(layout.NEXT_MODELS / MARKS) == first


@pytest.mark.parametrize(
    "given", [{"region": {"inside": "organ"}}, {"spacing": (1.0, 1.0, 1.0)}, {"lesion_share": 0.5}]
)
def test_parameters_that_it_does_not_follow_are_refused(given):
    with pytest.raises(ValueError, match=next(iter(given))):
        ModelParams(backend="nninteractive", **given)


def test_images_are_scaled_by_the_box_of_what_is_not_zero():
    image = np.zeros((4, 6, 8), np.int16)
    image[1:3, 2:5, 1:7] = np.arange(36).reshape(2, 3, 6) + 1
    seen = normalised(image, None)
    inside = seen[1:3, 2:5, 1:7]
    assert (float(inside.mean()), float(inside.std(ddof=1))) == (pytest.approx(0, abs=1e-5), pytest.approx(1, abs=1e-5))
    assert seen[0, 0, 0] == pytest.approx(-18.5 / np.arange(36).std(ddof=1), abs=1e-4)
