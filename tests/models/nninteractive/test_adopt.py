"""Folders in nnInteractive's format: taken in without running anything, and refused by name."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from interactive import mark_recist, write_folder
from small_cases import SCHEMA

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.models.adopt import Said, adopt_model
from voxledger.models.nninteractive.adopt import CHANNELS
from voxledger.models.nninteractive.plan import plan
from voxledger.models.nninteractive.predict import open_session
from voxledger.models.process import quiet
from voxledger.records.card import ModelCard, check_model
from voxledger.weak.prompt import Prompt

IMAGE = np.random.default_rng(0).normal(100, 30, (20, 30, 26)).astype(np.float32)


def adopt(folder: Path, licence: str = "", name: str = "theirs", chosen: str | None = None, folds=()) -> ModelCard:
    return adopt_model(name, folder, Said(licence), chosen, folds, SCHEMA, layout.BASE_MODELS, 1)


def test_it_is_written_anew_with_the_licence_of_its_folder(folder):
    card = adopt(write_folder(Path("theirs")))
    assert (card.backend, card.licence, card.strategy) == ("nninteractive", "CC-BY-NC-SA-4.0", "adopted")
    assert card.source.classes == {}
    home = layout.BASE_MODELS / "theirs"
    assert sorted(p.name for p in home.iterdir()) == ["dataset.json", "model.json", "plans.json", "weights.safetensors"]
    known = json.loads((home / "plans.json").read_text())["voxledger"]
    assert (known["point_radius"], known["decay"], known["clip"]) == (3, 0.9, None)
    assert check_model(home) == card


def test_it_segments_as_nninteractive_does_with_the_folder(folder, monkeypatch):
    """The same mask as nnInteractive's own session, which reads the checkpoint as a pickle."""
    from nnInteractive.inference.inference_session import nnInteractiveInferenceSession

    theirs = write_folder(Path("theirs"))
    card = adopt(theirs)
    ours = open_session(layout.BASE_MODELS / "theirs", card.id, "cpu")
    ours.show(IMAGE)
    with quiet():
        session = nnInteractiveInferenceSession(torch.device("cpu"), torch_n_threads=1)
        session.initialize_from_trained_model_folder(str(theirs))
        session.set_image(IMAGE[None])
        session.set_target_buffer(np.zeros(IMAGE.shape, np.uint8))
        before = np.zeros(IMAGE.shape, np.uint8)
        before[8:13, 10:19, 9:16] = 1
        session.add_initial_seg_interaction(before)
        session.add_point_interaction((10, 14, 12), True)
        session.add_scribble_interaction(
            np.eye(5, dtype=np.uint8)[None], True, interaction_bbox=[[11, 12], [12, 17], [10, 15]]
        )
    point, line = np.ones((1, 1, 1), bool), (np.eye(5) > 0)[None]
    monkeypatch.setattr("voxledger.models.nninteractive.session.in_one_patch", lambda prompts, patch: None)
    guess = Prompt("guess", (8, 10, 9), np.ones((5, 9, 7), bool))
    box, probability = ours.segment(
        [guess, Prompt("point", (10, 14, 12), point), Prompt("scribble", (11, 12, 10), line)]
    )
    assert 0 < session.target_buffer.mean() < 1
    np.testing.assert_array_equal(session.target_buffer[box] > 0, probability > 0.5)
    assert session.target_buffer.sum() == session.target_buffer[box].sum()


def test_the_official_weights_without_a_licence_file_have_theirs(folder):
    plans = {"dataset_name": "Dataset225_nnInteractiveV2"}
    assert adopt(write_folder(Path("theirs"), plans=plans, licence="")).licence == "CC-BY-NC-SA-4.0"


class _Runs:
    def __reduce__(self):
        return Path.touch, (Path("it ran"),)


def with_patch(*sides: float) -> dict[str, object]:
    """Plans of another patch than the network can halve."""
    configurations = plan((16, 24, 16), (4, 8), None)["configurations"]
    configurations["3d_fullres"]["patch_size"] = sides
    return {"plans": {"configurations": configurations}}


OTHER_CHANNELS = {**CHANNELS, "points": [5, 6], "scribble": [3, 4]}
REFUSED = {
    "another licence than its own": ({}, {"licence": "MIT"}, "says that its weights are under CC BY-NC-SA 4.0"),
    "no licence": ({"licence": ""}, {}, "does not say under which licence"),
    "a class map": ({}, {"chosen": "totalsegmentator"}, "no classes to map"),
    "a fold that is not there": ({}, {"folds": ["3"]}, "there are 0"),
    "two images": (
        {"dataset": {"channel_names": {"0": "CT", "1": "PET"}}},
        {},
        r"reads 2 images of a case \(CT, PET\)",
    ),
    "other channels": ({"info": {"channel_mapping": OTHER_CHANNELS}}, {}, "inference_info.json: .*channel_mapping is"),
    "more channels": ({"info": {"interaction_channels": 8}}, {}, "interaction_channels is 8"),
    "no lassos": ({"info": {"supported_interactions": {"lasso": False}}}, {}, "does not take lasso"),
    "no guesses": ({"info": {"supports_initial_label": False}}, {}, "supports_initial_label is False"),
    "a point without size": ({"info": {"point_radius": 0}}, {}, "inference_info.json: point_radius"),
    "a newer session": ({"info": {"inference_class_min_version": "99.0"}}, {}, "made for nnInteractive 99.0"),
    "another configuration": (
        {"checkpoint": {"init_args": {"configuration": "3d_lowres"}}},
        {},
        "plans.json has no configuration 3d_lowres",
    ),
    "other weights": (
        {"checkpoint": {"network_weights": {"a": torch.zeros(1)}}},
        {},
        "checkpoint_final.pth is a checkpoint of another architecture",
    ),
    "no weights": ({"checkpoint": {"init_args": 3}}, {}, "is no checkpoint of nnInteractive"),
    "a patch that cannot be halved": (with_patch(15, 23, 15), {}, "theirs: the model cannot predict an image"),
    "a patch of no size": (with_patch(0, 0, 0), {}, "theirs: the model cannot predict an image"),
    "a patch in a plane": (with_patch(16, 24), {}, "theirs: the model cannot predict an image"),
    "a point larger than memory": ({"info": {"point_radius": 1e9}}, {}, "theirs: the model cannot predict an image"),
    "code": ({"checkpoint": {"more": _Runs()}}, {}, "would run code"),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_does_not_fit_is_refused_by_name(folder, what):
    change, given, said = REFUSED[what]
    theirs = write_folder(Path("theirs"), **change)
    with pytest.raises((Misuse, VoxledgerError), match=said):
        adopt(theirs, **given)
    assert not (layout.BASE_MODELS / "theirs").exists()
    assert not Path("it ran").exists()


def test_a_network_from_outside_of_nnunet_is_refused(folder):
    theirs = write_folder(Path("theirs"))
    text = (theirs / "plans.json").read_text()
    (theirs / "plans.json").write_text(text.replace("dynamic_network_architectures.architectures.unet", "os.path"))
    with pytest.raises(VoxledgerError, match="names a network that is not nnU-Net's"):
        adopt(theirs)


def test_it_predicts_what_is_marked(small):
    from voxledger.infer.predict import predict_cases
    from voxledger.params import InferParams, MachineParams

    card = adopt(write_folder(Path("theirs")))
    mark_recist("c1", 1)
    rows = predict_cases(
        small.cases, layout.BASE_MODELS, Path("out"), small.schema, InferParams(), MachineParams(workers=1)
    )
    assert [(row.case_id, row.model_id, row.classes) for row in rows] == [("c1", card.id, ("lesion",))]
