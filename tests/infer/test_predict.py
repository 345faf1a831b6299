"""Predictions of trained and precomputed models, through the memo."""

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
from voxledger.errors import VoxledgerError
from voxledger.imaging.soft import ensemble_mean, open_soft, write_soft
from voxledger.imaging.volume import Grid, file_sha256, read, read_label, write
from voxledger.infer import predict as stage
from voxledger.infer.predict import predict_cases, predict_round, require_predictions, to_predict
from voxledger.models.precomputed.adopt import add_precomputed
from voxledger.models.prediction import NetworkPrediction
from voxledger.params import InferParams, MachineParams, RetrainParams
from voxledger.records.card import DATASET, WEIGHTS, check_model, write_card
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Entry, Origin, write_ledger
from voxledger.records.predicted import write_predicted
from voxledger.retrain.run import retrain_round
from voxledger.schema import LabelSchema
from voxledger.textfile import read_json

MODELS, OUT = Path("models/base"), Path("predictions")


def predict(small, models=MODELS, out=OUT, workers=1, step=0.5):
    return predict_cases(small.cases, models, out, small.schema, InferParams(step=step), MachineParams(workers=workers))


def train(small, params):
    """The next models."""
    retrain_round(small.cases, small.schema, small.ledger, 0, params, MachineParams(workers=1))


def hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def trained(small, tiny):
    """The small cases with an nnU-Net and a MONAI U-Net in models/base."""
    train(small, RetrainParams(models=tiny))
    layout.NEXT_MODELS.rename(MODELS)
    return small


def test_soft_predictions_follow_the_contract(trained):
    rows = predict(trained)
    assert len(list(OUT.rglob("*.b2nd"))) == 2 * 4
    assert {r.file for r in rows} == {p.relative_to(OUT).as_posix() for p in OUT.rglob("*.b2nd")}
    assert {r.classes for r in rows} == {("organ", "lesion", "spleen")}
    for name in ("nn", "unet"):
        for case in trained.cases:
            soft = open_soft(OUT / name / f"{case.case_id}.b2nd")
            assert soft.classes == ("organ", "lesion", "spleen")
            assert (soft.model_id, soft.image_sha256) == (check_model(MODELS / name).id, case.sha256)
            assert soft.grid == read(case.image).grid
            organ, lesion, spleen = (soft.read(n).astype(np.float32) for n in soft.classes)
            assert (organ >= lesion).all()
            assert (organ + spleen <= 1.001).all()
            assert 0 < organ.mean() < 1


def test_a_second_run_computes_nothing_wherever_the_model_lies(trained, monkeypatch):
    predict(trained)
    first = hashes(OUT)
    shutil.copytree(MODELS, "models/copy")
    monkeypatch.setattr(NetworkPrediction, "predict", lambda *_: pytest.fail("predicted again"))
    predict(trained, models=Path("models/copy"), out=Path("again"))
    assert hashes(Path("again")) == first


@pytest.mark.slow
def test_the_number_of_workers_changes_no_byte(trained):
    predict(trained)
    shutil.rmtree(".memo")
    predict(trained, out=Path("again"), workers=2)
    assert hashes(Path("again")) == hashes(OUT)


def test_an_altered_model_or_image_is_refused_by_name(trained):
    image = read("images/c1.nii.gz")
    image.array[0, 0, 0] += 1
    write("images/c1.nii.gz", image.array, image.grid)
    with pytest.raises(VoxledgerError, match=r"case c1: images/c1.nii.gz is not the image that was registered"):
        predict(trained)
    with open(MODELS / "unet" / WEIGHTS, "r+b") as stream:
        stream.seek(-1, 2)
        stream.write(b"\x55")
    with pytest.raises(VoxledgerError, match=r"unet/weights.safetensors does not fit the id"):
        predict(trained)


