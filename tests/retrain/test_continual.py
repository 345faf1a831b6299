"""The strategy `continual`: which heads are trained, on what, and what comes of it over rounds."""

from __future__ import annotations

import datetime
import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from commands import run
from plugins import install
from small_cases import GRID, Small, draw

from voxledger import algorithms, layout
from voxledger.cli.demo import set_parameters
from voxledger.errors import CasesFailed, Misuse, VoxledgerError
from voxledger.imaging.soft import open_soft
from voxledger.imaging.volume import file_sha256, mask_sha256, write
from voxledger.models import learn_heads
from voxledger.models.cohort import Member, build_cohort
from voxledger.models.dataset import UNTAUGHT, describe, heads
from voxledger.models.export import export_model
from voxledger.models.model import Model
from voxledger.models.nnunet.stages import CASCADE, KEY, LOWRES, Stages
from voxledger.models.prediction import network_predictions
from voxledger.models.start import HeadStart, Lesson
from voxledger.models.trunk import RunTrunk, keep_for_next_round, kept_of
from voxledger.params import InferParams, MachineParams, ModelParams, RegionParams, RetrainParams
from voxledger.records.card import (
    DATASET,
    PLANS,
    ModelCard,
    Source,
    check_model,
    head_of,
    load_tensors,
    read_card,
    to_json,
)
from voxledger.records.cases import write_cases
from voxledger.records.decisions import Decision
from voxledger.records.ledger import Origin, write_ledger
from voxledger.records.readings import Outcome, Reading, write_readings
from voxledger.registry import STRATEGIES
from voxledger.retrain.embeddings import embedding_of
from voxledger.retrain.run import retrain_round
from voxledger.schema import FormerName, LabelSchema
from voxledger.textfile import read_json, replace_text

pytest.importorskip("torch")

ROOT = Path(__file__).parents[2]
ONE = MachineParams(workers=1)
UNET = ModelParams(backend="monai", network="unet", patch=(8, 16, 16), features=(8, 16, 32), iterations=80)
NN = ModelParams(backend="nnunet", recipe="small", patch=(8, 16, 16), features=(8, 16, 32), iterations=80)
NAMES = ("c0", "c1", "c2")


@pytest.fixture
def base(tmp_path: Path, schema) -> Model:
    """A model of round 3 that was never taught the spleen."""
    home = tmp_path / "m"
    home.mkdir()
    dataset = {**describe(schema, ["CT"], 3, ignore=False), UNTAUGHT: ["spleen"]}
    (home / DATASET).write_text(to_json(dataset))
    (home / PLANS).write_text(to_json({"network": "unet", "features": [4, 8]}))
    card = ModelCard(
        id="f" * 64, name="m", backend="monai", architecture="", strategy="full", cohort="", parent="",
        params=UNET.record(), licence="", round=3,
    )  # fmt: skip
    return Model(home, card, schema)


R, S, A, P = Origin.REVISED, Origin.SOURCE, Origin.ACCEPTED, Origin.PREDICTED
TABLE = {
    "nothing since": ({}, {}, {}),
    "accepted": ({("c0", "organ"): (A, 4)}, {}, {}),
    "revised in the round of the model": ({("c0", "organ"): (R, 3)}, {}, {}),
    "revised": ({("c0", "organ"): (R, 4)}, {}, {"organ": (["c0"], [])}),
    "a source": ({("c0", "organ"): (S, 4)}, {}, {"organ": (["c0"], [])}),
    "accepted beside": (
        {("c0", "organ"): (R, 4), ("c1", "organ"): (A, 4), ("c1", "lesion"): (A, 4)},
        {},
        {"organ": (["c0", "c1"], [])},
    ),
    "replay": ({("c0", "organ"): (R, 4)}, {"replay": 1.0}, {"organ": (["c0", "c1", "c2"], [])}),
    "some replay": ({("c0", "organ"): (R, 4)}, {"replay": 0.5}, {"organ": (["c0", "c2"], [])}),
    "predicted": ({("c0", "organ"): (R, 4), ("c1", "organ"): (P, 4)}, {}, {"organ": (["c0"], [])}),
    "hybrid": (
        {("c0", "organ"): (R, 4), ("c1", "lesion"): (A, 4), ("c1", "organ"): (P, 4), ("c2", "organ"): (P, 4)},
        {"hybrid": True},
        {"organ": (["c0"], ["c1"])},
    ),
    "rejected": ({("c0", "organ"): (R, 4), ("c0", "lesion"): (Origin.REJECTED, 4)}, {}, {}),
}  # fmt: skip


