"""nnU-Net (Isensee et al., Nature Methods 2021): the network of a `plans.json`, built by nnunetv2 itself."""

from __future__ import annotations

from typing import Any

from voxledger.errors import VoxledgerError
from voxledger.records.card import PLANS

CONFIGURATION = "3d_fullres"
_NETWORKS = "dynamic_network_architectures.architectures."
_LAYERS = ("torch.nn.", "dynamic_network_architectures.")


def build_network(plans: dict[str, Any], dataset: dict[str, Any], deep_supervision: bool) -> Any:
    """The network of the plans with one input channel, initialised as nnU-Net does.

    nnU-Net imports whatever class the plans name, so names from outside its own library are refused.
    """
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    architecture = plans["configurations"][CONFIGURATION]["architecture"]
    kwargs, imported = architecture["arch_kwargs"], architecture["_kw_requires_import"]
    foreign = [kwargs[k] for k in imported if kwargs[k] is not None and not str(kwargs[k]).startswith(_LAYERS)]
    if not architecture["network_class_name"].startswith(_NETWORKS) or foreign:
        raise VoxledgerError(f"{PLANS} names a network that is not nnU-Net's", "restore the model, or train it again")
    manager = PlansManager(plans)
    return get_network_from_plans(
        architecture["network_class_name"],
        kwargs,
        imported,
        1,
        manager.get_label_manager(dataset).num_segmentation_heads,
        deep_supervision=deep_supervision,
    )


def architecture_name(plans: dict[str, Any]) -> str:
    """Class and features in words.

    Examples
    --------
    >>> layers = {"network_class_name": "a.b.PlainConvUNet", "arch_kwargs": {"features_per_stage": [16, 32]}}
    >>> architecture_name({"configurations": {CONFIGURATION: {"architecture": layers}}})
    'PlainConvUNet 16-32'
    """
    architecture = plans["configurations"][CONFIGURATION]["architecture"]
    features = "-".join(str(f) for f in architecture["arch_kwargs"]["features_per_stage"])
    return f"{architecture['network_class_name'].rsplit('.', 1)[-1]} {features}"
