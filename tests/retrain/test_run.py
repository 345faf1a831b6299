"""A round of training with both backends, on the smallest budget."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from memo_keys import keys_of

from voxledger import layout
from voxledger.algorithms import VERSIONS
from voxledger.errors import CasesFailed, Misuse, VoxledgerError
from voxledger.imaging.volume import file_sha256, mask_sha256, read, read_label, write
from voxledger.params import MachineParams, RetrainParams
from voxledger.records.card import (
    ModelCard,
    check_model,
    list_models,
    load_tensors,
    read_card,
    read_cards,
    write_card,
)
from voxledger.records.ledger import Origin
from voxledger.retrain import run as stage
from voxledger.retrain.run import retrain_round
from voxledger.schema import LabelClass, LabelSchema

torch = pytest.importorskip("torch")

BASE, NEXT, CARDS, COHORT = layout.BASE_MODELS, layout.NEXT_MODELS, layout.NEXT_CARDS, layout.COHORT


def retrain(small, models, round_number=0, **params):
    retrain_round(
        small.cases,
        small.schema,
        small.ledger,
        round_number,
        RetrainParams(models=models, licence="CC0-1.0", **params),
        MachineParams(workers=1),
    )


def hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_a_round_and_the_next_one(small, tiny):
    """Both backends: cards, identical bytes without the memo, fine-tuning from the base, cards of all rounds."""
    small = small.with_origin("c1", "lesion", Origin.PREDICTED)
    retrain(small, tiny)
    first = hashes(NEXT)
    assert {Path(name).name for name in first} == {"model.json", "weights.safetensors", "plans.json", "dataset.json"}
    cards = {c.name: c for c in list_models(NEXT)}
    assert set(cards) == {"nn", "unet"}
    for name, card in cards.items():
        assert check_model(NEXT / name) == card
        assert card.cohort == file_sha256(COHORT)
        assert (card.strategy, card.parent, card.licence, card.round) == ("full", "", "CC0-1.0", 0)
        assert not any(str(Path.cwd()) in p.read_text("utf-8") for p in (NEXT / name).glob("*.json"))
    shutil.rmtree(".memo")
    retrain(small, tiny)
    assert hashes(NEXT) == first

    shutil.copytree(NEXT, BASE)
    shutil.copyfile(CARDS, "models/base.json")
    retrain(small, tiny, round_number=1, strategy="finetune")
    for card in list_models(NEXT):
        assert (card.strategy, card.parent, card.round) == ("finetune", cards[card.name].id, 1)
    listed = [(c["round"], c["name"]) for c in json.loads(CARDS.read_text("utf-8"))]
    assert listed == [(0, "nn"), (0, "unet"), (1, "nn"), (1, "unet")]


def training_key(small, tiny, **params):
    return keys_of(stage, lambda: retrain(small, {"unet": tiny["unet"]}, **params))["unet"]


def with_class(small, number, **change):
    classes = [c.model_copy(update=change if i == number else {}) for i, c in enumerate(small.schema.classes)]
    return replace(small, schema=small.schema.model_copy(update={"classes": tuple(classes)}))


def test_a_training_is_remembered_by_all_that_it_depends_on(small, tiny, monkeypatch):
    """Also by what no cohort table holds: modality (it normalises), and which classes are lesions (what is ignored)."""
    first = training_key(small, tiny)
    assert training_key(small, tiny) == first
    other = {
        "seed": training_key(small, tiny, seed=1),
        "round": training_key(small, tiny, round_number=1),
        "model": training_key(small, {"unet": tiny["unet"].model_copy(update={"iterations": 4})}),
        "origin": training_key(small.with_origin("c1", "lesion", Origin.PREDICTED), tiny),
        "unknown": training_key(small.with_origin("c1", "lesion", None), tiny),
        "modality": training_key(replace(small, cases=[replace(c, modality="MR") for c in small.cases]), tiny),
        "image": training_key(replace(small, cases=[replace(c, sha256="x") for c in small.cases]), tiny),
        "lesion": training_key(with_class(small, 1, lesion=False), tiny),
        "inside": training_key(with_class(small, 1, inside="spleen"), tiny),
        "id": training_key(with_class(small, 2, id=8), tiny),
    }
    labels = read_label("data/release/labels/c0.nii.gz")
    labels[0, 0, 0] = 1
    write("data/release/labels/c0.nii.gz", labels, read("images/c0.nii.gz").grid)
    other["label"] = training_key(small, tiny)
    monkeypatch.setitem(VERSIONS, "retrain", -1)
    other["version"] = training_key(small, tiny)
    assert len({first, *other.values()}) == 1 + len(other), {k: v for k, v in other.items() if v == first}


def test_an_image_that_is_not_the_registered_one_is_not_trained_on(small, tiny):
    """The card would name a cohort that the model was not trained on."""
    image = read("images/c1.nii.gz")
    write("images/c1.nii.gz", image.array + 100, image.grid)
    with pytest.raises(CasesFailed, match=r"images/c1.nii.gz is not the image that was registered"):
        retrain(small, {"unet": tiny["unet"]})


@pytest.mark.parametrize("name", ["My Net", "../net", "ensemble"])
def test_a_name_that_no_model_can_have_is_refused_before_training(small, tiny, name):
    """Not after it, when the card is written, nor by evaluate at the end of the round."""
    with pytest.raises(Misuse, match="is not a model name"):
        retrain(small, {name: tiny["unet"]})
    assert not Path(".memo").exists()


def test_a_finished_model_is_not_trained_again(small, tiny, monkeypatch):
    retrain(small, {"unet": tiny["unet"]})
    first = hashes(NEXT)
    monkeypatch.setattr("voxledger.casemap.run.compute", lambda *_: pytest.fail("trained again"))
    retrain(small, {"unet": tiny["unet"]})
    assert hashes(NEXT) == first


def test_without_a_trusted_case_the_base_models_go_on(small, tiny, capsys):
    retrain(small, {"unet": tiny["unet"]})
    shutil.move(NEXT, BASE)
    small.ledger.clear()
    retrain(small, {"unet": tiny["unet"]}, round_number=1)
    assert hashes(NEXT) == hashes(BASE)
    assert "no trusted case yet" in capsys.readouterr().err


def test_precomputed_models_go_on_unchanged(small, tiny):
    model = BASE / "elsewhere"
    (model / "predictions").mkdir(parents=True)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    card = ModelCard(
        id="elsewhere-1",
        name="elsewhere",
        backend="precomputed",
        architecture="",
        strategy="",
        cohort="",
        parent="",
        params={"cases": 0, "predictions": empty},
        licence="MIT",
        round=0,
    )
    write_card(model, card)
    retrain(small, {"unet": tiny["unet"]})
    assert [c.name for c in list_models(NEXT)] == ["elsewhere", "unet"]
    assert hashes(NEXT / "elsewhere") == hashes(model)
    with pytest.raises(Misuse, match="a model of this name, made elsewhere"):
        retrain(small, {"elsewhere": tiny["unet"]})


def test_base_models_that_are_not_trained_anew_go_on_byte_for_byte(small, tiny):
    """They used to vanish. The one that is trained anew replaces its base."""
    retrain(small, tiny)
    shutil.move(NEXT, BASE)
    shutil.move(CARDS, "models/base.json")
    before = hashes(BASE)
    retrain(small, {"unet": tiny["unet"]}, round_number=1, seed=5)
    after = hashes(NEXT)
    assert {name for name in after if after[name] == before.get(name)} >= {n for n in before if n.startswith("nn/")}
    assert after["unet/weights.safetensors"] != before["unet/weights.safetensors"]
    assert [(c["round"], c["name"]) for c in json.loads(CARDS.read_text("utf-8"))] == [
        (0, "nn"),
        (0, "unet"),
        (1, "unet"),
    ]
    cards = {card.id: card for card in read_cards(CARDS.read_text("utf-8"), str(CARDS))}
    assert [cards[card.id] for card in list_models(BASE)] == list_models(BASE)
    assert all(card.taught_by for card in cards.values())


def test_fine_tuning_goes_on_where_a_class_came_new(small, tiny):
    """Its output begins anew; those of the others are found by name."""
    models = {name: model.model_copy(update={"iterations": 1, "learning_rate": 1e-9}) for name, model in tiny.items()}
    retrain(small, models)
    shutil.move(NEXT, BASE)
    shutil.move(CARDS, "models/base.json")
    first = LabelClass(id=1, name="bone")
    others = (small.schema.classes[0].model_copy(update={"id": 4}), *small.schema.classes[1:])
    classes = tuple(sorted((first, *others), key=lambda c: c.id))
    for case_id in ("c0", "c1", "c2"):
        path = f"data/release/labels/{case_id}.nii.gz"
        labels = read_label(path)
        labels[labels == 1] = 4
        labels[0, 0, :3] = 1
        grid = read(f"images/{case_id}.nii.gz").grid
        write(path, labels, grid)
        digest = mask_sha256(labels == 1, grid)
        small.ledger[case_id, "bone"] = replace(small.ledger[case_id, "organ"], class_name="bone", mask_sha256=digest)
    schema = LabelSchema(name="small", classes=classes)
    retrain(replace(small, schema=schema), models, round_number=1, strategy="finetune", finetune_iterations=1.0)
    order = [0, *(schema.names.index(name) + 1 for name in small.schema.names)]
    for name, card in {c.name: c for c in list_models(NEXT)}.items():
        assert (card.strategy, card.architecture) == ("finetune", read_card(BASE / name).architecture)
        before, after = load_tensors(BASE / name), load_tensors(NEXT / name)
        heads = [n for n in before if before[n].shape != after[n].shape]
        assert heads, name
        for n in before:
            found = after[n]
            for axis in range(found.ndim if n in heads else 0):
                if found.shape[axis] == len(order) + 1:
                    found = found.index_select(axis, torch.tensor(order))
            torch.testing.assert_close(found, before[n], rtol=0, atol=1e-7, msg=f"{name}: {n}")


def test_nothing_to_train_on_is_said_with_a_remedy(small, tiny):
    small.ledger.clear()
    with pytest.raises(VoxledgerError, match="no case of the pool has a label") as refused:
        retrain(small, tiny)
    assert "voxledger cases add" in refused.value.remedy


def test_a_label_that_is_not_the_ledgers_mask_is_refused(small, tiny):
    volume = read("data/release/labels/c1.nii.gz")
    volume.array[5, 10, 17] = 0
    write("data/release/labels/c1.nii.gz", volume.array, volume.grid)
    with pytest.raises(VoxledgerError, match=r"case c1: spleen in data/release/labels/c1.nii.gz"):
        retrain(small, {"unet": tiny["unet"]})


def test_a_missing_label_is_named(small, tiny):
    Path("data/release/labels/c2.nii.gz").unlink()
    with pytest.raises(VoxledgerError, match=r"case c2 .* data/release/labels/c2.nii.gz is missing"):
        retrain(small, tiny)


@pytest.mark.parametrize("name", ["nn", "unet"])
def test_a_cohort_that_never_shows_background_is_refused(small, tiny, name):
    for case_id in ("c0", "c1", "c2"):
        small = small.with_origin(case_id, "spleen", None)
    with pytest.raises(VoxledgerError, match="nothing tells what is background"):
        retrain(small, {name: tiny[name]})


@pytest.mark.parametrize("name", ["nn", "unet"])
@pytest.mark.parametrize(("drawn", "trains"), [(True, True), (False, False)], ids=["drawn", "predicted empty"])
def test_partly_labelled_cases_show_background_unless_a_class_was_predicted_empty(small, tiny, name, drawn, trains):
    for case_id in ("c0", "c1", "c2"):
        small = small.with_origin(case_id, "spleen", Origin.PREDICTED)
        if not drawn:
            labels = read_label(f"data/release/labels/{case_id}.nii.gz")
            write(
                f"data/release/labels/{case_id}.nii.gz",
                np.where(labels == 7, 0, labels),
                read(f"images/{case_id}.nii.gz").grid,
            )
    models = {name: tiny[name].model_copy(update={"iterations": 1})}
    if trains:
        retrain(small, models)
        return
    with pytest.raises(VoxledgerError, match="nothing tells what is background"):
        retrain(small, models)


@pytest.mark.parametrize("network", ["segresnet", "swinunetr"])
def test_other_monai_networks_train(small, tiny, network):
    features, patch = ((8, 16), (8, 16, 16)) if network == "segresnet" else ((12,), (32, 32, 32))
    model = tiny["unet"].model_copy(update={"network": network, "features": features, "patch": patch, "iterations": 1})
    retrain(small, {network: model})
    assert check_model(NEXT / network).architecture.startswith({"segresnet": "SegResNet", "swinunetr": "Swin"}[network])