def lessons(small: Small, base: Model, readings=(), **params):
    params = RetrainParams(strategy="continual", **{"replay": 0.0} | params)
    cohort = build_cohort(small.cases, small.ledger, small.schema, readings)
    return STRATEGIES.get("continual")(UNET, params, base, small.schema.names, cohort)


def with_rows(small: Small, rows) -> Small:
    ledger = {key: e for key, e in small.ledger.items() if key[1] != "spleen"}
    for key, (origin, version) in rows.items():
        ledger[key] = replace(small.ledger[key], origin=origin, version=version)
    return replace(small, ledger=ledger)


@pytest.mark.parametrize("what", TABLE)
def test_heads_of_revised_classes_alone_are_trained(small, base, what):
    rows, params, wanted = TABLE[what]
    start = lessons(with_rows(small, rows), base, **params)
    assert isinstance(start, HeadStart)
    assert {one.class_name: (list(one.people), list(one.model)) for one in start.lessons} == wanted
    assert (start.strategy, start.parent) == ("continual", base)
    assert start.iterations == (20 if wanted else 0)
    assert start.note.startswith("goes on unchanged") is not bool(wanted)


def rejecting(*rounds: int) -> list[Reading]:
    """Somebody rejected the lesion of c0 in these rounds."""
    counted = Outcome.COUNTED
    return [Reading(n, "c0", "lesion", "ann", Decision.REJECT, None, "none", "", "", "", "", counted) for n in rounds]


@pytest.mark.parametrize(
    ("version", "rejected", "learned"),
    [
        (3, (), False),
        (3, (3,), True),  # with the model, from which the case was kept
        (2, (2, 3), True),
        (2, (2,), False),  # the model of round 3 learned it
        (2, (3,), False),  # and here that of round 2, of which this has what it was taught
    ],
)
def test_what_was_revised_while_another_class_kept_the_case_from_teaching_is_still_news(
    small, base, version, rejected, learned
):
    """The lesion is predicted anew in round 4, so that the case teaches at last."""
    small = with_rows(small, {("c0", "organ"): (R, version), ("c0", "lesion"): (P, 4), ("c1", "organ"): (P, 4)})
    base = replace(base, card=base.card.model_copy(update={"parent": "e" * 64}))
    start = lessons(small, base, rejecting(*rejected))
    assert start.lessons == ((Lesson("organ", ("c0",), ()),) if learned else ())
    small.ledger["c1", "lesion"] = replace(small.ledger["c1", "lesion"], version=4)
    hybrid = lessons(small, base, rejecting(*rejected), hybrid=True).lessons
    asked = [one for one in hybrid if one.class_name == "lesion"]
    assert [one.model for one in asked] == ([("c0",)] if learned else [()])


def test_the_stage_goes_by_what_readers_said(small):
    """A model of round 1 that was trained without c0, in which a lesion was rejected, learns its organ in round 2."""
    model = UNET.model_copy(update={"iterations": 1})
    retrain(small.with_origin("c0", "lesion", Origin.REJECTED), model, 1)
    go_on()
    shutil.copyfile(ROOT / "params.yaml", layout.PARAMS)
    replace_text(layout.ALGORITHMS, algorithms.text())
    given = {"strategy": "continual", "models": {"m": {k: v for k, v in model.record().items() if v is not None}}}
    set_parameters({"round": 2, "retrain": given})
    classes = "{id: 1, name: organ}, {id: 2, name: lesion, inside: organ, lesion: true}, {id: 7, name: spleen}"
    layout.SCHEMA.write_text(f"name: small\nclasses: [{classes}]\n")
    write_cases(layout.CASES, small.cases)
    ledger = {**small.ledger, ("c0", "lesion"): replace(small.ledger["c0", "lesion"], origin=P, version=2)}
    ledger["c0", "organ"] = replace(ledger["c0", "organ"], origin=R, version=1)
    write_ledger(layout.RELEASE_LEDGER, ledger, small.schema.names)
    write_readings(layout.RELEASE_READINGS, rejecting(1))
    run(sys.executable, str(ROOT / "stages/retrain.py"))
    card = read_card(layout.NEXT_MODELS / "m")
    assert (card.strategy, card.round) == ("continual", 2)
    assert {name: by["people"] for name, by in card.taught_by.items()} == {"organ": 1, "spleen": 1}


