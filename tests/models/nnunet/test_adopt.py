"""nnU-Net folders from elsewhere: what is taken over, and what is refused by name."""

from __future__ import annotations

import json
import os
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_nnunet import ARCHITECTURE, CONFIGURATION, DATASET, MAP, PLANS, checkpoint, plans_with, write_folder

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import Grid, Volume
from voxledger.models.adopt import Said, adopt_model
from voxledger.models.model import Model
from voxledger.models.nnunet import predict as nnunet
from voxledger.models.nnunet.stages import stages_of
from voxledger.params import InferParams, MachineParams, ModelParams, RetrainParams
from voxledger.records.card import PLANS as PLANS_FILE
from voxledger.records.card import ModelCard, check_model, load_tensors, read_card
from voxledger.retrain.run import retrain_round
from voxledger.textfile import read_json

torch = pytest.importorskip("torch")

HOME = layout.BASE_MODELS / "theirs"
CHECKPOINT = "checkpoint_final.pth"


def adopt(source: Path, schema, folds: tuple[str, ...] = (), text: str = MAP) -> ModelCard:
    Path("map.yaml").write_text(text)
    said = Said("CC-BY-4.0", "TheirSegmentator", "1.2", "their CT scans")
    return adopt_model("theirs", source, said, "map.yaml", folds, schema, layout.BASE_MODELS, 2)


def test_the_card_says_where_it_came_from_and_the_id_covers_the_class_map(folder, schema):
    source = write_folder(folder / "results", folds=2)
    card = adopt(source, schema)
    assert check_model(HOME) == card == read_card(HOME)
    assert (card.backend, card.architecture, card.strategy) == ("nnunet", "PlainConvUNet 4-8-8, 2 folds", "adopted")
    assert (card.licence, card.round, card.parent, card.cohort) == ("CC-BY-4.0", 2, "", "")
    assert card.source
    assert card.source.model_dump() == {
        "name": "TheirSegmentator",
        "version": "1.2",
        "training_set": "their CT scans",
        "classes": {"Organ": "organ", "Spleen": "spleen"},
    }
    (HOME).rename("first")
    other = adopt(source, schema, text="Organ: organ\nSpleen: ignore\n")
    assert other.id != card.id


def test_what_a_folder_says_of_itself_is_taken_where_the_curator_says_nothing(folder, schema):
    Path("map.yaml").write_text(MAP)
    source = write_folder(folder / "results")
    card = adopt_model("theirs", source, Said("MIT"), "map.yaml", [], schema, layout.BASE_MODELS, 0)
    assert card.source
    assert (card.source.name, card.source.training_set) == ("Dataset123_Abdomen", "Dataset123_Abdomen")


@pytest.mark.parametrize("folds", [(), ("1",), ("2", "0")])
def test_the_folds_asked_for_are_those_whose_mean_is_predicted(folder, schema, folds):
    card = adopt(write_folder(folder / "results", folds=3), schema, folds)
    image = Volume(np.random.default_rng(0).normal(50, 60, (9, 17, 19)).astype(np.int16), Grid.plain((9, 17, 19)))
    predicted = nnunet.predict(HOME, card.id, image, InferParams(), "cpu")
    names = load_tensors(HOME)
    wanted = folds or ("0", "1", "2")
    assert {n.split("/")[1] for n in names} == {f"fold_{f}" for f in wanted} if len(wanted) > 1 else len(names) > 0
    assert predicted.of == {"organ": (1,), "spleen": (2,)}
    assert predicted.probability(1).shape == (9, 17, 19)


def test_plans_of_older_nnunets_describe_the_same_network(folder, schema):
    """Those of TotalSegmentator 2, for one."""
    source = write_folder(folder / "results")
    older = {name: value for name, value in CONFIGURATION.items() if name != "architecture"} | {
        "UNet_class_name": "PlainConvUNet",
        "UNet_base_num_features": 4,
        "unet_max_num_features": 8,
        "n_conv_per_stage_encoder": [1, 1, 1],
        "n_conv_per_stage_decoder": [1, 1],
        "num_pool_per_axis": [2, 2, 2],
        "pool_op_kernel_sizes": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        "conv_kernel_sizes": [[3, 3, 3]] * 3,
    }
    (source / "plans.json").write_text(json.dumps({**PLANS, "configurations": {"3d_fullres": older}}))
    card = adopt(source, schema)
    assert card.architecture == "PlainConvUNet 4-8-8"
    image = Volume(np.full((1, 1, 1), 7, np.int16), Grid.plain((1, 1, 1), (2.0, 1.0, 1.0)))
    assert nnunet.predict(HOME, card.id, image, InferParams(), "cpu").probability(1).shape == (1, 1, 1)


