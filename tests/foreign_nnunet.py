"""An nnU-Net results folder as nnU-Net writes it, of a small network that was never trained."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

LABELS = {"background": 0, "Organ": 1, "Spleen": 2}
MAP = "Organ: organ\nSpleen: spleen\n"
DATASET = {"channel_names": {"0": "CT"}, "labels": LABELS, "numTraining": 9, "file_ending": ".nii.gz"}
ARCHITECTURE = {
    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
    "arch_kwargs": {
        "n_stages": 3,
        "features_per_stage": [4, 8, 8],
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * 3,
        "strides": [[1, 1, 1], [2, 2, 2], [2, 2, 2]],
        "n_conv_per_stage": [1, 1, 1],
        "n_conv_per_stage_decoder": [1, 1],
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    },
    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
}
LINEAR = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
CONFIGURATION = {
    "data_identifier": "nnUNetPlans_3d_fullres",
    "preprocessor_name": "DefaultPreprocessor",
    "batch_size": 2,
    "patch_size": [8, 16, 16],
    "median_image_size_in_voxels": [12.0, 20.0, 24.0],
    "spacing": [2.0, 1.0, 1.0],
    "normalization_schemes": ["CTNormalization"],
    "use_mask_for_norm": [False],
    "resampling_fn_data": "resample_data_or_seg_to_shape",
    "resampling_fn_seg": "resample_data_or_seg_to_shape",
    "resampling_fn_data_kwargs": {**LINEAR, "order": 3},
    "resampling_fn_seg_kwargs": {**LINEAR, "is_seg": True},
    "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
    "resampling_fn_probabilities_kwargs": LINEAR,
    "architecture": ARCHITECTURE,
    "batch_dice": True,
}
INTENSITIES = {
    "max": 300.0, "mean": 50.0, "median": 40.0, "min": -200.0, "percentile_00_5": -90.0, "percentile_99_5": 140.0,
    "std": 60.0,
}  # fmt: skip
PLANS = {
    "dataset_name": "Dataset123_Abdomen",
    "plans_name": "nnUNetPlans",
    "original_median_spacing_after_transp": [2.0, 1.0, 1.0],
    "original_median_shape_after_transp": [12, 20, 24],
    "image_reader_writer": "SimpleITKIO",
    "transpose_forward": [0, 1, 2],
    "transpose_backward": [0, 1, 2],
    "configurations": {"3d_fullres": CONFIGURATION},
    "experiment_planner_used": "ExperimentPlanner",
    "label_manager": "LabelManager",
    "foreground_intensity_properties_per_channel": {"0": INTENSITIES},
}


def plans_with(**changes: Any) -> dict[str, Any]:
    """The plans with another configuration."""
    return {**PLANS, "configurations": {"3d_fullres": {**CONFIGURATION, **changes}}}


def checkpoint(fold: int, plans: dict[str, Any] = PLANS, **changes: Any) -> dict[str, Any]:
    """What nnU-Net's trainer saves: weights among plain values and the numpy scalars of its log."""
    import torch

    from voxledger.models.nnunet.network import build_network

    torch.manual_seed(fold)
    network = build_network(PLANS, DATASET, "3d_fullres", deep_supervision=True)
    arguments = {"plans": plans, "configuration": "3d_fullres", "fold": fold, "dataset_json": DATASET}
    return {
        "network_weights": network.state_dict(),
        "optimizer_state": {},
        "grad_scaler_state": None,
        "logging": {"mean_fg_dice": [np.float64(0.5)], "dice": [[np.float32(0.25)]], "steps": [np.int64(3)]},
        "_best_ema": np.float64(0.5),
        "current_epoch": 1,
        "init_args": arguments,
        "trainer_name": "nnUNetTrainer",
        "inference_allowed_mirroring_axes": (0, 1, 2),
        **changes,
    }


def write_folder(folder: Path, folds: int = 1) -> Path:
    """The folder of one configuration."""
    import torch

    folder.mkdir(parents=True)
    (folder / "plans.json").write_text(json.dumps(PLANS))
    (folder / "dataset.json").write_text(json.dumps(DATASET))
    for fold in range(folds):
        (folder / f"fold_{fold}").mkdir()
        torch.save(checkpoint(fold), folder / f"fold_{fold}/checkpoint_final.pth")
    return folder