def many(small: Small, patients: int) -> list[Member]:
    """Of each patient two cases with a revised organ, and one in which models drew it."""
    found = []
    for number in range(patients):
        for part, (organ, lesion) in {"a": (R, A), "b": (R, A), "c": (P, A)}.items():
            case_id = f"p{number}{part}"
            case = replace(small.cases[0], case_id=case_id, patient=f"p{number}")
            rows = [("organ", organ), ("lesion", lesion)]
            entries = [
                replace(small.ledger["c0", name], case_id=case_id, class_name=name, origin=origin, version=4)
                for name, origin in rows
            ]
            found.append(Member(case, tuple(entries)))
    return found


@pytest.mark.parametrize(
    ("continual", "patients", "held"), [("auto", 6, 1), ("auto", 11, 2), ("auto", 4, 0), ("heads", 6, 0)]
)
def test_whole_patients_are_held_out(small, base, continual, patients, held):
    """Another case of one whose label decides between steps teaches nothing of the class, whoever drew it."""
    params = RetrainParams(strategy="continual", continual=continual, hybrid=True)
    start = STRATEGIES.get("continual")(UNET, params, base, small.schema.names, many(small, patients))
    (organ,) = [one for one in start.lessons if one.class_name == "organ"]
    out = {case_id[:-1] for case_id in organ.held_out}
    assert len(out) == held
    assert set(organ.held_out) == {f"{patient}{part}" for patient in out for part in "ab"}
    rest = {f"p{number}" for number in range(patients)} - out
    assert set(organ.people) == {f"{patient}{part}" for patient in rest for part in "ab"}
    assert set(organ.model) == {f"{patient}c" for patient in rest}
    again = STRATEGIES.get("continual")(UNET, params, base, small.schema.names, many(small, patients)[::-1])
    assert [one for one in again.lessons if one.class_name == "organ"] == [organ]


def test_older_cases_are_replayed_in_the_order_of_the_round(small, base):
    small = with_rows(small, {("c0", "organ"): (R, 4)})
    params = RetrainParams(strategy="continual", replay=0.5, replay_by="importance")
    for places, wanted in (({"c1": 1, "c2": 0}, "c2"), ({"c1": 0, "c2": 1}, "c1")):
        cohort = [
            replace(m, places={"organ": places[m.case.case_id]} if m.case.case_id in places else {})
            for m in build_cohort(small.cases, small.ledger, small.schema)
        ]
        found = STRATEGIES.get("continual")(UNET, params, base, small.schema.names, cohort)
        assert found.lessons == (Lesson("organ", ("c0", wanted), ()),)


@pytest.mark.parametrize(
    ("continual", "rungs", "margin"),
    [
        ("heads", ("heads",), None),
        ("decoder", ("decoder",), None),
        ("adapters", ("adapters",), None),
        ("auto", ("heads", "decoder", "adapters"), 0.05),
    ],
)
def test_what_is_tried_follows_from_the_parameter(small, base, continual, rungs, margin):
    small = with_rows(small, {("c0", "organ"): (R, 4)})
    start = lessons(small, base, continual=continual, continual_margin=0.05, grown_iterations=0.5)
    assert (start.rungs, start.margin, start.grown) == (rungs, margin, 40)


