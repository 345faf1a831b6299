"""Where full training and fine-tuning start."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import pytest

from voxledger.models.dataset import UNTAUGHT, describe, untaught
from voxledger.models.model import Model
from voxledger.params import RetrainParams
from voxledger.records.card import DATASET, ModelCard, Source, to_json
from voxledger.registry import STRATEGIES
from voxledger.schema import FormerName, LabelSchema
from voxledger.textfile import read_json

PARAMS = RetrainParams(finetune_iterations=0.5)


@pytest.fixture
def base(tmp_path: Path, schema, tiny) -> Model:
    (tmp_path / DATASET).write_text(to_json(describe(schema, ["CT"], 3, ignore=True)), "utf-8")
    card = ModelCard(
        id="f" * 64,
        name="nn",
        backend="nnunet",
        architecture="",
        strategy="full",
        cohort="",
        parent="",
        params=tiny["nn"].model_dump(mode="json"),
        licence="",
        round=0,
    )
    return Model(tmp_path, card, schema)


def test_full_starts_from_nothing(base, tiny, schema):
    start = STRATEGIES.get("full")(tiny["nn"], PARAMS, base, schema.names, [])
    assert (start.strategy, start.iterations, start.parent, start.note) == ("full", 3, None, "")


def test_finetune_goes_on_from_the_base_model_with_a_share_of_the_iterations(base, tiny, schema):
    longer = tiny["nn"].model_copy(update={"iterations": 100, "learning_rate": 1e-4})
    start = STRATEGIES.get("finetune")(longer, PARAMS, base, schema.names, [])
    assert (start.strategy, start.iterations, start.parent) == ("finetune", 50, base)


@pytest.mark.parametrize("name", ["nn", "unet"])
def test_finetune_goes_on_from_a_card_that_says_nothing_of_recipes_and_regions(base, tiny, schema, name):
    """As version 0.3 wrote it."""
    known = ("backend", "network", "patch", "features", "batch", "iterations", "learning_rate", "spacing")
    params = {n: value for n, value in tiny[name].record().items() if n in known}
    card = base.card.model_copy(update={"params": params, "backend": params["backend"]})
    start = STRATEGIES.get("finetune")(tiny[name], PARAMS, replace(base, card=card), schema.names, [])
    assert (start.strategy, start.note) == ("finetune", "")


def test_finetune_goes_on_with_other_classes(base, tiny, schema):
    start = STRATEGIES.get("finetune")(tiny["nn"], PARAMS, base, [*schema.names, "kidney"], [])
    assert (start.strategy, start.parent, start.note) == ("finetune", base, "")


@pytest.mark.parametrize(("backend", "strategy"), [("nnunet", "finetune"), ("monai", "full")])
def test_a_model_from_elsewhere_keeps_its_network_if_the_backend_is_the_same(base, tiny, schema, backend, strategy):
    source = Source(name="theirs", version="1", training_set="", classes={"Organ": "organ"})
    adopted = base.card.model_copy(update={"params": {}, "strategy": "adopted", "source": source})
    model = tiny["nn" if backend == "nnunet" else "unet"]
    start = STRATEGIES.get("finetune")(model, PARAMS, replace(base, card=adopted), schema.names, [])
    assert (start.strategy, start.parent is None) == (strategy, strategy == "full")
    assert start.note == ("" if strategy == "finetune" else "trained in full: the base model is of the backend nnunet")


@pytest.mark.parametrize("why", ["no base", "other network"])
def test_finetune_trains_in_full_and_says_why_where_the_base_model_does_not_fit(why, base, tiny, schema):
    model, classes = tiny["nn"], schema.names
    if why == "other network":
        model = model.model_copy(update={"features": (8, 16)})
    start = STRATEGIES.get("finetune")(model, PARAMS, None if why == "no base" else base, classes, [])
    assert (start.strategy, start.iterations, start.parent) == ("full", 3, None)
    assert start.note.startswith("trained in full: ")


def test_finetune_goes_on_from_a_model_that_knows_a_class_under_a_former_name(base, tiny, schema):
    renamed = schema["lesion"].model_copy(
        update={"name": "pdac", "formerly": (FormerName(name="lesion", round=1, date=datetime.date(2025, 5, 1)),)}
    )
    today = LabelSchema(name="small", classes=tuple(renamed if c.name == "lesion" else c for c in schema.classes))
    dataset = read_json(base.folder / DATASET)
    (base.folder / DATASET).write_text(to_json({**dataset, UNTAUGHT: ["lesion"]}), "utf-8")
    start = STRATEGIES.get("finetune")(tiny["nn"], PARAMS, replace(base, schema=today), today.names, [])
    assert (start.strategy, start.note) == ("finetune", "")
    assert untaught(start.dataset) == {"pdac"}
