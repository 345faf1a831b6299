"""What is decided before training: the same as for every network of MONAI, or what nnU-Net's planner says."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from voxledger.models.clicks.network import BY_NNUNET
from voxledger.models.dataset import is_ct
from voxledger.models.monai.plan import plan as plan_monai
from voxledger.models.nnunet.plan import nnunet_folders
from voxledger.models.nnunet.plan import plan as plan_nnunet
from voxledger.models.nnunet.stages import FULLRES
from voxledger.models.process import quiet
from voxledger.models.training import Training


def plan(training: Training, dataset: dict[str, Any]) -> dict[str, Any]:
    """Plan working spacing, patch and intensity bounds, and with nnU-Net's planner the layers.

    nnU-Net puts the axis of the widest spacing first. Everything here is z, y, x.

    Parameters
    ----------
    training
        Its model may fix spacing in mm and patch in voxels (both z, y, x), and has the features of every stage.
    dataset
        `dataset.json` of the model.

    Raises
    ------
    VoxledgerError
        No class has a voxel in the cohort, or nnU-Net plans no 3-D network, or one of a single stage.
    """
    if training.model.network != BY_NNUNET:
        return plan_monai(training, dataset)
    small = replace(training, model=training.model.model_copy(update={"recipe": "small"}))
    with TemporaryDirectory() as work, nnunet_folders(Path(work)), quiet():
        plans = plan_nnunet(small, dataset, Path(work))
    configuration, back = plans["configurations"][FULLRES], plans["transpose_backward"]
    architecture = configuration["architecture"]
    turned = {
        name: [_turned(sizes, back) for sizes in architecture["arch_kwargs"][name]]
        for name in ("strides", "kernel_sizes")
    }
    found = plans["foreground_intensity_properties_per_channel"]["0"]
    bounds = {"low": found["percentile_00_5"], "high": found["percentile_99_5"]}
    return {
        "network": BY_NNUNET,
        "spacing": _turned(configuration["spacing"], back),
        "patch": _turned(configuration["patch_size"], back),
        "intensity": {**bounds, "mean": found["mean"], "std": found["std"]} if is_ct(dataset) else None,
        "configurations": {
            FULLRES: {"architecture": {**architecture, "arch_kwargs": {**architecture["arch_kwargs"], **turned}}}
        },
    }


def _turned(sizes: list[Any], back: list[int]) -> list[Any]:
    """Sizes along the axes of nnU-Net's plans, along z, y, x."""
    return [sizes[axis] for axis in back]
