"""Predictions of trained and precomputed models, through the memo."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxledger.engine.card import WEIGHTS, check_model
from voxledger.errors import VoxledgerError
from voxledger.infer.predict import predict_cases
from voxledger.infer.register import add_precomputed
from voxledger.params import InferParams, MachineParams, RetrainParams
from voxledger.retrain.run import retrain_round
from voxledger.soft import open_soft
from voxledger.volume import Grid, file_sha256, read, read_label, write

MODELS, OUT = Path("models/base"), Path("predictions")


def predict(small, models=MODELS, out=OUT, workers=1, step=0.5):
    predict_cases(
        small.cases,
        models,
        out,
        small.schema,
        InferParams(step=step),
        MachineParams(workers=workers),
        Path("log.jsonl"),
    )


def hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


@pytest.fixture
def trained(small, tiny):
    """The small cases with an nnU-Net and a MONAI U-Net in models/base."""
    retrain_round(
        small.cases,
        small.schema,
        small.ledger,
        small.labels,
        Path("models/none"),
        MODELS,
        0,
        RetrainParams(models=tiny),
        MachineParams(workers=1),
        Path("cohort.csv"),
        Path("models/next.json"),
    )
    return small


def test_soft_predictions_follow_the_contract(trained):
    predict(trained)
    assert len(list(OUT.rglob("*.b2nd"))) == 2 * 4
    assert len(Path("log.jsonl").read_text().splitlines()) == 2 * 4
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
    monkeypatch.setattr("voxledger.infer.predict._predict", lambda *_: pytest.fail("predicted again"))
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


def test_no_models_is_no_error(small):
    predict(small)
    assert OUT.is_dir()
    assert Path("log.jsonl").read_text() == ""


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
    retrain_round(
        small.cases,
        small.schema,
        small.ledger,
        small.labels,
        Path("models/none"),
        MODELS,
        0,
        RetrainParams(models=models),
        MachineParams(workers=1),
        Path("cohort.csv"),
        Path("models/next.json"),
    )
    predict(small)
    for name in models:
        soft = open_soft(OUT / name / "c0.b2nd")
        assert soft.grid.shape == (20, 12, 24)
        assert soft.read("organ").shape == (20, 12, 24)


def _hashed_again(small):
    from voxledger.volume import mask_sha256

    ledger = {}
    for (case_id, name), entry in small.ledger.items():
        grid = read(f"images/{case_id}.nii.gz").grid
        mask = small.schema.mask(read_label(f"labels/{case_id}.nii.gz"), name)
        ledger[case_id, name] = replace(entry, mask_sha256=mask_sha256(mask, grid))
    return ledger


def test_precomputed_label_maps_become_zero_and_one(small):
    """Only for the cases there are; a lesion counts as organ."""
    folder = Path("outside")
    for case_id in ("c0", "c2"):
        write(
            folder / f"{case_id}.nii.gz", read_label(f"labels/{case_id}.nii.gz"), read(f"images/{case_id}.nii.gz").grid
        )
    MODELS.mkdir(parents=True)
    card = add_precomputed("ts", folder, "ts-2.4", "MIT", small.cases, small.schema, MODELS, 1)
    assert card.params["cases"] == 2
    predict(small)
    assert sorted(p.name for p in (OUT / "ts").iterdir()) == ["c0.b2nd", "c2.b2nd"]
    labels, soft = read_label("labels/c2.nii.gz"), open_soft(OUT / "ts/c2.b2nd")
    assert soft.model_id == "ts-2.4"
    for name in small.schema.names:
        np.testing.assert_array_equal(soft.read(name) == 1, small.schema.mask(labels, name))

    (MODELS / "ts/predictions/c0.nii.gz").unlink()
    with pytest.raises(VoxledgerError, match="ts/predictions is not what was registered"):
        predict(small)