def test_networks_that_moved_within_their_library_are_found(folder, schema):
    source = write_folder(folder / "results")
    moved = "dynamic_network_architectures.architectures.plain_unet.PlainConvUNet"
    write_plans(source, architecture(network_class_name=moved))
    assert adopt(source, schema).architecture == "PlainConvUNet 4-8-8"


def test_checkpoints_with_scalars_of_numpy_1_are_read(folder, schema):
    """There the same function had another name."""
    source = write_folder(folder / "results")
    path = source / "fold_0" / CHECKPOINT
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    pickled = next(name for name in members if name.endswith("/data.pkl"))
    assert b"cnumpy._core.multiarray\nscalar\n" in members[pickled]
    members[pickled] = members[pickled].replace(b"cnumpy._core.multiarray\n", b"cnumpy.core.multiarray\n")
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)
    assert adopt(source, schema).architecture == "PlainConvUNet 4-8-8"


class Evil:
    def __reduce__(self) -> Any:
        return os.system, ("touch executed",)


def resave(source: Path, fold: int = 0, **changes: Any) -> None:
    torch.save(checkpoint(fold, **changes), source / f"fold_{fold}" / CHECKPOINT)


def write_plans(source: Path, plans: dict[str, Any]) -> None:
    (source / "plans.json").write_text(json.dumps(plans))


def write_dataset(source: Path, **changes: Any) -> None:
    (source / "dataset.json").write_text(json.dumps({**DATASET, **changes}))


def architecture(**changes: Any) -> dict[str, Any]:
    return plans_with(architecture={**ARCHITECTURE, **changes})


def layers(**changes: Any) -> dict[str, Any]:
    return architecture(arch_kwargs={**ARCHITECTURE["arch_kwargs"], **changes})


WIDER = {**ARCHITECTURE["arch_kwargs"], "features_per_stage": [8, 8, 8]}

CASCADE = {
    **PLANS,
    "configurations": {"second": {**CONFIGURATION, "previous_stage": "3d_lowres"}, "mine": {"inherits_from": "second"}},
}

