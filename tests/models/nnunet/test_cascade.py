"""A cascade: its two networks trained one after the other, and predicting as nnU-Net's own predictor does."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.imaging.volume import Grid, Volume, read
from voxledger.models.dataset import describe
from voxledger.models.nnunet import predict as nnunet
from voxledger.models.nnunet.network import architecture_name, build_network
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


def configuration(spacing: list[float], patch: list[int]) -> dict[str, Any]:
    """What nnU-Net's planner writes, for a network of two stages."""
    return {
        "data_identifier": f"nnUNetPlans_{spacing[0]}",
        "preprocessor_name": "DefaultPreprocessor",
        "batch_size": 2,
        "patch_size": patch,
        "median_image_size_in_voxels": patch,
        "spacing": spacing,
        "normalization_schemes": ["CTNormalization"],
        "use_mask_for_norm": [False],
        "resampling_fn_data": "resample_data_or_seg_to_shape",
        "resampling_fn_seg": "resample_data_or_seg_to_shape",
        "resampling_fn_data_kwargs": {"is_seg": False, "order": 3, "order_z": 0, "force_separate_z": None},
        "resampling_fn_seg_kwargs": {"is_seg": True, "order": 1, "order_z": 0, "force_separate_z": None},
        "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None},
        "batch_dice": False,
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": {
                "n_stages": 3,
                "features_per_stage": [4, 8, 8],
                "conv_op": "torch.nn.modules.conv.Conv3d",
                "kernel_sizes": [[3, 3, 3]] * 3,
                "strides": [[1, 1, 1], [2, 2, 2], [1, 2, 2]],
                "n_conv_per_stage": [1, 1, 1],
                "n_conv_per_stage_decoder": [1, 1],
                "conv_bias": True,
                "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                "dropout_op": None,
                "dropout_op_kwargs": None,
                "nonlin": "torch.nn.LeakyReLU",
                "nonlin_kwargs": {"inplace": True},
            },
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }


def plans() -> dict[str, Any]:
    ct = {"mean": 20.0, "median": 20.0, "std": 60.0, "min": -80.0, "max": 120.0}
    return {
        "dataset_name": "Dataset001_cohort",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": [2.0, 1.0, 1.0],
        "original_median_shape_after_transp": [12, 20, 24],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "configurations": {
            LOWRES: {**configuration([3.0, 1.5, 1.5], [8, 16, 16]), "next_stage": CASCADE},
            FULLRES: configuration([2.0, 1.0, 1.0], [8, 16, 16]),
            CASCADE: {"inherits_from": FULLRES, "previous_stage": LOWRES},
        },
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {**ct, "percentile_00_5": -80.0, "percentile_99_5": 120.0}
        },
        KEY: STAGES.model_dump(mode="json"),
    }


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
