"""A model that nnU-Net trained comes in, predicts as there, is fine-tuned, goes out, and nnU-Net reads it again."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import trained_by_nnunet as theirs

from voxledger import layout
from voxledger.imaging.volume import file_sha256, mask_sha256, read, read_label, write
from voxledger.models.adopt import Said, adopt_model
from voxledger.models.export import export_model
from voxledger.models.model import Model
from voxledger.models.nnunet import predict as nnunet
from voxledger.params import InferParams, MachineParams, ModelParams, RetrainParams
from voxledger.records.card import ModelCard, check_model
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Entry, Ledger, Origin
from voxledger.retrain.run import retrain_round
from voxledger.schema import LabelClass, LabelSchema

pytestmark = pytest.mark.slow

SCHEMA = LabelSchema(name="mr", classes=(LabelClass(id=2, name="tail"), LabelClass(id=5, name="head")))
"""In another order than theirs, with ids of its own."""
MAP = "Anterior: head\nPosterior: tail\n"


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory, shared_data: Path) -> Path:
    root = tmp_path_factory.mktemp("nnunet")
    return theirs.train(root, theirs.cases_of(shared_data, 6), iterations=60)


@pytest.fixture(scope="module")
def image(shared_data: Path) -> Path:
    return theirs.cases_of(shared_data, 8)[7]


def by_nnunet(folder: Path, image: Path, folds: tuple[Any, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Labels (z, y, x) and probabilities (channel, z, y, x) that `nnUNetv2_predict` writes."""
    work = Path(tempfile.mkdtemp(dir="."))
    results = work / "results/Dataset001_any"
    for path in (results, work / "in", work / "raw", work / "preprocessed"):
        path.mkdir(parents=True)
    (results / "nnUNetTrainer__nnUNetPlans__3d_fullres").symlink_to(folder.resolve())
    shutil.copyfile(image, work / "in/case_0000.nii.gz")
    folders = {f"nnUNet_{name}": str((work / name).resolve()) for name in ("results", "raw", "preprocessed")}
    command = ["nnUNetv2_predict", "-i", "in", "-o", "out", "-d", "1", "-c", "3d_fullres", "-device", "cpu"]
    command += ["--save_probabilities", "-npp", "1", "-nps", "1", "-f", *map(str, folds)]
    subprocess.run(command, cwd=work, env={**os.environ, **folders}, check=True)
    probabilities = np.load(work / "out/case.npz")["probabilities"]
    return read(work / "out/case.nii.gz").array, probabilities


def by_us(folder: Path, model_id: str, image: Path) -> tuple[np.ndarray, dict[str, np.ndarray]]:
    """The most probable output (z, y, x), and probabilities by class."""
    found = nnunet.predict(folder, model_id, read(image), InferParams(), "cpu")
    channels = [found.probability(channel) for channel in range(3)]
    return np.argmax(channels, axis=0), dict(found.by_class(SCHEMA))


def adopt(trained: Path, **options: Any) -> tuple[Path, ModelCard]:
    Path("classes.yaml").write_text(MAP)
    said = Said("CC-BY-SA-4.0", training_set="Medical Segmentation Decathlon, Task04")
    card = adopt_model("theirs", trained, said, "classes.yaml", options.get("folds", []), SCHEMA, layout.BASE_MODELS, 0)
    return layout.BASE_MODELS / "theirs", card


@pytest.mark.parametrize("folds", [(0, 1), (1,)])
def test_it_predicts_what_nnunet_predicts(folder, trained, image, folds):
    """All folds together and one alone, with the axes mirrored that its checkpoints name."""
    home, card = adopt(trained, folds=[str(f) for f in folds])
    assert check_model(home) == card
    labels, probabilities = by_nnunet(trained, image, folds)
    ours, by_class = by_us(home, card.id, image)
    np.testing.assert_array_equal(ours, labels)
    assert set(np.unique(labels)) == {0, 1, 2}, "an empty mask would prove nothing"
    for name, channel in (("head", 1), ("tail", 2)):
        np.testing.assert_allclose(by_class[name], probabilities[channel], atol=1e-3)
    unlike = by_nnunet(trained, image, (0,))[1]
    assert np.abs(unlike - probabilities).max() > 0.01, "the folds do not differ"


