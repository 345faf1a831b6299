"""A cascade: its two networks trained one after the other, and predicting as nnU-Net's own predictor does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from foreign_nnunet import CONFIGURATION
from foreign_nnunet import PLANS as PLANS_OF_ONE

from voxledger.imaging.volume import Grid, Volume, read
from voxledger.models.dataset import describe
from voxledger.models.nnunet import predict as nnunet
from voxledger.models.nnunet.network import architecture_name, build_network
from voxledger.models.nnunet.plan import DATASET_NAME
from voxledger.models.nnunet.stages import CASCADE, FULLRES, KEY, LOWRES, Stages
from voxledger.params import InferParams, MachineParams, ModelParams, RetrainParams
from voxledger.records.card import (
    DATASET,
    PLANS,
    ModelCard,
    check_model,
    load_weights,
    save_tensors,
    to_json,
    weights_of,
    write_card,
)
from voxledger.retrain.run import retrain_round

NEXT = Path("models/next/nn")
STAGES = Stages(recipe="nnunet", trainer="nnUNetTrainer", configurations=(LOWRES, CASCADE), mirror_axes=(0, 1, 2))


def plans() -> dict[str, Any]:
    """What nnU-Net's planner writes where images are much larger than a patch, for networks of three stages."""
    coarse = {"spacing": [3.0, 1.5, 1.5], "data_identifier": "nnUNetPlans_3d_lowres", "next_stage": CASCADE}
    configurations = {
        LOWRES: {**CONFIGURATION, **coarse},
        FULLRES: CONFIGURATION,
        CASCADE: {"inherits_from": FULLRES, "previous_stage": LOWRES},
    }
    ours = {"dataset_name": DATASET_NAME, "configurations": configurations, KEY: STAGES.model_dump(mode="json")}
    return {**PLANS_OF_ONE, **ours}


@pytest.fixture
def base(small) -> Path:
    """A cascade in `models/base` that has not learned anything."""
    import torch

    torch.manual_seed(0)
    home = Path("models/base/nn")
    home.mkdir(parents=True)
    dataset = describe(small.schema, ["CT"], 3, ignore=False)
    (home / PLANS).write_text(to_json(plans()))
    (home / DATASET).write_text(to_json(dataset))
    weights: dict[str, Any] = {}
    for name in (LOWRES, CASCADE):
        weights |= weights_of(build_network(plans(), dataset, name, True), STAGES.prefix(name, "all"))
    model = ModelParams(backend="nnunet", epochs=1)
    card = ModelCard(
        id=save_tensors(home, weights),
        name="nn",
        backend="nnunet",
        architecture=architecture_name(plans()),
        strategy="full",
        cohort="",
        parent="",
        params=model.record(),
        licence="CC0-1.0",
        round=0,
    )
    write_card(home, card)
    return home


def nnunets_own(folder: Path, image: Volume, step: float) -> np.ndarray:
    """Probabilities (channel, z, y, x) of the cascade by nnU-Net alone, through a label map of the first."""
    import torch
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    read_plans = json.loads((folder / PLANS).read_text())
    dataset, manager = json.loads((folder / DATASET).read_text()), PlansManager(read_plans)
    previous, probabilities = None, np.zeros(0)
    for name in (LOWRES, CASCADE):
        network = build_network(read_plans, dataset, name, deep_supervision=False)
        load_weights(folder, network, STAGES.prefix(name, "all"))
        predictor = nnUNetPredictor(step, use_mirroring=True, device=torch.device("cpu"), allow_tqdm=False)
        planned = manager.get_configuration(name)
        predictor.manual_initialization(network, manager, planned, None, dataset, "nnUNetTrainer", (0, 1, 2))
        data, seg, properties = planned.preprocessor_class(verbose=False).run_case_npy(
            image.array[None], previous, {"spacing": list(image.grid.spacing)}, manager, planned, dataset
        )
        if previous is not None:
            labels = predictor.label_manager.foreground_labels
            data = np.vstack((data, convert_labelmap_to_one_hot(seg[0], labels, output_dtype=data.dtype)))
        logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(data))
        segmentation, probabilities = convert_predicted_logits_to_segmentation_with_correct_shape(
            logits.float(), manager, planned, predictor.label_manager, properties, return_probabilities=True
        )
        previous = segmentation[None].astype(np.int16)
    return probabilities


@pytest.mark.parametrize("spacing", [(2.0, 1.0, 1.0), (5.0, 1.3, 0.9)])
def test_a_cascade_predicts_as_nnunet_does(base: Path, spacing: tuple[float, ...]) -> None:
    array = np.zeros((14, 25, 31), np.int16)
    array[2:13, 1:23, 4:30] = np.random.default_rng(0).normal(0, 60, (11, 22, 26)) + 1
    image = Volume(array, Grid.plain(array.shape, spacing))
    channels = nnunet.predict(base, check_model(base).id, image, InferParams(), "cpu")
    expected = nnunets_own(base, image, 0.5)
    for (channel,) in channels.of.values():
        np.testing.assert_allclose(channels.probability(channel), expected[channel], atol=1e-3)
    assert len(np.unique(expected.argmax(0))) > 1


@pytest.mark.slow
def test_a_cascade_is_trained_one_network_after_the_other(small, base: Path) -> None:
    params = RetrainParams(models={"nn": ModelParams(backend="nnunet", epochs=1)}, strategy="finetune")
    retrain_round(small.cases, small.schema, small.ledger, 1, params, MachineParams(workers=1))
    card = check_model(NEXT)
    assert card.strategy == "finetune"
    assert card.architecture == "PlainConvUNet 4-8-8 → PlainConvUNet 4-8-8"
    image = read(small.cases[3].image)
    channels = nnunet.predict(NEXT, card.id, image, InferParams(), "cpu")
    spleen = channels.probability(*channels.of["spleen"]) > 0.5
    truth = np.zeros(image.array.shape, bool)
    truth[3:10, 5:15, 15:21] = True
    assert 2 * (spleen & truth).sum() / (spleen.sum() + truth.sum()) > 0.8
    before = card.id
    shutil.rmtree("models/next")
    retrain_round(small.cases, small.schema, small.ledger, 1, params, MachineParams(workers=1))
    assert check_model(NEXT).id == before
