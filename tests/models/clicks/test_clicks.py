"""The network under clicks: what it sees of them, what it learns, and that it does so bit for bit."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxledger import layout
from voxledger.imaging.volume import file_sha256, read, read_label
from voxledger.models.backend import backend_of
from voxledger.models.clicks.guidance import guidance
from voxledger.models.clicks.network import build_network, with_guides_of
from voxledger.models.clicks.predict import predict
from voxledger.models.heads import take_over
from voxledger.models.interaction import Click, mean_iou, play
from voxledger.models.model import open_models
from voxledger.models.numbering import Numbering
from voxledger.params import InferParams, MachineParams, ModelParams, RetrainParams
from voxledger.records.card import PLANS, check_model, load_tensors
from voxledger.records.ledger import Origin
from voxledger.retrain.run import retrain_round
from voxledger.textfile import read_json

torch = pytest.importorskip("torch")

MODEL = ModelParams(
    backend="clicks", network="unet", patch=(8, 16, 16), features=(4, 8), iterations=3, learning_rate=0.02
)


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


def test_it_trains_and_predicts_like_every_other_model_and_repeats_bit_for_bit(small) -> None:
    """With a class of one case unknown; the folder is the same without the memo."""
    small = small.with_origin("c1", "lesion", Origin.PREDICTED)
    first = hashes(train(small))
    assert sorted(first) == ["dataset.json", "model.json", "plans.json", "weights.safetensors"]
    assert check_model(layout.NEXT_MODELS / "saim").architecture == "UNet 4-8 under clicks"
    shutil.rmtree(".memo")
    assert hashes(train(small)) == first
    shutil.rmtree(".memo")
    assert hashes(train(small, seed=1))["weights.safetensors"] != first["weights.safetensors"]


def test_without_clicks_a_session_says_what_the_model_predicts(small) -> None:
    train(small)
    (model,) = open_models(layout.NEXT_MODELS, small.schema)
    image = read(small.cases[0].image)
    session = backend_of(model.card).session(model, image, "cpu")
    channels = predict(model.folder, model.card.id, image, InferParams(), "cpu")
    most = np.argmax([channels.probability(i) for i in range(4)], axis=0)
    assert np.array_equal(session.automatic(InferParams()), most)


@pytest.mark.parametrize("spacing", [None, (3.0, 1.5, 1.0)])
def test_a_click_is_answered_and_what_is_far_away_stays(small, spacing) -> None:
    train(small, MODEL.model_copy(update={"spacing": spacing}))
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


def test_weights_of_a_parent_with_other_classes_read_the_guidance_of_the_same_ones() -> None:
    """Class b was the second, and is the first: its mask and clicks must reach what they reached before."""
    plans = {"network": "unet", "features": [4, 8]}
    before = {"labels": {"background": 0, "a": 1, "b": 2}}
    after = {"labels": {"background": 0, "b": 1, "new": 2, "a": 3}}
    parent, network = build_network(plans, 3), build_network(plans, 4)
    weights = parent.state_dict()
    mapped = with_guides_of(weights, before, after, lambda known: build_network(plans, 4, known))
    take_over(network, mapped, before, after, lambda count: build_network(plans, count, 3))
    reading = [name for name, tensor in weights.items() if tensor.ndim == 5 and tensor.shape[1] == 7]
    assert len(reading) == 2  # the first convolution, and the way around it
    for name in reading:
        had, has = weights[name], network.state_dict()[name]
        assert torch.equal(has[:, 0], had[:, 0])
        assert torch.equal(has[:, 1:4], had[:, 4:7])
        assert torch.equal(has[:, 7:10], had[:, 1:4])
        assert not has[:, 4:7].any()


def test_fine_tuning_goes_on_from_the_base(small) -> None:
    train(small)
    shutil.copytree(layout.NEXT_MODELS, layout.BASE_MODELS)
    base = load_tensors(layout.BASE_MODELS / "saim")
    # So slow that the weights stay.
    folder = train(small, MODEL.model_copy(update={"learning_rate": 1e-9}), strategy="finetune")
    assert check_model(folder).strategy == "finetune"
    assert read_json(folder / PLANS) == read_json(layout.BASE_MODELS / "saim" / PLANS)
    for name, tensor in load_tensors(folder).items():
        assert torch.allclose(tensor, base[name], atol=1e-6), name


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
def test_it_learns_to_follow_clicks(small) -> None:
    """A real network of a minute: three clicks a class repair a wrong mask of a case that it did not learn from."""
    train(small, MODEL.model_copy(update={"iterations": 150, "features": (8, 16)}))
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
