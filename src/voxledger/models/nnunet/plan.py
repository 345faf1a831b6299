"""nnU-Net: its fingerprint and planner on the cases of a cohort."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from voxledger.errors import VoxledgerError
from voxledger.models.nnunet.network import CONFIGURATION
from voxledger.models.training import Training
from voxledger.records.card import to_json
from voxledger.textfile import read_json, replace_text

DATASET_NAME = "Dataset001_cohort"
"""How nnU-Net calls the cohort."""
_FINGERPRINT_VOXELS = 2_000_000
"""Foreground intensities drawn for the percentiles that normalise CT; nnU-Net's 10^8 change them by a hundredth of
a standard deviation and need gigabytes."""


def plan(training: Training, dataset: dict[str, Any], work: Path) -> dict[str, Any]:
    """Make nnU-Net's plans for the cohort, with what the parameters fix put in.

    Parameters
    ----------
    training
        Its model may fix spacing in mm and patch in voxels (both z, y, x), features and batch.
    dataset
        `dataset.json` of the model.
    work
        Folder that the environment variables of nnU-Net point at.

    Raises
    ------
    VoxledgerError
        No class has a voxel in the cohort, or nnU-Net plans no 3-D network.
    """
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

    files = {
        case.case_id: {"images": [str(case.image.resolve())], "label": str(case.label.resolve())}
        for case in training.cases
    }
    raw, preprocessed = work / "raw" / DATASET_NAME, work / "preprocessed" / DATASET_NAME
    replace_text(raw / "dataset.json", to_json({**dataset, "dataset": files}))
    replace_text(preprocessed / "dataset_fingerprint.json", to_json(_fingerprint(training)))
    spacing = [float(s) for s in training.model.spacing] if training.model.spacing else None
    planner = ExperimentPlanner(DATASET_NAME, overwrite_target_spacing=spacing)
    planner.lowres_creation_threshold = 0.0  # only the full resolution is trained
    planner.plan_experiment()
    plans = read_json(preprocessed / "nnUNetPlans.json")
    if CONFIGURATION not in plans["configurations"]:
        raise VoxledgerError("nnU-Net plans no 3-D network for this cohort", "train on volumes of several slices")
    plans["configurations"] = {CONFIGURATION: _fixed(training, plans, plans["configurations"][CONFIGURATION])}
    return plans


def _fingerprint(training: Training) -> dict[str, Any]:
    """What nnU-Net's fingerprint extractor gathers; ignored voxels are no foreground."""
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
    from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero

    spacings, shapes, sizes, intensities = [], [], [], []
    for _, image, labels in training.load_all():
        known = np.where(labels == training.ignore, 0, labels)
        data, seg, _ = crop_to_nonzero(image.array[None].astype(np.float32), known[None])
        drawn, _ = DatasetFingerprintExtractor.collect_foreground_intensities(
            seg, data, num_samples=_FINGERPRINT_VOXELS // len(training.cases)
        )
        intensities.extend(drawn)
        spacings.append(list(image.grid.spacing))
        shapes.append(list(data.shape[1:]))
        sizes.append(data[0].size / image.array.size)
    foreground = np.concatenate(intensities)
    if foreground.size == 0:
        raise VoxledgerError("the cohort holds no voxel of any class", "review cases in which the classes are seen")
    low, median, high = np.percentile(foreground, (0.5, 50.0, 99.5))
    return {
        "spacings": spacings,
        "shapes_after_crop": shapes,
        "median_relative_size_after_cropping": float(np.median(sizes)),
        "foreground_intensity_properties_per_channel": {
            "0": {
                "mean": float(np.mean(foreground, dtype=np.float64)),
                "median": float(median),
                "std": float(np.std(foreground, dtype=np.float64)),
                "min": float(foreground.min()),
                "max": float(foreground.max()),
                "percentile_99_5": float(high),
                "percentile_00_5": float(low),
            }
        },
    }


def _fixed(training: Training, plans: dict[str, Any], planned: dict[str, Any]) -> dict[str, Any]:
    """The planned configuration with the patch, features and batch of the parameters; nnU-Net derives the topology."""
    from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

    features = training.model.features
    wanted = [training.model.patch[axis] for axis in plans["transpose_forward"]] if training.model.patch else None
    _, strides, kernels, patch, _ = get_pool_and_conv_props(
        planned["spacing"], wanted or planned["patch_size"], 4, len(features) - 1
    )
    stages = len(strides)
    kwargs = {
        **planned["architecture"]["arch_kwargs"],
        "n_stages": stages,
        "features_per_stage": [features[min(i, len(features) - 1)] for i in range(stages)],
        "strides": [list(s) for s in strides],
        "kernel_sizes": [list(k) for k in kernels],
        "n_conv_per_stage": [2] * stages,
        # One, as in nnU-Net's residual encoder presets: 0.32 instead of 0.51 s an iteration on one core.
        "n_conv_per_stage_decoder": [1] * (stages - 1),
    }
    return {
        **planned,
        "patch_size": [int(n) for n in patch],
        "batch_size": training.model.batch,
        "architecture": {**planned["architecture"], "arch_kwargs": kwargs},
        # Linear as in the planner's choice, but in float32 by torch: a class of a large CT takes a fifth of the memory.
        "resampling_fn_probabilities": "resample_torch_fornnunet",
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "force_separate_z": None, "num_threads": 1},
    }
