"""nnU-Net's planner on the cases of a cohort."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.models.nnunet.fingerprint import fingerprint
from voxledger.models.nnunet.stages import FULLRES, KEY, Stages, planned
from voxledger.models.training import Training
from voxledger.records.card import to_json
from voxledger.textfile import read_json, replace_text

DATASET_NAME = "Dataset001_cohort"
"""How nnU-Net calls the cohort."""
_PLANNERS = "nnunetv2.experiment_planning.experiment_planners."
_RESIDUAL = f"{_PLANNERS}residual_unets.residual_encoder_unet_planners"
PLANNERS = {
    "plans": (f"{_PLANNERS}default_experiment_planner", "ExperimentPlanner"),
    "nnUNetPlans": (f"{_PLANNERS}default_experiment_planner", "ExperimentPlanner"),
    "nnUNetResEncUNetMPlans": (_RESIDUAL, "nnUNetPlannerResEncM"),
    "nnUNetResEncUNetLPlans": (_RESIDUAL, "nnUNetPlannerResEncL"),
    "nnUNetResEncUNetXLPlans": (_RESIDUAL, "nnUNetPlannerResEncXL"),
}
"""Module and class of the planner, by what `network` says."""


@contextlib.contextmanager
def nnunet_folders(work: Path) -> Iterator[None]:
    """Point nnU-Net at folders in a folder; keep its augmentation in this process once planning is done."""
    names = {f"nnUNet_{n}": str(work.resolve() / n) for n in ("raw", "preprocessed", "results")}
    saved = {name: os.environ.get(name) for name in (*names, "nnUNet_n_proc_DA")}
    for path in names.values():
        (Path(path) / DATASET_NAME).mkdir(parents=True)
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in saved.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def plan(training: Training, dataset: dict[str, Any], work: Path) -> dict[str, Any]:
    """Make nnU-Net's plans for the cohort; of the recipe `small`, with what the parameters fix put in.

    Parameters
    ----------
    training
        Its model may fix the spacing in mm (z, y, x); of the recipe `small` also patch in voxels, features and batch.
    dataset
        `dataset.json` of the model.
    work
        Folder that the environment variables of nnU-Net point at.

    Raises
    ------
    VoxledgerError
        No class has a voxel in the cohort, or nnU-Net plans no 3-D network, or one of a single stage.
    """
    files = {
        case.case_id: {"images": [str(case.image.resolve())], "label": str(case.label.resolve())}
        for case in training.cases
    }
    raw, preprocessed = work / "raw" / DATASET_NAME, work / "preprocessed" / DATASET_NAME
    replace_text(raw / "dataset.json", to_json({**dataset, "dataset": files}))
    replace_text(preprocessed / "dataset_fingerprint.json", to_json(fingerprint(training)))
    spacing = [float(s) for s in training.model.spacing] if training.model.spacing else None
    module, name = PLANNERS[training.model.network]
    planner = getattr(import_module(module), name)(DATASET_NAME, overwrite_target_spacing=spacing)
    small = training.model.recipe == "small"
    if small:
        planner.lowres_creation_threshold = 0.0  # only the full resolution is trained
    planner.plan_experiment()
    plans: dict[str, Any] = read_json(preprocessed / f"{planner.plans_identifier}.json")
    if FULLRES not in plans["configurations"]:
        raise VoxledgerError("nnU-Net plans no 3-D network for this cohort", "train on volumes of several slices")
    if small:
        plans["configurations"] = {FULLRES: _fixed(training, plans, plans["configurations"][FULLRES])}
        return plans
    # nnU-Net's trainer mirrors patches of volumes along all three axes, and says so in its checkpoints.
    stages = Stages(recipe="nnunet", trainer="nnUNetTrainer", configurations=planned(plans), mirror_axes=(0, 1, 2))
    return {**plans, KEY: stages.model_dump(mode="json")}


def _fixed(training: Training, plans: dict[str, Any], planned: dict[str, Any]) -> dict[str, Any]:
    """The planned configuration with the patch, features and batch of the parameters; nnU-Net derives the topology."""
    from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

    features = training.model.features
    wanted = [training.model.patch[axis] for axis in plans["transpose_forward"]] if training.model.patch else None
    _, strides, kernels, patch, _ = get_pool_and_conv_props(
        planned["spacing"], wanted or planned["patch_size"], 4, len(features) - 1
    )
    stages = len(strides)
    if stages == 1:
        raise VoxledgerError(
            f"{training.name}: its patch and features give nnU-Net a network of one stage, which has no output",
            f"raise retrain.models.{training.name}.patch in {layout.PARAMS}, or give two features or more",
        )
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
