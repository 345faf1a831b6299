"""MONAI bundles and described weights from elsewhere: what is taken over, and what is refused."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from monai_bundles import MAP, METADATA, TRANSFORMS, configuration, run_bundle, write_bundle

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import Grid, read, read_label, write
from voxledger.models.adopt import Said, adopt_model
from voxledger.models.export import export_model
from voxledger.models.model import Model
from voxledger.models.monai import predict as monai
from voxledger.params import InferParams, MachineParams, ModelParams, RetrainParams
from voxledger.records.card import ModelCard, check_model, load_tensors
from voxledger.retrain.run import retrain_round

torch = pytest.importorskip("torch")

TILTED = Grid((14, 30, 26), (3.0, 1.1, 1.3), (5.0, -7.0, 11.0), (0.0, 0.0, 1.0, -1.0, 0.0, 0.0, 0.0, -1.0, 0.0))
"""x runs forwards, y down, z to the left."""


def adopt(source: Path, schema, name: str = "theirs", chosen: str | None = "map.yaml") -> ModelCard:
    Path("map.yaml").write_text(MAP)
    return adopt_model(name, source, Said("Apache-2.0"), chosen, [], schema, layout.BASE_MODELS, 3)


def image_at(path: str, grid: Grid = TILTED) -> None:
    rng = np.random.default_rng(1)
    blocks = np.kron(rng.normal(50, 80, tuple(-(-n // 4) for n in grid.shape)), np.ones((4, 4, 4)))
    write(path, blocks[tuple(slice(n) for n in grid.shape)].astype(np.int16), grid)


def most_probable(card: ModelCard, path: str, folder: Path = layout.BASE_MODELS) -> np.ndarray:
    found = monai.predict(folder / card.name, card.id, read(path), InferParams(), "cpu")
    return np.argmax([found.probability(channel) for channel in range(3)], axis=0)


def test_a_bundle_predicts_what_monais_runner_makes_of_it(folder, schema):
    source = write_bundle(folder / "bundle")
    card = adopt(source, schema)
    assert check_model(layout.BASE_MODELS / "theirs") == card
    assert (card.backend, card.architecture, card.strategy, card.round) == ("monai", "SegResNet", "adopted", 3)
    assert card.source
    assert (card.source.name, card.source.version) == ("Abdomen CT segmentation", "0.3.1")
    assert card.source.classes == {"Organ (whole)": "organ", "Spleen": "spleen"}
    image_at("images/a.nii.gz")
    run_bundle(source, Path("images"), Path("masks"), dataset_dir="images", output_dir="masks")
    expected = read_label("masks/a.nii.gz", TILTED)
    assert len(np.unique(expected)) > 1, "one class everywhere would prove nothing"
    np.testing.assert_array_equal(most_probable(card, "images/a.nii.gz"), expected)


GAUSSIAN = {**configuration()["inferer"], "overlap": 0.5, "mode": "gaussian"}


def described(**changes: Any) -> dict[str, Any]:
    network = {name: value for name, value in configuration()["network_def"].items() if name != "_target_"}
    return {
        "network": "SegResNet",
        "arguments": {**network, "out_channels": 3},
        "orientation": "RAS",
        "spacing": [1.5, 1.2, 2.0],
        "intensity": {"a_min": -100, "a_max": 200, "b_min": 0.0, "b_max": 1.0, "clip": True},
        "patch": [16, 16, 8],
        "labels": {"background": 0, "organ": 1, "spleen": 2},
        "name": "Theirs",
        "version": "2",
        "training_set": "CT of one hospital",
        **changes,
    }


def with_description(folder: Path, **changes: Any) -> Path:
    source = write_bundle(folder / "bundle", inferer=GAUSSIAN)
    home = folder / "plain"
    home.mkdir()
    (home / "model.pt").write_bytes((source / "models/model.pt").read_bytes())
    (home / "network.json").write_text(json.dumps(described(**changes)))
    return home


def test_weights_with_a_description_are_the_same_network(folder, schema):
    card = adopt(with_description(folder), schema, chosen=None)
    bundle = adopt(folder / "bundle", schema, name="bundle")
    assert card.source
    assert (card.source.version, card.source.training_set) == ("2", "CT of one hospital")
    image_at("a.nii.gz")
    first, second = (
        monai.predict(layout.BASE_MODELS / c.name, c.id, read("a.nii.gz"), InferParams(), "cpu") for c in (card, bundle)
    )
    np.testing.assert_array_equal(first.probability(1), second.probability(1))


@pytest.mark.parametrize("shape", [(1, 1, 1), (5, 40, 3)])
def test_small_images_are_predicted_on_their_grid(folder, schema, shape):
    card = adopt(write_bundle(folder / "bundle"), schema)
    image_at("a.nii.gz", Grid.plain(shape, (5.0, 0.7, 0.9)))
    assert most_probable(card, "a.nii.gz").shape == shape


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch executed",)


CONFIG_REFUSALS = {
    "a foreign class": (
        {"network_def": {"_target_": "os.system", "command": "touch executed"}},
        "names the class os.system",
    ),
    "a class of the bundle's own scripts": (
        {"network_def": {"_target_": "scripts.networks.Net"}},
        r"names the class scripts\.networks\.Net",
    ),
    "no network": ({"network_def": {"_target_": "SlidingWindowInferer"}}, "is no network of monai"),
    "an expression": (
        {"network_def": {**configuration()["network_def"], "init_filters": "$__import__('os').system('touch x')"}},
        "init_filters would run code",
    ),
    "several channels": ({"network_def": {**configuration()["network_def"], "in_channels": 4}}, "has in_channels 4"),
    "two dimensions": ({"network_def": {**configuration()["network_def"], "spatial_dims": 2}}, "has spatial_dims 2"),
    "an unknown argument": ({"network_def": {**configuration()["network_def"], "depth": 4}}, "depth"),
    "another architecture": (
        {"network_def": {**configuration()["network_def"], "init_filters": 16}},
        "checkpoint of another architecture",
    ),
    "an unknown transform": (
        {"preprocessing": {"_target_": "Compose", "transforms": [{"_target_": "CropForegroundd", "keys": "image"}]}},
        "is CropForegroundd of image",
    ),
    "a transform of another key": (
        {"preprocessing": {"_target_": "Compose", "transforms": [{**TRANSFORMS[1], "keys": ["image", "label"]}]}},
        "Orientationd of",
    ),
    "another inferer": ({"inferer": {"_target_": "SimpleInferer"}}, "inferer is SimpleInferer"),
    "a sigmoid": (
        {"postprocessing": {"transforms": [{"_target_": "Activationsd", "sigmoid": True}]}},
        "uses a sigmoid",
    ),
    "a sigmoid that is referred to": (
        {"last": [{"_target_": "Activationsd", "sigmoid": True}], "postprocessing": {"transforms": "@last"}},
        "uses a sigmoid",
    ),
    "an argument that a transform does not have": (
        {"preprocessing": {"_target_": "Compose", "transforms": [{**TRANSFORMS[2], "depth": 4}]}},
        "bundle: the model cannot predict an image: TypeError: .*depth",
    ),
    "a window that the network cannot see": (
        {"inferer": {**configuration()["inferer"], "roi_size": [15, 16, 8]}},
        "bundle: the model cannot predict an image: RuntimeError: ",
    ),
    "an argument out of its range": (
        {"network_def": {**configuration()["network_def"], "act": "os.system"}},
        "bundle does not describe a model of monai: ValueError: ",
    ),
    "an expression in a transform": (
        {"preprocessing": {"_target_": "Compose", "transforms": [{**TRANSFORMS[2], "pixdim": "$[1] * 3"}]}},
        r"transforms::0::pixdim would run code: \$\[1\] \* 3",
    ),
    "lists of lists": (
        {f"x{n}": [f"@x{n + 1}"] * 9 for n in range(9)}
        | {"x9": 1, "network_def": {**configuration()["network_def"], "blocks_down": "@x0"}},
        "refers to more than 100,000 values",
    ),
    "a circle after the network": (
        {"postprocessing": {"transforms": ["@postprocessing", "@last"]}, "last": [{"sigmoid": "@yes"}], "yes": True},
        "uses a sigmoid",
    ),
    "a circle": ({"classes": "@image_key", "image_key": "@classes"}, "refers to itself"),
}  # fmt: skip


@pytest.mark.parametrize("why", CONFIG_REFUSALS)
def test_what_would_run_or_is_not_known_is_refused_by_name(folder, schema, why):
    changes, message = CONFIG_REFUSALS[why]
    source = write_bundle(folder / "bundle", **changes)
    with pytest.raises(VoxledgerError, match=message) as refused:
        adopt(source, schema)
    assert "bundle" in refused.value.problem
    assert refused.value.remedy
    assert not list(folder.rglob("executed")) + list(folder.rglob("x"))
    assert not list(Path("models").rglob("*.json")), "something was kept"


def test_a_pickle_that_would_run_code_is_refused(folder, schema):
    source = write_bundle(folder / "bundle")
    torch.save({"state_dict": Evil()}, source / "models/model.pt")
    with pytest.raises(VoxledgerError, match=r"models/model\.pt holds more than tensors .*posix\.system"):
        adopt(source, schema)
    assert not Path("executed").exists()


def test_weights_that_are_no_numbers_are_refused(folder, schema):
    source = write_bundle(folder / "bundle")
    state = torch.load(source / "models/model.pt")
    torch.save({name: tensor * float("nan") for name, tensor in state.items()}, source / "models/model.pt")
    with pytest.raises(VoxledgerError, match=r"models/model\.pt holds weights that are no finite numbers: convInit"):
        adopt(source, schema)


def test_a_network_that_classifies_is_refused(folder, schema):
    """It has `out_channels` as those that segment."""
    from monai.networks import nets

    sizes = {"spatial_dims": 3, "in_channels": 1, "out_channels": 3, "init_features": 4, "growth_rate": 2}
    sizes |= {"block_config": [1]}
    source = write_bundle(folder / "bundle", network_def={"_target_": "monai.networks.nets.DenseNet", **sizes})
    torch.save(nets.DenseNet(**sizes).state_dict(), source / "models/model.pt")
    with pytest.raises(VoxledgerError, match="bundle: the model cannot predict an image: "):
        adopt(source, schema)
    assert not list(Path("models").rglob("*"))


def test_torchscript_is_refused(folder, schema):
    source = write_bundle(folder / "bundle")
    (source / "models/model.pt").rename(source / "models/model.ts")
    with pytest.raises(VoxledgerError, match="TorchScript alone, which runs code"):
        adopt(source, schema)


@pytest.mark.parametrize("damage", ["cut off", "empty", "missing"])
def test_damaged_weights_are_named(folder, schema, damage):
    source = write_bundle(folder / "bundle")
    path = source / "models/model.pt"
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[: len(content) // 2] if damage == "cut off" else b"")
    with pytest.raises(VoxledgerError, match=r"models/model\.pt"):
        adopt(source, schema)


def test_channels_without_a_background_are_refused(folder, schema):
    source = write_bundle(folder / "bundle")
    metadata = json.loads(json.dumps(METADATA))
    metadata["network_data_format"]["outputs"]["pred"]["channel_def"] = {"0": "tumour", "1": "organ", "2": "spleen"}
    (source / "configs/metadata.json").write_text(json.dumps(metadata))
    with pytest.raises(VoxledgerError, match=r"metadata\.json: the output channels are"):
        adopt(source, schema)


def test_folds_are_nnunets(folder, schema):
    Path("map.yaml").write_text(MAP)
    source = write_bundle(folder / "bundle")
    with pytest.raises(Misuse, match="has no folds"):
        adopt_model("theirs", source, Said("MIT"), "map.yaml", ["0"], schema, layout.BASE_MODELS, 0)


def test_an_adopted_model_goes_out_with_the_same_masks(folder, schema):
    card = adopt(write_bundle(folder / "bundle"), schema)
    image_at("images/a.nii.gz")
    export_model(Model(layout.BASE_MODELS / "theirs", card, schema), "monai-bundle", Path("out"))
    run_bundle(Path("out"), Path("images"), Path("masks"))
    np.testing.assert_array_equal(read_label("masks/a.nii.gz", TILTED), most_probable(card, "images/a.nii.gz"))
    assert json.loads(Path("out/model.json").read_text())["licence"] == "Apache-2.0"


@pytest.mark.parametrize("modality", ["CT", "MR"])
@pytest.mark.parametrize("network", ["unet", "segresnet"])
def test_a_model_trained_here_goes_out_with_the_same_masks_and_comes_back(small, tiny, schema, network, modality):
    from dataclasses import replace

    model = tiny["unet"].model_copy(
        update={"network": network, "features": (8, 16), "iterations": 2, "spacing": (2.5, 1.3, 1.1)}
    )
    cases = [replace(case, modality=modality) for case in small.cases]
    params = RetrainParams(models={"ours": model})
    retrain_round(cases, schema, small.ledger, 0, params, MachineParams(workers=1))
    home = layout.NEXT_MODELS / "ours"
    card = check_model(home)
    export_model(Model(home, card, schema), "monai-bundle", Path("out"))
    image_at("shown/a.nii.gz")
    run_bundle(Path("out"), Path("shown"), Path("masks"))
    found = monai.predict(home, card.id, read("shown/a.nii.gz"), InferParams(), "cpu")
    ours = np.argmax([found.probability(channel) for channel in range(4)], axis=0)
    assert len(np.unique(ours)) > 1
    np.testing.assert_array_equal(read_label("masks/a.nii.gz", TILTED), ours)
    back = adopt(Path("out"), schema, name="back", chosen=None)
    again = monai.predict(layout.BASE_MODELS / "back", back.id, read("shown/a.nii.gz"), InferParams(), "cpu")
    for channel in range(4):
        np.testing.assert_array_equal(again.probability(channel), found.probability(channel))
    changed = json.loads(Path("out/configs/inference.json").read_text())
    changed["inferer"]["overlap"] = 0.75
    Path("out/configs/inference.json").write_text(json.dumps(changed))
    with pytest.raises(VoxledgerError, match="is Transposed of image, which cannot be taken over"):
        adopt(Path("out"), schema, name="changed", chosen=None)


def test_an_adopted_bundle_is_fine_tuned_with_its_own_network(small, schema):
    """A class that it does not know begins anew; those that it knows keep their output, in another order."""
    card = adopt(write_bundle(Path("bundle")), schema)
    model = ModelParams(backend="monai", network="unet", iterations=1, learning_rate=1e-9)
    params = RetrainParams(models={"theirs": model}, strategy="finetune", finetune_iterations=1.0)
    retrain_round(small.cases, schema, small.ledger, 4, params, MachineParams(workers=1))
    tuned = check_model(layout.NEXT_MODELS / "theirs")
    assert (tuned.strategy, tuned.parent, tuned.architecture) == ("finetune", card.id, "SegResNet")
    before, after = (load_tensors(home) for home in (layout.BASE_MODELS / "theirs", layout.NEXT_MODELS / "theirs"))
    heads = [name for name in before if before[name].shape != after[name].shape]
    assert heads
    for name in set(before) - set(heads):
        torch.testing.assert_close(before[name], after[name])
    for name in heads:  # outputs: background, organ, spleen → background, organ, lesion, spleen
        torch.testing.assert_close(after[name][[0, 1, 3]], before[name])