def test_a_prediction_is_remembered_by_all_that_it_depends_on(small, monkeypatch):
    """Of a model from elsewhere: its file and the classes that it knows, too."""

    def key(of=small, **params):
        found = keys_of(stage, lambda: predict(of, **params))
        return found[f"{of.cases[0].case_id} (m)"]

    def add(name="m", model_id="m-1", classes=("organ", "lesion")):
        shutil.rmtree(MODELS, ignore_errors=True)
        MODELS.mkdir(parents=True)
        add_precomputed(name, Path("files"), model_id, "CC0-1.0", small.cases, small.schema, MODELS, 0, classes)

    def with_class(number, **change):
        classes = [c.model_copy(update=change if i == number else {}) for i, c in enumerate(small.schema.classes)]
        return replace(small, schema=small.schema.model_copy(update={"classes": tuple(classes)}))

    labels, grid = read_label("data/release/labels/c0.nii.gz"), read("images/c0.nii.gz").grid
    write("files/c0.nii.gz", np.where(labels < 7, labels, 0), grid)
    add()
    first = key()
    assert key() == first
    one = small.cases[0]
    changed = [
        key(step=0.25),
        key(replace(small, cases=[replace(one, sha256="x")])),
        key(with_class(0, id=9)),
        key(with_class(2, inside="organ")),
    ]
    add(model_id="m-2")
    changed.append(key())
    add(classes=("organ", "lesion", "spleen"))
    changed.append(key())
    write("files/c0.nii.gz", np.where(labels < 2, labels, 0), grid)
    add()
    changed.append(key())
    monkeypatch.setitem(VERSIONS, "infer", -1)
    changed.append(key())
    assert len({first, *changed}) == 1 + len(changed)


def test_no_models_is_no_error(small):
    assert predict(small) == []
    assert OUT.is_dir()


def test_working_spacing_and_axis_order_lead_back_to_the_image(small, tiny):
    """Coarser working spacing and a coronal stack: predictions lie on the grid of the image."""
    models = {n: m.model_copy(update={"spacing": (2.5, 1.7, 1.7), "iterations": 1}) for n, m in tiny.items()}
    cases = []
    for case in small.cases:
        image = read(case.image)
        turned = Grid.plain((20, 12, 24), (1.0, 2.0, 1.0))
        write(case.image, image.array.transpose(1, 0, 2), turned)
        cases.append(replace(case, sha256=file_sha256(case.image)))
    for label in small.labels.iterdir():
        write(label, read_label(label).transpose(1, 0, 2), turned)
    small = replace(small, cases=cases, ledger=_hashed_again(small))
    models = {n: m.model_copy(update={"patch": (16, 8, 16)}) for n, m in models.items()}
    train(small, RetrainParams(models=models))
    layout.NEXT_MODELS.rename(MODELS)
    predict(small)
    for name in models:
        soft = open_soft(OUT / name / "c0.b2nd")
        assert soft.grid.shape == (20, 12, 24)
        assert soft.read("organ").shape == (20, 12, 24)


def _hashed_again(small):
    from voxledger.imaging.volume import mask_sha256

    ledger = {}
    for (case_id, name), entry in small.ledger.items():
        grid = read(f"images/{case_id}.nii.gz").grid
        mask = small.schema.mask(read_label(f"data/release/labels/{case_id}.nii.gz"), name)
        ledger[case_id, name] = replace(entry, mask_sha256=mask_sha256(mask, grid))
    return ledger


def test_precomputed_label_maps_become_zero_and_one(small):
    """Only for the cases there are; a lesion counts as organ."""
    folder = Path("outside")
    for case_id in ("c0", "c2"):
        write(
            folder / f"{case_id}.nii.gz",
            read_label(f"data/release/labels/{case_id}.nii.gz"),
            read(f"images/{case_id}.nii.gz").grid,
        )
    MODELS.mkdir(parents=True)
    card = add_precomputed("ts", folder, "ts-2.4", "MIT", small.cases, small.schema, MODELS, 1)
    assert card.params["cases"] == 2
    predict(small)
    assert sorted(p.name for p in (OUT / "ts").iterdir()) == ["c0.b2nd", "c2.b2nd"]
    labels, soft = read_label("data/release/labels/c2.nii.gz"), open_soft(OUT / "ts/c2.b2nd")
    assert soft.model_id == "ts-2.4"
    for name in small.schema.names:
        np.testing.assert_array_equal(soft.read(name) == 1, small.schema.mask(labels, name))

    (MODELS / "ts/predictions/c0.nii.gz").unlink()
    with pytest.raises(VoxledgerError, match="ts/predictions is not what was registered"):
        predict(small)


