"""The network under clicks: what it sees of them, what it learns, and that it does so bit for bit."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import file_sha256, mask_sha256, read, read_label
from voxledger.models.backend import backend_of
from voxledger.models.clicks.guidance import guidance
from voxledger.models.clicks.network import build_network, with_guides_of
from voxledger.models.clicks.plan import plan
from voxledger.models.clicks.predict import predict
from voxledger.models.cohort import build_cohort
from voxledger.models.dataset import describe
from voxledger.models.heads import take_over
from voxledger.models.interaction import Click, mean_iou, play
from voxledger.models.model import open_models
from voxledger.models.nnunet.plan import nnunet_folders
from voxledger.models.nnunet.plan import plan as plan_nnunet
from voxledger.models.numbering import Numbering
from voxledger.models.process import quiet
from voxledger.models.start import Start
from voxledger.models.training import Training, TrainingCase
from voxledger.params import InferParams, MachineParams, ModelParams, RetrainParams
from voxledger.records.card import PLANS, check_model, load_tensors, weights_of
from voxledger.records.ledger import Entry, Origin
from voxledger.retrain.run import retrain_round
from voxledger.schema import LabelClass, LabelSchema
from voxledger.textfile import read_json

torch = pytest.importorskip("torch")

MODEL = ModelParams(
    backend="clicks", network="unet", patch=(8, 16, 16), features=(4, 8), iterations=3, learning_rate=0.02
)
PLANNED = MODEL.model_copy(update={"network": "plans"})


def train(small, model=MODEL, **params) -> Path:
    retrain_round(small.cases, small.schema, small.ledger, 0, RetrainParams(models={"saim": model}, **params),
                  MachineParams(workers=1))  # fmt: skip
    return layout.NEXT_MODELS / "saim"


def hashes(folder: Path) -> dict[str, str]:
    return {p.name: file_sha256(p) for p in sorted(folder.iterdir())}


@pytest.mark.parametrize(
    ("voxel", "drawn"),
    [((4, 4, 4), 33), ((0, 0, 0), 11), ((-1, 4, 4), 10), ((-2, 4, 4), 1), ((-3, 4, 4), 0), ((9, 4, 4), 10)],
)
def test_a_click_is_a_ball_also_beyond_the_edge(voxel, drawn) -> None:
    seen = guidance(np.zeros((9, 9, 9), int), [Click(2, voxel, False)], 2)
    assert seen.shape == (6, 9, 9, 9)
    assert [int(channel.sum()) for channel in seen] == [0, 0, 0, 0, 0, drawn]


def test_guidance_holds_mask_and_clicks_of_each_class_in_its_channels() -> None:
    labels = np.zeros((9, 9, 9), int)
    labels[0, 0, :3] = 2
    seen = guidance(labels, [Click(1, (4, 4, 4), True)], 2)
    assert [int(channel.sum()) for channel in seen] == [0, 33, 0, 3, 0, 0]


@pytest.mark.parametrize(("model", "architecture"), [(MODEL, "UNet 4-8"), (PLANNED, "PlainConvUNet 4-8")])
def test_it_trains_and_predicts_like_every_other_model_and_repeats_bit_for_bit(small, model, architecture) -> None:
    """With a class of one case unknown; the folder is the same without the memo."""
    small = small.with_origin("c1", "lesion", Origin.PREDICTED)
    first = hashes(train(small, model))
    assert sorted(first) == ["dataset.json", "model.json", "plans.json", "weights.safetensors"]
    assert check_model(layout.NEXT_MODELS / "saim").architecture == f"{architecture} under clicks"
    shutil.rmtree(".memo")
    assert hashes(train(small, model)) == first
    shutil.rmtree(".memo")
    assert hashes(train(small, model, seed=1))["weights.safetensors"] != first["weights.safetensors"]


def training(small, **model) -> Training:
    members = build_cohort(small.cases, small.ledger, small.schema)
    cases = tuple(TrainingCase.of(member, small.labels, small.schema) for member in members)
    return Training(name="saim", model=ModelParams(**model), start=Start("full", 1), cases=cases,
                    schema=small.schema, labels=small.schema, seed=0, device="cpu")  # fmt: skip


@pytest.mark.parametrize("spacing", [None, (1.0, 1.5, 3.0)])
def test_its_topology_is_that_of_nnunets_planner(small, tmp_path, spacing) -> None:
    """Which puts the axis of the widest spacing first: z as it is, or x."""
    dataset = describe(small.schema, ["CT"], len(small.cases), ignore=False)
    with nnunet_folders(tmp_path / "work"), quiet():
        theirs = plan_nnunet(training(small, backend="nnunet", spacing=spacing), dataset, tmp_path / "work")
    ours = plan(training(small, backend="clicks", features=(4,) * 9, spacing=spacing), dataset)
    planned, forward = theirs["configurations"]["3d_fullres"], theirs["transpose_forward"]
    assert forward == ([0, 1, 2] if spacing is None else [2, 0, 1])
    assert ours["spacing"] == list(spacing or (2.0, 1.0, 1.0))

    def as_theirs(sizes):
        return [sizes[axis] for axis in forward]

    assert as_theirs(ours["spacing"]) == planned["spacing"]
    assert as_theirs(ours["patch"]) == planned["patch_size"]
    encoder = build_network(ours, 4).encoder
    for name, built in (("strides", encoder.strides), ("kernel_sizes", encoder.kernel_sizes)):
        assert [as_theirs(sizes) for sizes in built] == planned["architecture"]["arch_kwargs"][name]
    assert len({*ours["patch"]}) == 3, "axes that are alike would hide a wrong turn"


@pytest.mark.parametrize("ct", [True, False])
def test_intensities_are_scaled_by_those_of_the_cohort_in_ct_alone(small, ct) -> None:
    dataset = describe(small.schema, ["CT" if ct else "MR"], len(small.cases), ignore=False)
    planned = [plan(training(small, **model.model_dump()), dataset)["intensity"] for model in (MODEL, PLANNED)]
    assert (planned[0] is not None) == ct
    assert planned[1] == (pytest.approx(planned[0], rel=0.01) if ct else None)


def test_a_network_that_is_not_nnunets_is_not_built(small) -> None:
    plans = plan(training(small, **PLANNED.model_dump()), describe(small.schema, ["CT"], 3, ignore=False))
    architecture = plans["configurations"]["3d_fullres"]["architecture"]
    architecture["network_class_name"] = "torch.nn.Sequential"
    with pytest.raises(VoxledgerError, match="names a network that is not nnU-Net's"):
        build_network(plans, 4)


def test_a_patch_that_cannot_be_halved_is_refused(small) -> None:
    small_patch = training(small, **{**PLANNED.model_dump(), "patch": (4, 4, 4)})
    with pytest.raises(VoxledgerError, match="saim: its patch and features give nnU-Net a network of one stage"):
        plan(small_patch, describe(small.schema, ["CT"], 3, ignore=False))


def test_without_clicks_a_session_says_what_the_model_predicts(small) -> None:
    train(small)
    (model,) = open_models(layout.NEXT_MODELS, small.schema)
    image = read(small.cases[0].image)
    session = backend_of(model.card).session(model, image, "cpu")
    channels = predict(model.folder, model.card.id, image, InferParams(), "cpu")
    most = np.argmax([channels.probability(i) for i in range(4)], axis=0)
    assert np.array_equal(session.automatic(InferParams()), most)


@pytest.mark.parametrize(("model", "spacing"), [(MODEL, None), (MODEL, (3.0, 1.5, 1.0)), (PLANNED, (1.0, 1.5, 1.0))])
def test_a_click_is_answered_and_what_is_far_away_stays(small, model, spacing) -> None:
    train(small, model.model_copy(update={"spacing": spacing}))
    (model,) = open_models(layout.NEXT_MODELS, small.schema)
    image = read(small.cases[0].image)
    session = backend_of(model.card).session(model, image, "cpu")
    labels = np.full(image.array.shape, 3, np.int16)
    start = session.start(labels)
    assert start.labels is labels
    first = session.click(start, Click(1, (0, 0, 0), True))
    again = session.click(start, Click(1, (0, 0, 0), True))
    assert np.array_equal(first.labels, again.labels)
    assert first.labels.dtype == labels.dtype
    assert (first.labels != 3).any()
    assert (first.labels[:, :, -4:] == 3).all()  # the patch is 16 of 24 voxels wide
    second = session.click(first, Click(3, (1, 1, 1), False))
    assert len(second.clicks) == 2


def layers(**kwargs) -> dict:
    """Plans of a network of nnU-Net."""
    return {"network": "plans", "configurations": {"3d_fullres": {"architecture": {
        "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
        "arch_kwargs": {"conv_op": "torch.nn.Conv3d", "norm_op": "torch.nn.InstanceNorm3d", "nonlin": "torch.nn.ReLU",
                        "n_stages": 2, "strides": [[1, 1, 1], [1, 2, 2]], "kernel_sizes": [[1, 3, 3], [3, 3, 3]],
                        "n_conv_per_stage": [2, 2], "n_conv_per_stage_decoder": [1], **kwargs},
        "_kw_requires_import": ["conv_op", "norm_op", "nonlin"],
    }}}}  # fmt: skip


@pytest.mark.parametrize(
    ("plans", "layers"),  # of MONAI's network the first convolution, and the way around it
    [
        ({"network": "unet", "features": [4, 8]}, 2),
        ({"network": "unet", "features": [7, 8]}, 2),
        (layers(features_per_stage=[4, 8]), 1),
        (layers(features_per_stage=[7, 8]), 1),
    ],
)
def test_weights_of_a_parent_with_other_classes_read_the_guidance_of_the_same_ones(plans, layers) -> None:
    """Class b was the second, and is the first: its mask and clicks must reach what they reached before."""
    before = {"labels": {"background": 0, "a": 1, "b": 2}}
    after = {"labels": {"background": 0, "b": 1, "new": 2, "a": 3}}
    parent, network = build_network(plans, 3), build_network(plans, 4)
    weights = weights_of(parent)
    mapped = with_guides_of(weights, before, after, lambda known: build_network(plans, 4, known))
    take_over(network, mapped, before, after, lambda count: build_network(plans, count, 3))
    now = weights_of(network)
    reading = [
        name for name, tensor in now.items() if tensor.shape != weights[name].shape and tensor.shape[1:2] == (10,)
    ]
    assert len(reading) == layers
    for name in reading:
        had, has = weights[name], now[name]
        assert torch.equal(has[:, 0], had[:, 0])
        assert torch.equal(has[:, 1:4], had[:, 4:7])
        assert torch.equal(has[:, 7:10], had[:, 1:4])
        assert not has[:, 4:7].any()
    inside = [name for name, tensor in now.items() if tensor.shape == weights[name].shape]
    assert any(now[name].ndim == 5 for name in inside)
    for name in inside:
        assert torch.equal(now[name], weights[name]), name


def test_layers_inside_that_have_as_many_channels_as_are_read_stay_as_they_are() -> None:
    plans = {"network": "unet", "features": [7, 8]}
    before, after = {"labels": {"background": 0, "a": 1, "b": 2}}, {"labels": {"background": 0, "b": 1, "a": 2}}
    weights = weights_of(build_network(plans, 3))
    mapped = with_guides_of(weights, before, after, lambda known: build_network(plans, 3, known))
    assert sum(not torch.equal(mapped[name], weights[name]) for name in weights) == 2


@pytest.mark.parametrize("model", [MODEL, PLANNED])
def test_fine_tuning_goes_on_from_the_base(small, model) -> None:
    train(small, model)
    shutil.copytree(layout.NEXT_MODELS, layout.BASE_MODELS)
    base = load_tensors(layout.BASE_MODELS / "saim")
    # So slow that the weights stay.
    folder = train(small, model.model_copy(update={"learning_rate": 1e-9}), strategy="finetune")
    assert check_model(folder).strategy == "finetune"
    assert read_json(folder / PLANS) == read_json(layout.BASE_MODELS / "saim" / PLANS)
    for name, tensor in load_tensors(folder).items():
        assert torch.allclose(tensor, base[name], atol=1e-6), name


def with_kidney(small):
    """With a class between the others, which is in no case."""
    classes = (*small.schema.classes, LabelClass(id=5, name="kidney"))
    schema = LabelSchema(name="small", classes=tuple(sorted(classes, key=lambda one: one.id)))
    nothing, ledger = np.zeros((12, 20, 24), bool), dict(small.ledger)
    for case in small.cases:
        digest = mask_sha256(nothing, read(case.image).grid)
        ledger[case.case_id, "kidney"] = Entry(case.case_id, "kidney", 0, Origin.SOURCE, (), "", "", digest, "", 1.0)
    return replace(small, schema=schema, ledger=ledger)


def test_a_planned_network_goes_on_with_a_new_class(small) -> None:
    """On axes that nnU-Net turns; the spleen is output 3 of the base, and 4 of the next."""
    model = PLANNED.model_copy(update={"spacing": (1.0, 1.5, 3.0), "patch": (16, 8, 8)})
    train(small, model)
    shutil.copytree(layout.NEXT_MODELS, layout.BASE_MODELS)
    base = load_tensors(layout.BASE_MODELS / "saim")
    small = with_kidney(small)
    folder = train(small, model.model_copy(update={"learning_rate": 1e-9}), strategy="finetune")
    assert check_model(folder).strategy == "finetune"
    now = load_tensors(folder)
    had, has = (weights["encoder.stages.0.0.convs.0.conv.weight"] for weights in (base, now))
    assert torch.allclose(has[:, 10:13], had[:, 7:10], atol=1e-6)
    assert torch.allclose(has[:, 7:10], torch.zeros(()), atol=1e-6)
    (head,) = {name for name in now if name.endswith("seg_layers.0.weight")}
    assert torch.allclose(now[head][[0, 1, 2, 4]], base[head], atol=1e-6)
    (model,) = open_models(layout.NEXT_MODELS, small.schema)
    image = read(small.cases[3].image)
    session = backend_of(model.card).session(model, image, "cpu")
    start = session.start(session.automatic(InferParams()))
    assert start.labels.shape == image.array.shape
    assert session.click(start, Click(3, (6, 10, 12), True)).clicks


def test_numbers_and_ids(small) -> None:
    train(small)
    (model,) = open_models(layout.NEXT_MODELS, small.schema)
    numbering = Numbering(model)
    labels = np.array([0, 1, 2, 7])
    assert numbering.numbers(labels).tolist() == [0, 1, 2, 3]
    assert numbering.ids(numbering.numbers(labels)).tolist() == labels.tolist()
    assert numbering.taught(model, ["spleen", "organ"]) == [3, 1]
    fewer = train(small, MODEL.model_copy(update={"classes": ("organ",)}))
    model = replace(model, folder=fewer)
    # A lesion lies in the organ, and the spleen is nothing to this model.
    assert Numbering(model).numbers(labels).tolist() == [0, 1, 1, 0]
    assert Numbering(model).taught(model, ["spleen", "organ"]) == [1]


@pytest.mark.slow
@pytest.mark.parametrize("model", [MODEL, PLANNED])
def test_it_learns_to_follow_clicks(small, model) -> None:
    """A real network of a minute: three clicks a class repair a wrong mask of a case that it did not learn from."""
    train(small, model.model_copy(update={"iterations": 150, "features": (8, 16)}))
    (model,) = open_models(layout.NEXT_MODELS, small.schema)
    case = small.cases[3]
    image = read(case.image)
    truth = Numbering(model).numbers(read_label(small.labels / f"{case.case_id}.nii.gz"))
    session = backend_of(model.card).session(model, image, "cpu")
    wrong = np.roll(truth, 3, axis=2)
    numbers = [1, 2, 3]
    played = play(
        session, wrong, truth, numbers, 3, lambda a, b: mean_iou(b, truth, numbers) > mean_iou(a, truth, numbers)
    )
    assert mean_iou(played.labels, truth, numbers) > mean_iou(wrong, truth, numbers) + 0.2