@pytest.mark.parametrize(("ml", "learned"), [(1.0, True), (0.0, False)])
def test_a_new_class_has_a_head_once_a_case_shows_it(small, base, ml, learned):
    rows = {(name, "spleen"): (Origin.ACCEPTED, 1) for name in ("c0", "c2")}
    small = with_rows(small, rows)
    for key in rows:
        small.ledger[key] = replace(small.ledger[key], ml=ml)
    wanted = (Lesson("spleen", ("c0", "c2"), ()),) if learned else ()
    assert lessons(small, base).lessons == wanted


def test_of_a_model_from_elsewhere_nothing_here_was_learned_yet(small, base):
    source = Source(name="theirs", version="1", training_set="", classes={})
    theirs = replace(base, card=base.card.model_copy(update={"source": source, "params": {}}))
    assert [one.class_name for one in lessons(small, theirs).lessons] == small.schema.names


@pytest.mark.parametrize(
    ("given", "strategy", "note"),
    [
        ({"configurations": (LOWRES, CASCADE)}, "finetune", "fine-tuned: the base model is a cascade"),
        ({"folds": ("0", "1")}, "finetune", "fine-tuned: the base model has several folds"),
    ],
)
def test_a_network_that_takes_no_heads_is_fine_tuned(small, base, given, strategy, note):
    (base.folder / PLANS).write_text(to_json({KEY: Stages(**given).model_dump(mode="json")}))
    theirs = replace(base, card=base.card.model_copy(update={"backend": "nnunet", "params": NN.record()}))
    start = STRATEGIES.get("continual")(NN, RetrainParams(), theirs, small.schema.names, [])
    assert (start.strategy, start.note) == (strategy, note)


def painted(small: Small, change=lambda labels: labels, **rows) -> Small:
    """The same with the label maps of the pool drawn anew, and `rows` for the spleen."""
    ledger = dict(small.ledger)
    for case_id in NAMES:
        labels = change(draw(int(case_id[1:]))[1].copy())
        Path(f"data/release/labels/{case_id}.nii.gz").unlink()
        write(f"data/release/labels/{case_id}.nii.gz", labels, GRID)
        for name in small.schema.names:
            digest = mask_sha256(small.schema.mask(labels, name), GRID)
            ledger[case_id, name] = replace(ledger[case_id, name], mask_sha256=digest)
        ledger[case_id, "spleen"] = replace(ledger[case_id, "spleen"], **rows)
    return replace(small, ledger=ledger)


def half(labels: np.ndarray) -> np.ndarray:
    """The lower half of the spleen is missing."""
    lower = labels[:6]
    lower[lower == 7] = 0
    return labels


def retrain(small: Small, model: ModelParams, round_number: int, **params) -> Model:
    retrain_round(
        small.cases, small.schema, small.ledger, round_number, RetrainParams(models={"m": model}, **params), ONE
    )
    home = layout.NEXT_MODELS / "m"
    return Model(home, check_model(home), small.schema)


def go_on() -> None:
    """What `round open` does to models."""
    shutil.rmtree(layout.BASE_MODELS, ignore_errors=True)
    shutil.move(layout.NEXT_MODELS, layout.BASE_MODELS)
    shutil.copyfile(layout.NEXT_CARDS, layout.BASE_CARDS)


def said(model: Model, small: Small) -> dict[str, np.ndarray]:
    (job,) = network_predictions(model, [c for c in small.cases if c.case_id == "c3"], InferParams(), ONE)
    out = Path("said") / f"{model.card.id}.b2nd"
    job.predict(out)
    found = open_soft(out)
    return {name: found.probabilities(name) for name in found.classes}


def dice(found: np.ndarray, small: Small, name: str) -> float:
    true = small.schema.mask(draw(3)[1], name)
    return 2 * float((true & (found > 0.5)).sum()) / float(true.sum() + (found > 0.5).sum())