def without(small, folder: Path, class_name: str) -> None:
    """Label maps of every case, from which a class is missing."""
    for case in small.cases:
        labels = read_label(f"data/release/labels/{case.case_id}.nii.gz")
        missing = small.schema[class_name].id
        write(folder / f"{case.case_id}.nii.gz", np.where(labels == missing, 1, labels), read(case.image).grid)


@pytest.mark.parametrize("declared", [True, False], ids=["card with classes", "card of an older version"])
def test_a_label_map_model_has_no_say_in_a_class_that_it_does_not_know(small, declared):
    """A trained model is 0.90 sure of a lesion; label maps that have no lesions leave it at 0.90, not at 0.45."""
    without(small, Path("outside"), "lesion")
    MODELS.mkdir(parents=True)
    card = add_precomputed("ts", Path("outside"), "ts-1", "MIT", small.cases, small.schema, MODELS, 1)
    if not declared:
        params = {k: v for k, v in card.params.items() if k != "classes"}
        write_card(MODELS / "ts", card.model_copy(update={"params": params}))
    predict(small)
    for case in small.cases:
        maps = open_soft(OUT / "ts" / f"{case.case_id}.b2nd")
        assert maps.classes == ("organ", "spleen")
        lesion = small.schema.mask(read_label(f"data/release/labels/{case.case_id}.nii.gz"), "lesion") * np.float32(0.9)
        write_soft("trained.b2nd", [("lesion", lesion)], ["lesion"], maps.grid, "trained", case.sha256)
        mean = ensemble_mean([open_soft("trained.b2nd"), maps], "lesion")
        assert mean.max() == pytest.approx(0.9, abs=1e-3)


@pytest.mark.parametrize("name", ["nn", "unet"])
def test_a_trained_model_has_no_say_in_a_class_that_no_case_showed_it(small, tiny, name):
    """Its channel is there, but it has seen no voxel of the class: its 0 would halve what another model finds."""
    for case_id in ("c0", "c1", "c2"):
        small = small.with_origin(case_id, "spleen", Origin.PREDICTED)

    def untaught(strategy):
        models = {name: tiny[name].model_copy(update={"iterations": 1})}
        train(small, RetrainParams(models=models, strategy=strategy))
        return read_json(layout.NEXT_MODELS / name / DATASET)["untaught"]

    assert untaught("full") == ["spleen"]
    layout.NEXT_MODELS.rename(MODELS)
    predict(small)
    assert open_soft(OUT / name / "c0.b2nd").classes == ("organ", "lesion")
    for case_id in ("c0", "c1", "c2"):
        small = small.with_origin(case_id, "lesion", Origin.PREDICTED)
    # The organ around a lesion that nobody decided on is ignored; what the base was taught, its successor still knows.
    assert untaught("finetune") == ["spleen"]


def test_the_memo_does_not_serve_what_other_declared_classes_gave(small):
    without(small, Path("outside"), "lesion")
    MODELS.mkdir(parents=True)
    arguments = ("ts", Path("outside"), "ts-1", "MIT", small.cases, small.schema, MODELS, 1)
    for classes in (["organ", "spleen"], ["organ", "lesion", "spleen"]):
        shutil.rmtree(MODELS / "ts", ignore_errors=True)
        add_precomputed(*arguments, classes)
        predict(small)
        assert list(open_soft(OUT / "ts/c0.b2nd").classes) == classes


def test_older_label_maps_without_any_class_ask_to_be_registered_again(small):
    MODELS.mkdir(parents=True)
    write("outside/c0.nii.gz", np.zeros((12, 20, 24), np.uint8), read("images/c0.nii.gz").grid)
    card = add_precomputed("ts", Path("outside"), "ts-1", "MIT", small.cases, small.schema, MODELS, 1, ["lesion"])
    write_card(
        MODELS / "ts", card.model_copy(update={"params": {"cases": 1, "predictions": card.params["predictions"]}})
    )
    with pytest.raises(VoxledgerError, match=r"(?s)ts: no class occurs .* --classes"):
        predict(small)


TABLE = Path("infer.jsonl")


