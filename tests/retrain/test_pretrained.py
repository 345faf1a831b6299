"""The first training of a model starts from another one."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from functools import wraps
from pathlib import Path
from types import SimpleNamespace

import pytest
from memo_keys import keys_of
from small_cases import Small

from voxledger import layout
from voxledger.errors import CasesFailed, Misuse, VoxledgerError
from voxledger.imaging.volume import file_sha256, mask_sha256, read, read_label, write
from voxledger.models import start as starting
from voxledger.params import MachineParams, ModelParams, RetrainParams
from voxledger.records.card import Source, list_models, load_tensors, read_card, write_card
from voxledger.retrain import run as stage
from voxledger.retrain.run import retrain_round
from voxledger.schema import LabelClass, LabelSchema

torch = pytest.importorskip("torch")
SLOW = pytest.mark.slow


def retrain(small: Small, models: dict[str, ModelParams], round_number: int = 0, **params: object) -> None:
    asked = RetrainParams(models=models, **params)
    retrain_round(small.cases, small.schema, small.ledger, round_number, asked, MachineParams(workers=1))


def started(model: ModelParams, **change: object) -> ModelParams:
    return model.model_copy(update={"start": "home", **change})


def hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def at_home(small: Small, model: ModelParams, **params: object) -> Small:
    """A base model that c0 and c1 taught; c2 came in round 1, from there."""
    come = {key: replace(e, version=1) for key, e in small.ledger.items() if key[0] == "c2"}
    before = replace(small, ledger={key: e for key, e in small.ledger.items() if key[0] != "c2"})
    retrain(before, {"home": model}, licence="CC-BY-SA-4.0", **params)
    shutil.move(layout.NEXT_MODELS, layout.BASE_MODELS)
    shutil.move(layout.NEXT_CARDS, layout.BASE_CARDS)
    cases = [replace(c, source="there") if c.case_id == "c2" else c for c in small.cases]
    return replace(small, cases=cases, ledger={**small.ledger, **come})


def adopted(training_set: str) -> None:
    """Makes the base model one from elsewhere."""
    card = read_card(layout.BASE_MODELS / "home")
    source = Source(name="theirs", version="1", training_set=training_set, classes={"organ": "organ"})
    write_card(layout.BASE_MODELS / "home", card.model_copy(update={"source": source, "params": {}, "cohort": ""}))


@pytest.mark.parametrize("name", ["unet", pytest.param("nn", marks=SLOW)])
def test_it_begins_with_the_weights_and_plans_of_the_other_and_names_it(small, tiny, name, capsys):
    small = at_home(small, tiny[name])
    home = hashes(layout.BASE_MODELS / "home")
    still = started(tiny[name], learning_rate=1e-9)
    retrain(small, {"tuned": still}, 1, replay=0.5)
    assert hashes(layout.NEXT_MODELS / "home") == home, "the other one goes on as it is"
    card, parent = read_card(layout.NEXT_MODELS / "tuned"), read_card(layout.BASE_MODELS / "home")
    assert (card.strategy, card.parent, card.licence, card.round) == ("pretrained", parent.id, "CC-BY-SA-4.0", 1)
    assert (card.params["start"], card.architecture) == ("home", parent.architecture)
    assert card.taught_by["organ"] == {"people": 2, "model": 0}, "c2, and one of the two that taught the other"
    assert "tuned starts from home" in (said := capsys.readouterr().err)
    assert "1 cases, and 1 of 2 that taught it again" in said
    before, after = load_tensors(layout.BASE_MODELS / "home"), load_tensors(layout.NEXT_MODELS / "tuned")
    for tensor in before:
        torch.testing.assert_close(after[tensor], before[tensor], rtol=0, atol=1e-7, msg=tensor)
    listed = {c["name"]: c["parent"] for c in json.loads(layout.NEXT_CARDS.read_text("utf-8"))}
    assert listed == {"home": "", "tuned": parent.id}
    first = hashes(layout.NEXT_MODELS)
    shutil.rmtree(".memo")
    retrain(small, {"tuned": still}, 1, replay=0.5)
    assert hashes(layout.NEXT_MODELS) == first


@pytest.mark.parametrize(
    ("training_set", "taught"),
    [("", 3), ("here", 2), ("HERE", 2), ("there", 2), ("elsewhere", 3)],
)
def test_one_from_elsewhere_is_at_home_where_cases_have_its_training_set_as_source(small, tiny, training_set, taught):
    """Replayed are half of c0 and c1 if it is from here; of c2 alone, half is none."""
    small = at_home(small, tiny["unet"])
    adopted(training_set)
    retrain(small, {"tuned": started(tiny["unet"])}, 1, replay=0.5)
    assert read_card(layout.NEXT_MODELS / "tuned").taught_by["organ"]["people"] == taught


def test_it_learns_from_all_where_all_taught_the_other(small, tiny):
    retrain(small, {"home": tiny["unet"]})
    shutil.move(layout.NEXT_MODELS, layout.BASE_MODELS)
    retrain(small, {"tuned": started(tiny["unet"])}, 1, replay=0.0)
    assert read_card(layout.NEXT_MODELS / "tuned").taught_by["organ"]["people"] == 3


def with_bone(small: Small) -> Small:
    """A class more, in a corner of every case."""
    schema = LabelSchema(name="small", classes=(*small.schema.classes, LabelClass(id=8, name="bone")))
    ledger = dict(small.ledger)
    for case_id in ("c0", "c1", "c2"):
        path = f"data/release/labels/{case_id}.nii.gz"
        labels, grid = read_label(path), read(f"images/{case_id}.nii.gz").grid
        labels[:2, :4, :4] = 8
        write(path, labels, grid)
        mask = mask_sha256(labels == 8, grid)
        ledger[case_id, "bone"] = replace(ledger["c2", "organ"], case_id=case_id, class_name="bone", mask_sha256=mask)
    return replace(small, schema=schema, ledger=ledger)


def test_a_case_of_classes_that_the_other_was_never_taught_is_no_replay_of_what_taught_it(small, tiny):
    """Of c1 only the bone is known: it is learned, though it is as old as c0, at which the other is at home."""
    small = with_bone(at_home(small, tiny["unet"]))
    ledger = {key: replace(e, version=0) if key[1] == "bone" else e for key, e in small.ledger.items()}
    ledger = {key: e for key, e in ledger.items() if key[0] != "c1" or key[1] == "bone"}
    retrain(replace(small, ledger=ledger), {"tuned": started(tiny["unet"])}, 1, replay=0.0)
    found = {name: by["people"] for name, by in read_card(layout.NEXT_MODELS / "tuned").taught_by.items()}
    assert found == {"organ": 1, "lesion": 1, "spleen": 1, "bone": 2}


@pytest.mark.parametrize("name", ["unet", pytest.param("nn", marks=SLOW)])
def test_outputs_of_new_classes_learn_before_the_rest(small, tiny, name, monkeypatch):
    """With no rate for the rest, all that is left of the training is its first part: the trunk stays, to the bit."""
    monkeypatch.setattr(starting, "LATER_RATE", 0.0)
    longer = tiny[name].model_copy(update={"iterations": 10})
    small = with_bone(at_home(small, longer))
    retrain(small, {"tuned": started(longer)}, 1)
    before, after = load_tensors(layout.BASE_MODELS / "home"), load_tensors(layout.NEXT_MODELS / "tuned")
    grown = [n for n in before if before[n].shape != after[n].shape]
    assert grown
    for tensor in before.keys() - grown:
        assert torch.equal(before[tensor], after[tensor]), tensor


def test_parts_of_the_training(small, tiny):
    """New outputs first, a fifth of the iterations; none where every class is known, or there is time for one alone."""
    small = at_home(small, tiny["unet"])
    asked = [("all known", small, 10), ("one new", with_bone(small), 10), ("too short", with_bone(small), 1)]
    found = {}
    for what, cases, iterations in asked:
        jobs = started_jobs(cases, started(tiny["unet"], iterations=iterations))
        found[what] = [(p.iterations, p.rate, p.outputs_only) for p in jobs[0].training.start.phases]
    later = starting.LATER_RATE
    assert found == {
        "all known": [(10, later, False)],
        "one new": [(2, 1.0, True), (8, later, False)],
        "too short": [(1, later, False)],
    }


def started_jobs(small: Small, model: ModelParams) -> list[SimpleNamespace]:
    found = []
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(stage, "casemap", lambda jobs, *_: found.extend(jobs))
        retrain(small, {"tuned": model}, 1)
    return found


@pytest.mark.parametrize("strategy", ["finetune", "continual", "full"])
def test_in_later_rounds_it_goes_on_from_itself_but_where_the_strategy_begins_anew(small, tiny, strategy):
    small = at_home(small, tiny["unet"])
    retrain(small, {"tuned": started(tiny["unet"])}, 1)
    first = {card.name: card.id for card in list_models(layout.NEXT_MODELS)}
    shutil.rmtree(layout.BASE_MODELS)
    shutil.move(layout.NEXT_MODELS, layout.BASE_MODELS)
    newer = {key: replace(e, version=2) if key == ("c2", "spleen") else e for key, e in small.ledger.items()}
    retrain(replace(small, ledger=newer), {"tuned": started(tiny["unet"])}, 2, strategy=strategy)
    card = read_card(layout.NEXT_MODELS / "tuned")
    assert card.parent == first["home" if strategy == "full" else "tuned"]
    assert card.strategy == ("pretrained" if strategy == "full" else strategy)


@pytest.mark.parametrize(
    ("change", "params", "problem", "remedy"),
    [
        ({"start": "hom"}, {}, "start: hom is no model in models/base, which has home", "voxledger models adopt hom"),
        ({"start": "tuned"}, {}, "is the model itself", "strategy: finetune"),
        ({"features": (8, 16)}, {}, "start: home has another network than tuned: features differ", "features: [4, 8]"),
        ({"patch": (8, 8, 8), "spacing": (1.0, 1.0, 1.0)}, {}, "patch, spacing differ", "leave out `start`"),
        ({"backend": "nnunet", "recipe": "small", "network": "plans"}, {}, "of the backend monai", "backend: monai"),
        ({}, {"licence": "CC-BY-4.0"}, "under CC-BY-SA-4.0, which asks for the same licence", "remove retrain.licence"),
    ],
)
def test_what_does_not_fit_is_refused_before_training(small, tiny, change, params, problem, remedy):
    small = at_home(small, tiny["unet"])
    shutil.rmtree(".memo")
    with pytest.raises(Misuse) as refused:
        retrain(small, {"tuned": started(tiny["unet"], **change)}, 1, **params)
    assert problem in refused.value.problem
    assert remedy in refused.value.remedy
    assert not Path(".memo/retrain").exists()


def test_weights_that_nobody_has_and_classes_that_nobody_knows_are_refused(small, tiny):
    small = at_home(small, tiny["unet"])
    home = layout.BASE_MODELS / "home"
    renamed = LabelSchema(name="other", classes=(LabelClass(id=1, name="femur"),))
    entry = replace(small.ledger["c2", "organ"], class_name="femur")
    with pytest.raises(Misuse, match=r"home knows no class by a name of labels.yaml") as refused:
        retrain(replace(small, schema=renamed, ledger={("c2", "femur"): entry}), {"tuned": started(tiny["unet"])}, 1)
    assert "--map" in refused.value.remedy
    card = read_card(home)
    empty = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    (home / "predictions").mkdir()
    write_card(home, card.model_copy(update={"backend": "precomputed", "params": {"predictions": empty, "cases": 0}}))
    with pytest.raises(Misuse, match="known by its predictions alone"):
        retrain(small, {"tuned": started(tiny["unet"])}, 1)


def test_a_prompted_backend_has_no_start():
    with pytest.raises(ValueError, match="has no `start`"):
        ModelParams(backend="nninteractive", start="home")


def test_what_an_interrupted_round_had_trained_is_not_trained_again(small, tiny, monkeypatch):
    small = at_home(small, tiny["unet"])
    models = {"a": started(tiny["unet"]), "b": started(tiny["unet"], iterations=4)}
    retrain(small, models, 1)
    whole = hashes(layout.NEXT_MODELS)
    shutil.rmtree(".memo")
    trained = []
    compute = stage.TrainModel.compute

    @wraps(compute)
    def killed(job, folder):
        if job.name == "b" and "b" not in trained:
            trained.append("b")
            raise VoxledgerError("killed", "run it again")
        trained.append(job.name)
        return compute(job, folder)

    monkeypatch.setattr(stage.TrainModel, "compute", killed)
    with pytest.raises(CasesFailed, match="killed"):
        retrain(small, models, 1)
    retrain(small, models, 1)
    assert sorted(trained) == ["a", "b", "b"]
    assert hashes(layout.NEXT_MODELS) == whole


def test_what_is_remembered_depends_on_where_it_starts_and_on_nothing_that_is_not_used(small, tiny):
    """Models without a start have the key that they had before there was one."""
    plain = started_keys(small, tiny["unet"])
    assert "start" not in json.dumps(tiny["unet"].record())
    small = at_home(small, tiny["unet"])
    first = started_keys(small, started(tiny["unet"]))
    assert first == started_keys(small, started(tiny["unet"]))
    card = read_card(layout.BASE_MODELS / "home")
    write_card(layout.BASE_MODELS / "home", card.model_copy(update={"round": 1}))
    assert (
        len(
            {
                plain,
                first,
                started_keys(small, started(tiny["unet"]), replay=1.0),
                started_keys(small, started(tiny["unet"])),
            }
        )
        == 3
    )


def started_keys(small: Small, model: ModelParams, **params: object) -> str:
    return keys_of(stage, lambda: retrain(small, {"tuned": model}, 1, **params))["tuned"]
