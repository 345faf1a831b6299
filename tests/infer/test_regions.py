"""Models of a region: after the others, around the organ that those found, and pasted back."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxledger import layout
from voxledger.errors import CasesFailed
from voxledger.imaging.boxes import bounding_box, grown
from voxledger.imaging.soft import FLOOR, NOWHERE, ensemble_mean, open_soft
from voxledger.imaging.volume import file_sha256, mask_sha256, read, read_label, write
from voxledger.infer.predict import predict_cases, predict_round, require_predictions
from voxledger.models.precomputed.adopt import add_precomputed
from voxledger.models.process import single_thread
from voxledger.models.region import organs_not_found
from voxledger.params import InferParams, MachineParams, RegionParams, RetrainParams
from voxledger.records.card import check_model
from voxledger.records.ledger import Entry, Origin, write_ledger
from voxledger.records.predicted import ensembles, write_predicted
from voxledger.registry import BACKENDS
from voxledger.retrain.run import retrain_round

MODELS, OUT, TABLE = Path("models/base"), Path("predictions"), Path("infer.jsonl")
MARGIN = 3.0


def predict(small, out=OUT, workers=1):
    return predict_cases(small.cases, MODELS, out, small.schema, InferParams(), MachineParams(workers=workers))


def hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*.b2nd"))}


def find_organ(small, *, lost: str = "", moved: int = 0, model_id: str = "maps-1") -> None:
    """Add a model that finds the organ where it is, in one case not at all."""
    shutil.rmtree("maps", ignore_errors=True)
    shutil.rmtree(MODELS / "maps", ignore_errors=True)
    for case in small.cases:
        labels = read_label(f"data/release/labels/{case.case_id}.nii.gz")
        labels = np.where(labels == 2, 1, labels)
        labels = np.where(case.case_id == lost, np.where(labels == 7, 7, 0), np.roll(labels, moved, 2))
        write(f"maps/{case.case_id}.nii.gz", labels.astype(np.uint8), read(case.image).grid)
    classes = ["organ", "spleen"]
    add_precomputed("maps", Path("maps"), model_id, "CC0-1.0", small.cases, small.schema, MODELS, 0, classes)


@pytest.fixture
def regional(small, tiny):
    """Two models of the organ, of both backends, in models/base beside one that finds it."""
    region = RegionParams(inside="organ", margin_mm=MARGIN)
    params = RetrainParams(models={name: model.model_copy(update={"region": region}) for name, model in tiny.items()})
    retrain_round(small.cases, small.schema, small.ledger, 0, params, MachineParams(workers=1))
    Path("models/next").rename(MODELS)
    find_organ(small)
    return small


def around(small, case_id: str):
    """The box that a model of the organ looks at."""
    mask = small.schema.mask(read_label(f"data/release/labels/{case_id}.nii.gz"), "organ")
    return grown(bounding_box(mask), (2, 3, 3), mask.shape)


@pytest.mark.parametrize("name", ["nn", "unet"])
def test_what_is_pasted_back_is_what_the_backend_says_of_the_crop(regional, name):
    predict(regional)
    case = regional.cases[3]
    box, image = around(regional, case.case_id), read(case.image)
    card = check_model(MODELS / name)
    from importlib import import_module

    backend = import_module(f"{BACKENDS.get(card.backend).package}.predict")
    with single_thread("cpu"):
        channels = backend.predict(MODELS / name, card.id, image.cropped(box), InferParams(), "cpu")
        expected = dict(channels.by_class(regional.schema))
    soft = open_soft(OUT / name / f"{case.case_id}.b2nd")
    assert soft.classes == ("organ", "lesion") == tuple(expected)
    assert (soft.extent, soft.grid) == (box, image.grid)
    for class_name, values in expected.items():
        whole = np.zeros(image.grid.shape, np.float16)
        whole[box] = np.where(values >= FLOOR, values, 0).astype(np.float16)
        np.testing.assert_array_equal(soft.read(class_name), whole)
    assert soft.read("organ")[box].max() > 0


def test_a_model_of_a_region_has_a_say_in_its_crop_alone(regional):
    """Within it the mean is that of all three, outside the organ is what the one model says that looked there."""
    predict(regional)
    softs = [open_soft(OUT / name / "c3.b2nd") for name in ("maps", "nn", "unet")]
    mean, box = ensemble_mean(softs, "organ"), around(regional, "c3")
    inside = np.zeros(mean.shape, bool)
    inside[box] = True
    np.testing.assert_array_equal(mean[~inside], softs[0].read("organ").astype(np.float32)[~inside])
    three = np.sum([s.read("organ").astype(np.float32) for s in softs], axis=0) / np.float32(3)
    np.testing.assert_array_equal(mean[inside], three[inside])
    assert (mean[inside] != softs[0].read("organ")[inside]).any()


def test_where_the_organ_is_not_found_nothing_is_said_and_that_is_known(regional):
    find_organ(regional, lost="c2")
    rows = predict(regional)
    for name in ("nn", "unet"):
        soft = open_soft(OUT / name / "c2.b2nd")
        assert (soft.classes, soft.extent) == (("organ", "lesion"), NOWHERE)
        assert not soft.read("organ").any()
        assert not soft.looked_for("organ")
    assert {(r.case_id, r.model) for r in rows if not r.classes} == {("c2", "nn"), ("c2", "unet")}
    assert organs_not_found(rows, MODELS, regional.schema) == {"c2": ["organ"]}
    assert ensembles(rows)["c2"].by_class == {"organ": ("maps-1",), "spleen": ("maps-1",)}
    softs = [open_soft(OUT / name / "c2.b2nd") for name in ("maps", "nn", "unet")]
    np.testing.assert_array_equal(ensemble_mean(softs, "organ"), softs[0].read("organ"))
    assert not ensemble_mean(softs[1:], "organ").any()


def test_without_any_model_that_finds_the_organ_no_case_has_one(regional):
    shutil.rmtree(MODELS / "maps")
    rows = predict(regional)
    assert len(rows) == 8
    assert not any(r.classes for r in rows)


@pytest.mark.slow
def test_neither_workers_nor_order_change_a_byte_and_nothing_is_computed_twice(regional, monkeypatch):
    rows = predict(regional)
    shutil.rmtree(".memo")
    turned = replace(regional, cases=regional.cases[::-1])
    assert predict(turned, Path("again"), workers=2) == rows
    assert hashes(Path("again")) == hashes(OUT)
    from voxledger.models.prediction import NetworkPrediction

    monkeypatch.setattr(NetworkPrediction, "_predict", lambda *_: pytest.fail("predicted again"))
    assert predict(regional, Path("third")) == rows
    assert hashes(Path("third")) == hashes(OUT)


@pytest.mark.parametrize("change", ["another finder", "another image", "people", "a model of the region"])
def test_the_key_of_a_prediction_has_what_found_the_organ_in_it(regional, change):
    before = {(r.case_id, r.model): r.key for r in predict(regional)}
    if change == "another finder":
        find_organ(regional, moved=2, model_id="maps-2")
        changed = {"c0", "c1", "c2", "c3"}
    elif change == "people":
        stand_behind(regional)
        changed = {"c0", "c1", "c2"}
    elif change == "another image":
        find = read(regional.cases[0].image)
        write(regional.cases[0].image, find.array + 1, find.grid)
        cases = [replace(c, sha256=file_sha256(c.image)) for c in regional.cases]
        regional, changed = replace(regional, cases=cases), {"c0"}
    else:
        shutil.rmtree(MODELS / "nn")
        changed = set()
    after = {(r.case_id, r.model): r.key for r in predict(regional, Path("again"))}
    assert {c for (c, model), key in after.items() if model == "unet" and before[c, model] != key} == changed


def stand_behind(small, *, moved: int = 0, origin: Origin = Origin.SOURCE, lost: str = "") -> None:
    """Base labels of every case, the organ somewhere else than the models find it."""
    ledger = {}
    for case in small.cases:
        grid = read(case.image).grid
        labels = np.roll(read_label(f"data/release/labels/{case.case_id}.nii.gz"), moved, 1)
        labels = labels * (case.case_id != lost)
        write(layout.label_map(layout.BASE_LABELS, case.case_id), labels.astype(np.uint8), grid)
        mask = small.schema.mask(labels, "organ")
        ledger[case.case_id, "organ"] = Entry(
            case.case_id, "organ", 0, origin, (), "", "", mask_sha256(mask, grid), "", float(mask.sum()) * 0.002
        )
    write_ledger(layout.BASE_LEDGER, ledger, small.schema.names)


def extents(small):
    predict(small)
    return {case.case_id: open_soft(OUT / "unet" / f"{case.case_id}.b2nd").extent for case in small.cases}


def test_people_say_where_the_organ_is_in_the_pool_and_models_in_cases_that_judge_them(regional):
    by_models = extents(regional)
    stand_behind(regional, moved=1)
    found = extents(regional)
    assert found["c3"] == by_models["c3"]
    for case_id in ("c0", "c1", "c2"):
        z, y, x = by_models[case_id]
        assert found[case_id] == (z, slice(max(y.start + 1, 0), y.stop + 1), x)


@pytest.mark.parametrize("case", [{"origin": Origin.PREDICTED}, {"lost": "c0"}], ids=["predicted", "said to be absent"])
def test_models_say_where_the_organ_is_where_people_do_not(regional, case):
    by_models = extents(regional)
    stand_behind(regional, moved=1, **case)
    assert extents(regional)["c0"] == by_models["c0"]


def test_a_label_that_is_not_what_people_stand_behind_is_refused(regional):
    stand_behind(regional)
    label = layout.label_map(layout.BASE_LABELS, "c1")
    write(label, np.zeros((12, 20, 24), np.uint8), read(regional.cases[1].image).grid)
    with pytest.raises(CasesFailed, match=r"case c1: organ in data/base/labels/c1.nii.gz is not the mask"):
        predict(regional)


def need(small, cases):
    return require_predictions(
        cases, small.schema, InferParams(), MachineParams(workers=1), models_dir=MODELS, out=OUT, table=TABLE
    )


@pytest.mark.parametrize("gone", ["all", "those of a region"])
def test_in_a_clone_they_are_made_again_under_the_same_keys(regional, gone):
    """Also where only the second wave is missing, and in a case in which the organ is not found."""
    find_organ(regional, lost="c1")
    rows = predict_round(regional.cases, MODELS, OUT, regional.schema, InferParams(), MachineParams(workers=1))
    write_predicted(TABLE, rows)
    first = hashes(OUT)
    shutil.rmtree(".memo")
    if gone == "all":
        shutil.rmtree(OUT)
    else:
        shutil.rmtree(OUT / "unet")
    need(regional, regional.cases[:2])
    assert hashes(OUT).items() <= first.items()
    need(regional, regional.cases)
    assert hashes(OUT) == first