def need(small, cases, step=0.5):
    return require_predictions(
        cases, small.schema, InferParams(step=step), MachineParams(workers=1), models_dir=MODELS, out=OUT, table=TABLE
    )


@pytest.fixture
def predicted(small):
    """The small cases, predicted by a label-map model, and the table of that."""
    Path("maps").mkdir()
    for case in small.cases:
        shutil.copyfile(f"data/release/labels/{case.case_id}.nii.gz", f"maps/{case.case_id}.nii.gz")
    MODELS.mkdir(parents=True)
    add_precomputed("maps", Path("maps"), "maps-1", "CC0-1.0", small.cases, small.schema, MODELS, 0)
    rows = predict_round(small.cases, MODELS, OUT, small.schema, InferParams(), MachineParams(workers=1))
    write_predicted(TABLE, rows)
    return small


def test_predictions_that_are_not_here_are_made_again_and_no_others(predicted):
    first = hashes(OUT)
    shutil.rmtree(OUT)
    shutil.rmtree(".memo")
    need(predicted, predicted.cases[:1])
    assert [p.name for p in OUT.glob("*/*.b2nd")] == ["c0.b2nd"]
    need(predicted, predicted.cases)
    assert hashes(OUT) == first


@pytest.mark.parametrize("damage", ["altered", "of another run", "not noted"])
def test_predictions_that_are_not_what_the_table_names_are_made_again(predicted, damage):
    first = hashes(OUT)
    if damage == "altered":
        file = OUT / "maps/c1.b2nd"
        file.write_bytes(file.read_bytes()[:-1] + b"\x55")
    elif damage == "of another run":
        made = json.loads((OUT / "made.json").read_text())
        made["maps/c1.b2nd"][0] = "0" * 64
        (OUT / "made.json").write_text(json.dumps(made))
    else:
        (OUT / "made.json").unlink()
    need(predicted, predicted.cases)
    assert hashes(OUT) == first


def test_a_table_of_other_models_or_parameters_is_refused_by_file(predicted):
    shutil.rmtree(OUT)
    with pytest.raises(VoxledgerError, match=r"infer\.jsonl lists other predictions .*maps/c0\.b2nd"):
        need(predicted, predicted.cases, step=0.25)
    TABLE.write_text("{}\n")
    with pytest.raises(VoxledgerError, match=r"infer\.jsonl is not the table of predictions"):
        need(predicted, predicted.cases)


def test_what_another_model_left_is_removed(predicted):
    (OUT / "gone").mkdir()
    shutil.copyfile(OUT / "maps/c0.b2nd", OUT / "gone/c0.b2nd")
    need(predicted, [])
    assert not list((OUT / "gone").iterdir())


def test_pool_cases_that_are_trusted_in_every_class_can_be_left_out(tmp_path: Path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    schema = LabelSchema.model_validate({"name": "test", "classes": [{"id": 1, "name": "a"}, {"id": 2, "name": "b"}]})
    origins = {
        ("done", "pool"): (Origin.SOURCE, Origin.ACCEPTED),
        ("half", "pool"): (Origin.SOURCE, Origin.PREDICTED),
        ("one-row", "pool"): (Origin.SOURCE,),
        ("rejected", "pool"): (Origin.SOURCE, Origin.REJECTED),
        ("new", "pool"): (),
        ("judged", "test"): (Origin.SOURCE, Origin.SOURCE),
        ("calibrates", "calibration"): (Origin.SOURCE, Origin.SOURCE),
    }
    cases = [Case(name, "", "", name, "", "", Split(split), "CT", "") for name, split in origins]
    entries = [
        Entry(case_id, name, 0, origin, (), "", "", "", "", 0.0)
        for (case_id, _), found in origins.items()
        for name, origin in zip("ab", found, strict=False)
    ]
    layout.BASE_LEDGER.parent.mkdir(parents=True)
    write_ledger(layout.BASE_LEDGER, {(e.case_id, e.class_name): e for e in entries}, schema.names)
    assert to_predict(cases, schema, InferParams()) == cases
    left = to_predict(cases, schema, InferParams(skip_trusted=True))
    assert [c.case_id for c in left] == ["half", "one-row", "rejected", "new", "judged", "calibrates"]