def test_images_are_turned_as_the_reader_of_the_plans_does(folder, trained, image):
    """A model for RAS images, and an image whose axes run elsewhere."""
    import json

    import SimpleITK

    shutil.copytree(trained, "ras")
    plans = json.loads(Path("ras/plans.json").read_text())
    Path("ras/plans.json").write_text(json.dumps({**plans, "image_reader_writer": "NibabelIOWithReorient"}))
    turned = SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(image)), "PIR")
    SimpleITK.WriteImage(turned, "turned.nii.gz")
    home, card = adopt(Path("ras"))
    labels, probabilities = by_nnunet(Path("ras"), Path("turned.nii.gz"), (0, 1))
    found = nnunet.predict(home, card.id, read("turned.nii.gz"), InferParams(), "cpu")
    # nnU-Net's probabilities lie on the turned grid: ours are compared with them there.
    turn = nnunet.turn_of(json.loads(Path("ras/plans.json").read_text()), read("turned.nii.gz").grid)
    for channel in range(3):
        np.testing.assert_allclose(turn.apply(found.probability(channel)), probabilities[channel], atol=1e-3)
    assert np.unique(labels).tolist() == [0, 1, 2]


def cohort(images: list[Path]) -> tuple[list[Case], Ledger]:
    """Cases whose labels come from the source, renumbered to the ids here."""
    cases, ledger = [], {}
    for image in images:
        name, grid = image.name.removesuffix(".nii.gz"), read(image).grid
        labels = np.array([0, 5, 2], np.uint8)[read_label(image.parents[1] / "labels" / image.name)]
        write(f"data/release/labels/{name}.nii.gz", labels, grid)
        cases.append(Case(name, str(image), file_sha256(image), "", "msd", "CC-BY-SA-4.0", Split.POOL, "MR", ""))
        for class_name in SCHEMA.names:
            digest = mask_sha256(SCHEMA.mask(labels, class_name), grid)
            ledger[name, class_name] = Entry(name, class_name, 0, Origin.SOURCE, (), "", "", digest, "", 1.0)
    return cases, ledger


def test_it_is_fine_tuned_and_nnunet_reads_it_again(folder, trained, image, shared_data):
    home, card = adopt(trained, folds=["0"])
    before = by_us(home, card.id, image)[1]
    cases, ledger = cohort(theirs.cases_of(shared_data, 4))
    model = ModelParams(backend="nnunet", recipe="small", iterations=8, learning_rate=1e-4)
    params = RetrainParams(
        models={"theirs": model}, strategy="finetune", finetune_iterations=1.0, licence="CC-BY-SA-4.0"
    )
    retrain_round(cases, SCHEMA, ledger, 1, params, MachineParams(workers=1))
    home = layout.NEXT_MODELS / "theirs"
    tuned = check_model(home)
    assert (tuned.strategy, tuned.parent, tuned.source) == ("finetune", card.id, None)
    ours, after = by_us(home, tuned.id, image)
    for name in SCHEMA.names:
        # Classes kept their outputs, in another order: eight small steps change little.
        assert np.abs(after[name] - before[name]).mean() < 0.05, name
        assert np.corrcoef(after[name].ravel(), before[name].ravel())[0, 1] > 0.9, name

    export_model(Model(home, tuned, SCHEMA), "nnunet", Path("out"))
    labels, probabilities = by_nnunet(Path("out"), image, ("all",))
    np.testing.assert_array_equal(ours, labels)
    for name, channel in (("tail", 1), ("head", 2)):
        np.testing.assert_allclose(after[name], probabilities[channel], atol=1e-3)
    assert {p.name for p in Path("out").iterdir()} == {
        "dataset.json", "fold_all", "model.json", "plans.json", "README.md",
    }  # fmt: skip
    assert "CC-BY-SA-4.0" in Path("out/README.md").read_text()


def test_an_adopted_model_goes_out_as_it_came_and_comes_in_again(folder, trained, image):
    home, card = adopt(trained)
    export_model(Model(home, card, SCHEMA), "nnunet", Path("out"))
    for mine, other in zip(by_nnunet(Path("out"), image, (0, 1)), by_nnunet(trained, image, (0, 1)), strict=True):
        np.testing.assert_array_equal(mine, other)
    said = Said("CC-BY-SA-4.0")
    again = adopt_model("again", Path("out"), said, "classes.yaml", [], SCHEMA, layout.BASE_MODELS, 0)
    assert again.architecture == card.architecture