REFUSALS: dict[str, tuple[Any, str]] = {
    "a pickle that would run code": (
        lambda s: resave(s, logging=Evil()),
        r"fold_0/checkpoint_final\.pth holds more than tensors .*posix\.system",
    ),
    "other plans in one fold": (
        lambda s: resave(s, 1, plans=plans_with(patch_size=[8, 8, 8])),
        "fold 1 was trained with other plans than fold 0",
    ),
    "other mirroring in one fold": (
        lambda s: resave(s, 1, inference_allowed_mirroring_axes=None),
        "fold 1 was trained with other mirrored axes than fold 0",
    ),
    "another architecture": (
        lambda s: write_plans(s, architecture(arch_kwargs=WIDER)),
        r"fold_0/checkpoint_final\.pth is a checkpoint of another architecture",
    ),
    "other outputs": (
        lambda s: write_dataset(s, labels={"background": 0, "Organ": 1}),
        "is a checkpoint of another architecture",
    ),
    "a class from elsewhere as network": (
        lambda s: write_plans(s, architecture(network_class_name="os.system")),
        "a network that is not nnU-Net's: os.system",
    ),
    "a layer that leads through PyTorch to the system": (
        lambda s: write_plans(
            s, layers(nonlin="torch.nn.functional.torch.os.system", nonlin_kwargs={"command": "touch executed"})
        ),
        "a network that is not nnU-Net's: torch.nn.functional.torch.os.system",
    ),
    "a network that leads through nnU-Net's library to another": (
        lambda s: write_plans(
            s,
            architecture(network_class_name="dynamic_network_architectures.architectures.unet.torch.jit.ScriptModule"),
        ),
        "a network that is not nnU-Net's: dynamic_network_architectures.architectures.unet.torch",
    ),
    "a module beside the command": (
        lambda s: [
            Path("torchlike.py").write_text("open('executed', 'w')"),
            write_plans(s, layers(nonlin="torchlike.X")),
        ],
        "a network that is not nnU-Net's: torchlike.X",
    ),
    "a configuration that the plans do not have": (
        lambda s: write_plans(s, {**PLANS, "configurations": {"3d_lowres": CONFIGURATION}}),
        "has no configuration 3d_fullres",
    ),
    "slices": (
        lambda s: [
            write_plans(s, {**PLANS, "configurations": {"2d": CONFIGURATION}}),
            [resave(s, f, init_args={"plans": PLANS, "configuration": "2d"}) for f in (0, 1)],
        ],
        "configuration 2d reads slices alone",
    ),
    "several channels": (lambda s: write_dataset(s, channel_names={"0": "T1", "1": "T2"}), r"2 images .*T1, T2"),
    "regions": (
        lambda s: write_dataset(s, labels={"background": 0, "Organ": [1, 2], "Spleen": 2}, regions_class_order=[1, 2]),
        r"regions that overlap \(Organ\)",
    ),
    "a name that leaves the folder": (
        lambda s: write_plans(s, {**PLANS, "dataset_name": "../../elsewhere"}),
        r"dataset_name is \.\./\.\./elsewhere",
    ),
    "a folder of data that leaves the folder": (
        lambda s: write_plans(s, plans_with(data_identifier="/tmp/data")),
        "data_identifier is /tmp/data",
    ),
    "pictures": (lambda s: write_plans(s, {**PLANS, "image_reader_writer": "NaturalImage2DIO"}), "NaturalImage2DIO"),
    "a configuration that leaves the folder": (
        lambda s: write_plans(s, {**PLANS, "configurations": {"../../elsewhere": CONFIGURATION}}),
        r"the name of configuration 1 is \.\./\.\./elsewhere",
    ),
    "the second network of a cascade, by what it inherits": (
        lambda s: [
            write_plans(s, CASCADE),
            [resave(s, f, init_args={"plans": CASCADE, "configuration": "mine"}) for f in (0, 1)],
        ],
        "configuration mine goes on from 3d_lowres",
    ),
    "weights that are no numbers": (
        lambda s: resave(s, network_weights={n: t / 0 for n, t in checkpoint(0)["network_weights"].items()}),
        r"fold_0/checkpoint_final\.pth holds weights that are no finite numbers: ",
    ),
    "plans without what an image goes through": (
        lambda s: write_plans(s, {n: v for n, v in PLANS.items() if n != "transpose_forward"}),
        "results: the model cannot predict an image: KeyError: 'transpose_forward'",
    ),
    "plans that are none": (
        lambda s: write_plans(s, {**PLANS, "configurations": ["3d_fullres"]}),
        "results does not describe a model of nnunet: ",
    ),
    "labels with a gap": (
        lambda s: write_dataset(s, labels={"background": 0, "Organ": 1, "Spleen": 3}),
        "results: the model cannot predict an image: ",
    ),
    "no checkpoint of nnU-Net": (
        lambda s: torch.save({"weights": {}}, s / "fold_0" / CHECKPOINT),
        "is no checkpoint of nnU-Net",
    ),
    "a damaged checkpoint": (lambda s: (s / "fold_0" / CHECKPOINT).write_bytes(b"PK\3\4 torn"), "is damaged"),
    "no fold at all": (lambda s: [(s / f"fold_{f}" / CHECKPOINT).unlink() for f in (0, 1)], r"holds no fold_\*"),
}


@pytest.mark.parametrize("why", REFUSALS)
def test_what_cannot_be_taken_over_is_refused_by_name(folder, schema, why):
    spoil, message = REFUSALS[why]
    source = write_folder(folder / "results", folds=2)
    spoil(source)
    with pytest.raises(VoxledgerError, match=message) as refused:
        adopt(source, schema)
    assert refused.value.remedy
    assert not Path("executed").exists()
    assert not list(Path("models").rglob("*")), "something was kept"


@pytest.mark.parametrize("fold", ["0/../fold_1", "0_old", "00", ""])
def test_what_is_no_name_of_a_fold_is_refused(folder, schema, fold):
    source = write_folder(folder / "results", folds=2)
    (source / "fold_0").rename(source / "fold_0_old")
    (source / "fold_00").symlink_to("fold_0_old")
    with pytest.raises(VoxledgerError, match="is missing") as refused:
        adopt(source, schema, (fold,))
    assert "choose with --folds from 1" in refused.value.remedy


def test_a_copy_beside_a_fold_is_none_and_each_counts_once(folder, schema):
    source = write_folder(folder / "results", folds=2)
    (source / "fold_0_old").symlink_to("fold_0")
    first = adopt(source, schema)
    assert first.architecture == "PlainConvUNet 4-8-8, 2 folds"
    HOME.rename("first")
    assert adopt(source, schema, ("0", "1", "0")).id == first.id