@pytest.mark.parametrize("model", [pytest.param(UNET, id="unet"), pytest.param(NN, id="nn", marks=pytest.mark.slow)])
def test_a_head_learns_what_people_corrected_and_goes_on_from_round_to_round(small, model):
    before = said(retrain(painted(small, half), model, 0), small)
    go_on()
    right = painted(small, origin=Origin.REVISED, version=1)
    one = retrain(right, model, 1, strategy="continual", continual_iterations=0.5)
    after = said(one, small)
    assert dice(before["spleen"], small, "spleen") < 0.8
    assert dice(after["spleen"], small, "spleen") > 0.9
    for name in ("organ", "lesion"):
        np.testing.assert_array_equal(after[name], before[name])
    assert one.card.taught_by == {"spleen": {"people": 3, "model": 0}}
    assert features()
    assert not list(Path(".memo/heads").glob("[0-9a-f]*"))
    go_on()

    right.ledger["c0", "organ"] = replace(right.ledger["c0", "organ"], origin=Origin.REVISED, version=2)
    two = retrain(right, model, 2, strategy="continual")
    last = said(two, small)
    assert list(heads(read_json(two.folder / DATASET))) == ["organ", "spleen"]
    for name in ("spleen", "lesion"):
        np.testing.assert_array_equal(last[name], after[name])
    assert not np.array_equal(last["organ"], after["organ"])
    go_on()

    right.ledger["c0", "spleen"] = replace(right.ledger["c0", "spleen"], version=3)
    slow = model.model_copy(update={"learning_rate": 1e-9})
    three = retrain(right, slow, 3, strategy="continual")
    assert three.card.id != two.card.id
    for layer, tensor in head_of(load_tensors(three.folder), "spleen").items():
        np.testing.assert_allclose(tensor, head_of(load_tensors(layout.BASE_MODELS / "m"), "spleen")[layer], atol=1e-6)
    listed = [(c["round"], c["parent"]) for c in json.loads(layout.NEXT_CARDS.read_text("utf-8"))]
    assert listed == [(0, ""), (1, one.card.parent), (2, one.card.id), (3, two.card.id)]


@pytest.mark.parametrize("embeddings", ["random", {"spleen": [1.0, 0.0]}])
def test_a_new_head_has_the_embedding_of_its_class_and_keeps_it(small, embeddings):
    model = UNET.model_copy(update={"iterations": 8})
    retrain(painted(small, half), model, 0)
    go_on()
    right = painted(small, origin=Origin.REVISED, version=1)
    one = retrain(right, model, 1, strategy="continual", head_embeddings=embeddings)
    head = head_of(load_tensors(one.folder), "spleen")
    np.testing.assert_allclose(head["embedding"], embedding_of("spleen", embeddings), rtol=1e-6)
    assert head["controller.weight"].abs().sum() > 0
    assert said(one, small)["spleen"].max() > 0
    go_on()
    right.ledger["c0", "spleen"] = replace(right.ledger["c0", "spleen"], version=2)
    two = retrain(right, model, 2, strategy="continual")
    after = head_of(load_tensors(two.folder), "spleen")
    np.testing.assert_array_equal(after["embedding"], head["embedding"])
    assert not np.array_equal(after["controller.weight"], head["controller.weight"])


def features() -> set[str]:
    """Names of what is kept of windows."""
    return {path.name for path in Path(".memo/trunk").glob("*") if path.is_dir()}


def hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_without_revisions_the_base_model_goes_on(small, capsys):
    model = UNET.model_copy(update={"iterations": 1})
    retrain(small, model, 0)
    before = hashes(layout.NEXT_MODELS)
    go_on()
    retrain(small, model, 1, strategy="continual")
    assert hashes(layout.NEXT_MODELS) == before
    assert "m goes on unchanged: no class was revised since" in capsys.readouterr().err


def test_what_a_killed_training_had_done_is_not_done_again(small, monkeypatch):
    model = UNET.model_copy(update={"iterations": 4})
    retrain(painted(small, half), model, 0)
    go_on()
    right = painted(small, origin=Origin.REVISED, version=1)
    retrain(right, model, 1, strategy="continual", continual_iterations=1.0)
    whole = hashes(layout.NEXT_MODELS)
    for key in Path(".memo/retrain").glob("[0-9a-f]*"):
        shutil.rmtree(key)
    with monkeypatch.context() as patch:
        patch.setattr(learn_heads, "_begin", lambda *_: (_ for _ in ()).throw(VoxledgerError("killed", "no way")))
        with pytest.raises(CasesFailed, match="killed"):
            retrain(right, model, 1, strategy="continual", continual_iterations=1.0)
    assert len(features()) == 6
    monkeypatch.setattr("voxledger.models.trunk.RunTrunk._features", lambda *_: pytest.fail("the trunk ran again"))
    retrain(right, model, 1, strategy="continual", continual_iterations=1.0)
    assert hashes(layout.NEXT_MODELS) == whole


