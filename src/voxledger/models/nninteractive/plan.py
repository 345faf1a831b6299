"""What is decided before training: layers, patch, and bounds of the intensities."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from voxledger.models.nninteractive.network import KEY, Interactive, require_patch

PATCH = (40, 56, 40)
"""Voxels (z, y, x) where the parameters give no patch."""


def plan(patch: Sequence[int] | None, features: Sequence[int], clip: tuple[float, float] | None) -> dict[str, Any]:
    """`plans.json` of a plain U-Net that halves its patch from stage to stage.

    Parameters
    ----------
    patch
        In voxels (z, y, x); None for `PATCH`.
    features
        Of every stage.
    clip
        Bounds of the intensities; None for all that there are.

    Raises
    ------
    VoxledgerError
        The patch cannot be halved so often.
    """
    patch, stages = tuple(patch or PATCH), len(features)
    require_patch(patch, stages)
    layers = {
        "n_stages": stages,
        "features_per_stage": list(features),
        "conv_op": "torch.nn.modules.conv.Conv3d",
        "kernel_sizes": [[3, 3, 3]] * stages,
        "strides": [[1, 1, 1]] + [[2, 2, 2]] * (stages - 1),
        "n_conv_per_stage": [1] + [2] * (stages - 1),
        "n_conv_per_stage_decoder": [1] * (stages - 1),
        "conv_bias": True,
        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
        "norm_op_kwargs": {"eps": 1e-05, "affine": True},
        "dropout_op": None,
        "dropout_op_kwargs": None,
        "nonlin": "torch.nn.LeakyReLU",
        "nonlin_kwargs": {"inplace": True},
    }
    configuration = {
        "patch_size": list(patch),
        "architecture": {
            "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
            "arch_kwargs": layers,
            "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
        },
    }
    known = Interactive(clip=clip)
    return {
        "dataset_name": "cohort",
        "plans_name": "nnInteractivePlans",
        "configurations": {known.configuration: configuration},
        KEY: known.model_dump(mode="json"),
    }