@pytest.mark.parametrize("said", ["", "  "])
def test_a_licence_has_to_be_said(folder, schema, said):
    source = write_folder(folder / "results")
    Path("map.yaml").write_text(MAP)
    with pytest.raises(Misuse, match="does not say under which licence"):
        adopt_model("theirs", source, Said(said), "map.yaml", [], schema, layout.BASE_MODELS, 0)


@pytest.mark.parametrize(("untaught", "known"), [(["Spleen"], ["organ"]), ([], ["organ", "spleen"])])
def test_what_it_was_not_taught_there_it_has_no_say_in_here(folder, schema, untaught, known):
    """A model that goes out from a repository like this names what it was not taught, by its own names."""
    source = write_folder(folder / "results")
    write_dataset(source, untaught=untaught)
    adopt(source, schema)
    assert Model(HOME, read_card(HOME), schema).taught == known


def test_a_class_of_several_of_theirs_is_taught_by_one_of_them(folder, schema):
    source = write_folder(folder / "results")
    write_dataset(source, untaught=["Spleen"])
    adopt(source, schema, text="Organ: organ\nSpleen: organ\n")
    assert Model(HOME, read_card(HOME), schema).taught == ["organ"]


def test_a_missing_fold_is_named_with_those_that_are_there(folder, schema):
    with pytest.raises(VoxledgerError, match="fold 4 is missing") as refused:
        adopt(write_folder(folder / "results", folds=2), schema, ("0", "4"))
    assert "0, 1" in refused.value.remedy


def test_a_folder_of_no_known_kind_and_a_taken_name_are_refused(folder, schema):
    (folder / "empty").mkdir()
    with pytest.raises(Misuse, match="no model that can be adopted") as refused:
        adopt(folder / "empty", schema)
    assert "models add" in refused.value.remedy
    source = write_folder(folder / "results")
    adopt(source, schema)
    with pytest.raises(Misuse, match="there is a model theirs already"):
        adopt(source, schema)


@pytest.mark.parametrize(("recipe", "mirrored"), [("small", (0, 1, 2)), ("nnunet", (0, 1, 2)), ("nnunet", None)])
def test_outputs_of_known_classes_are_taken_over_by_name_and_a_new_class_begins_anew(
    small, schema, recipe, mirrored, monkeypatch
):
    """Deep supervision's, too. The schema has a lesion between the two classes that the model knows."""
    used = set()

    def no_step(trainer: Any, batch: Any) -> dict[str, Any]:
        """The weights stay as training began with them."""
        assert batch["data"].shape[1:] == (1, 8, 16, 16)
        used.add(trainer.inference_allowed_mirroring_axes)
        return {"loss": torch.zeros(())}

    monkeypatch.setattr("nnunetv2.training.nnUNetTrainer.nnUNetTrainer.nnUNetTrainer.train_step", no_step)
    source = write_folder(Path("results"), folds=2)
    for fold in (0, 1):
        resave(source, fold, inference_allowed_mirroring_axes=mirrored)
    card = adopt(source, schema)
    budget = {"iterations": 1} if recipe == "small" else {"epochs": 1}
    model = ModelParams(backend="nnunet", recipe=recipe, **budget)
    params = RetrainParams(models={"theirs": model}, strategy="finetune", finetune_iterations=1.0)
    retrain_round(small.cases, schema, small.ledger, 3, params, MachineParams(workers=1))
    home = layout.NEXT_MODELS / "theirs"
    tuned = check_model(home)
    assert (tuned.strategy, tuned.parent, tuned.source, tuned.licence) == ("finetune", card.id, None, "CC-BY-4.0")
    stages = stages_of(read_json(home / PLANS_FILE))
    assert (stages.recipe, stages.folds, stages.mirror_axes) == (recipe, ("all",), mirrored or ())
    assert used == {None if recipe == "small" else mirrored}, "what tells left from right must not be mirrored"
    before, after = load_tensors(HOME, "3d_fullres/fold_0/"), load_tensors(home)
    assert before.keys() == after.keys()
    heads = {name for name in before if ".seg_layers." in name}
    assert len(heads) == 4
    for name in before.keys() - heads:
        assert torch.equal(before[name], after[name]), name
    for name in heads:
        assert torch.equal(after[name][[0, 1, 3]], before[name]), name
        assert len(after[name]) == 4