def test_the_network_runs_in_the_next_round_over_cases_alone_that_changed(small, monkeypatch):
    noted = {}
    monkeypatch.setattr("voxledger.retrain.run.note_used", lambda stage, keys: noted.update({stage: set(keys)}))
    model, asked = UNET.model_copy(update={"iterations": 4}), {"strategy": "continual", "replay": 1.0}
    retrain(painted(small, half), model, 0)
    go_on()
    right = painted(small, origin=Origin.REVISED, version=1)
    retrain(right, model, 1, **asked)
    first = features()
    assert len(first) == 6  # two windows of each
    assert noted == {"trunk": first}  # what `memo prune` leaves
    go_on()

    ran, run_trunk = [], RunTrunk._features
    monkeypatch.setattr(
        RunTrunk, "_features", lambda job, *more: ran.append(job.look.case.case_id) or run_trunk(job, *more)
    )
    last = right.ledger["c1", "spleen"]
    labels = half(draw(1)[1].copy())
    Path("data/release/labels/c1.nii.gz").unlink()
    write("data/release/labels/c1.nii.gz", labels, GRID)
    right.ledger["c1", "spleen"] = replace(
        last, version=2, mask_sha256=mask_sha256(small.schema.mask(labels, "spleen"), GRID)
    )
    two = retrain(right, model, 2, **asked)
    assert set(ran) == {"c1"}
    assert len(features()) == 6
    assert len(features() & first) == 4  # those of c1 as it was have gone
    whole = hashes(layout.NEXT_MODELS)
    shutil.rmtree(layout.MEMO)
    ran.clear()
    assert retrain(right, model, 2, **asked).card.id == two.card.id
    assert set(ran) == set(NAMES)
    assert hashes(layout.NEXT_MODELS) == whole  # the card counts voxels as where nothing is remembered


@pytest.mark.parametrize("listed", ["", "{}", "[]", '{"keys": 1}', '{"keys": [1]}', '{"keys": ["../../data"]}'])
def test_a_damaged_list_of_features_removes_nothing(small, listed):
    model = UNET.model_copy(update={"iterations": 1})
    retrain(painted(small, half), model, 0)
    go_on()
    Path(".memo/trunk").mkdir(parents=True)
    Path(".memo/trunk/m.json").write_text(listed)
    right = painted(small, origin=Origin.REVISED, version=1)
    before = hashes(layout.RELEASE_LABELS)
    retrain(right, model, 1, strategy="continual")
    assert hashes(layout.RELEASE_LABELS) == before
    assert set(kept_of("m")) == features()


def test_disk_for_features_is_bounded_and_one_window_a_case_is_kept(small):
    model = UNET.model_copy(update={"iterations": 1})
    retrain(painted(small, half), model, 0)
    go_on()
    right = painted(small, origin=Origin.REVISED, version=1)
    retrain(right, model, 1, strategy="continual")
    whole = features()
    bytes_of_one = sum(path.stat().st_size for path in Path(".memo/trunk").glob("*/features.npy")) / len(whole)
    for windows, entries in ((0, 3), (1.5, 3), (2, 6)):
        retrain(right, model, 1, strategy="continual", features_gb=max(1e-9, 3 * windows * bytes_of_one / 1e9))
        assert len(features()) == entries
        assert features() <= whole  # with more or less room the first ones are the same


def test_features_that_no_model_goes_on_from_go_with_the_next_training(small, monkeypatch):
    """Of trainings that failed and whose cases changed since, of older versions, of a network that was replaced."""
    noted = {}
    monkeypatch.setattr("voxledger.retrain.run.note_used", lambda stage, keys: noted.update({stage: set(keys)}))
    model = UNET.model_copy(update={"iterations": 1})
    retrain(painted(small, half), model, 0)
    go_on()
    right = painted(small, origin=Origin.REVISED, version=1)
    with monkeypatch.context() as patch:
        patch.setattr(learn_heads, "_begin", lambda *_: (_ for _ in ()).throw(VoxledgerError("killed", "no way")))
        with pytest.raises(CasesFailed, match="killed"):
            retrain(right, model, 1, strategy="continual", seed=7)
    older, mine = Path(".memo/trunk") / ("0" * 64), Path(".memo/trunk/notes")
    older.mkdir()
    (older / "0.npy").write_bytes(b"")
    mine.mkdir()
    assert len(features()) == 8
    retrain(right, model, 1, strategy="continual")
    assert features() == {*kept_of("m"), "notes"}
    assert len(kept_of("m")) == 6
    go_on()
    retrain(right, model, 2)
    assert features() == {"notes"}
    assert noted == {"trunk": set()}  # what `memo prune` leaves


def test_a_model_leaves_features_of_another_with_the_same_network_until_nobody_names_that(small):
    models = {name: UNET.model_copy(update={"iterations": 1}) for name in ("m", "n")}
    for number, chosen in enumerate([models, models, {"m": models["m"]}]):
        wrong = painted(small, half) if number == 0 else painted(small, origin=Origin.REVISED, version=number)
        strategy, replay = ("full", 0.0) if number == 0 else ("continual", 1.0)
        params = RetrainParams(models=chosen, strategy=strategy, replay=replay, seed=number)
        retrain_round(wrong.cases, wrong.schema, wrong.ledger, number, params, ONE)
        if number == 1:
            assert features() == set(kept_of("m")) == set(kept_of("n"))
            keep_for_next_round("m", [])
            assert features() == set(kept_of("n"))
        go_on()
    assert features() == set(kept_of("m"))
    assert not features() & set(kept_of("n"))


def test_features_of_another_version_of_a_backend_are_computed_again(small, tmp_path, monkeypatch):
    backend = "from voxledger.models.monai import BACKEND\n"
    for version in ("1", "2"):
        site = tmp_path / f"site-{version}"
        install(site, "acme-nets", {"backends.acme": "acme_nets"}, {"acme_nets": backend}, version)
    asked = {"strategy": "continual", "replay": 1.0}
    with monkeypatch.context() as patch:
        patch.syspath_prepend(tmp_path / "site-1")
        model = ModelParams(**{**UNET.model_dump(), "backend": "acme", "iterations": 1})
        retrain(painted(small, half), model, 0)
        go_on()
        right = painted(small, origin=Origin.REVISED, version=1)
        retrain(right, model, 1, **asked)
    first = features()
    go_on()
    monkeypatch.syspath_prepend(tmp_path / "site-2")
    right.ledger["c1", "spleen"] = replace(right.ledger["c1", "spleen"], version=2)
    retrain(right, model, 2, **asked)
    assert first
    assert not features() & first


def test_that_a_case_has_nothing_to_look_at_is_remembered_for_the_next_round(small):
    """A model of the organ, and a case without it."""
    model = UNET.model_copy(update={"iterations": 1, "region": RegionParams(inside="organ", margin_mm=2)})
    retrain(painted(small, half), model, 0)
    go_on()
    right = painted(small)
    labels = np.where(draw(1)[1] < 3, 0, draw(1)[1])
    Path("data/release/labels/c1.nii.gz").unlink()
    write("data/release/labels/c1.nii.gz", labels, GRID)
    for (case_id, name), entry in list(right.ledger.items()):
        digest = mask_sha256(small.schema.mask(labels, name), GRID) if case_id == "c1" else entry.mask_sha256
        right.ledger[case_id, name] = replace(entry, origin=Origin.REVISED, version=1, mask_sha256=digest)
    retrain(right, model, 1, strategy="continual")
    entries = [path for path in Path(".memo/trunk").glob("*") if path.is_dir()]
    (nothing,) = [path.name for path in entries if not (path / "features.npy").exists()]
    assert nothing in kept_of("m")


def test_a_label_that_is_not_the_ledgers_mask_teaches_nothing(small):
    model = UNET.model_copy(update={"iterations": 1})
    retrain(small, model, 0)
    go_on()
    right = painted(small, origin=Origin.REVISED, version=1)
    drawn = replace(right.ledger["c1", "spleen"], origin=Origin.PREDICTED, mask_sha256="0" * 64)
    right.ledger["c1", "spleen"] = drawn
    retrain(right, model, 1, strategy="continual")
    right.ledger["c1", "organ"] = replace(right.ledger["c1", "organ"], version=1)
    with pytest.raises(CasesFailed, match=r"case c1: spleen in .* is not the mask that the ledger names"):
        retrain(right, model, 1, strategy="continual", hybrid=True)


def test_full_training_learns_from_the_models_where_it_is_asked_to(small):
    model = UNET.model_copy(update={"iterations": 1})
    small = small.with_origin("c1", "spleen", Origin.PREDICTED)
    alone = retrain(small, model, 0).card.taught_by["spleen"]
    assert "ignore" in read_json(layout.NEXT_MODELS / "m" / DATASET)["labels"]
    both = retrain(small, model, 0, hybrid=True).card.taught_by["spleen"]
    assert "ignore" not in read_json(layout.NEXT_MODELS / "m" / DATASET)["labels"]
    assert (alone, both) == ({"people": 2, "model": 0}, {"people": 2, "model": 1})


def test_a_head_is_found_under_a_new_name_and_is_no_part_of_what_others_get(small, capsys):
    model = UNET.model_copy(update={"iterations": 2})
    retrain(small, model, 0)
    go_on()
    right = painted(small, origin=Origin.REVISED, version=1)
    one = retrain(right, model, 1, strategy="continual", continual_iterations=1.0)
    with pytest.raises(Misuse, match="model m has heads, of spleen"):
        export_model(one, "monai-bundle", Path("out"))
    go_on()
    former = (FormerName(name="spleen", round=2, date=datetime.date(2025, 5, 1)),)
    renamed = right.schema["spleen"].model_copy(update={"name": "lien", "formerly": former})
    today = LabelSchema(name="small", classes=(*right.schema.classes[:2], renamed))
    ledger = {(i, "lien" if n == "spleen" else n): e for (i, n), e in right.ledger.items()}
    ledger = {key: replace(e, class_name=key[1]) for key, e in ledger.items()}
    later = replace(right, schema=today, ledger=ledger)
    np.testing.assert_array_equal(
        said(Model(layout.BASE_MODELS / "m", one.card, today), later)["lien"], said(one_at_base(one), right)["spleen"]
    )
    ledger["c0", "lien"] = replace(ledger["c0", "lien"], version=2)
    two = retrain(later, model.model_copy(update={"learning_rate": 1e-9}), 2, strategy="continual")
    assert list(heads(read_json(two.folder / DATASET))) == ["lien"]
    before, after = head_of(load_tensors(layout.BASE_MODELS / "m"), "spleen"), head_of(load_tensors(two.folder), "lien")
    assert before.keys() == after.keys()
    retrain(later, model, 2, strategy="finetune")
    assert "leaves the heads of lien behind" in capsys.readouterr().err


def one_at_base(model: Model) -> Model:
    return replace(model, folder=layout.BASE_MODELS / "m")


def test_a_model_of_a_region_looks_at_the_same_region(small):
    model = UNET.model_copy(update={"iterations": 1, "region": RegionParams(inside="organ", margin_mm=2)})
    retrain(small, model, 0)
    go_on()
    before = (layout.BASE_MODELS / "m/region.json").read_bytes()
    small.ledger["c0", "lesion"] = replace(small.ledger["c0", "lesion"], origin=Origin.REVISED, version=1)
    small.ledger.pop(("c1", "organ"))
    one = retrain(small, model, 1, strategy="continual")
    assert one.card.strategy == "continual"
    assert (one.folder / "region.json").read_bytes() == before
