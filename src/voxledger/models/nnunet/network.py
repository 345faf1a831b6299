"""nnU-Net (Isensee et al., Nature Methods 2021): the networks of a `plans.json`, built by nnunetv2 itself."""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from typing import Any

from voxledger.errors import VoxledgerError
from voxledger.models.dataset import BACKGROUND
from voxledger.models.nnunet.stages import stages_of
from voxledger.records.card import PLANS

_NETWORKS = "dynamic_network_architectures.architectures."
_LAYERS = ("torch.nn.", "dynamic_network_architectures.")


def build_network(plans: dict[str, Any], dataset: dict[str, Any], configuration: str, deep_supervision: bool) -> Any:
    """A network of the plans for images of one channel, initialised as nnU-Net does.

    nnU-Net imports and calls whatever the plans name, so what is no network or layer of its own library is refused.
    """
    from nnunetv2.utilities.label_handling.label_handling import determine_num_input_channels
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(plans)
    planned = manager.get_configuration(configuration)
    inputs = determine_num_input_channels(manager, planned, dataset)
    return network_of(planned, inputs, manager.get_label_manager(dataset).num_segmentation_heads, deep_supervision)


def with_outputs(plans: dict[str, Any], dataset: dict[str, Any], configuration: str) -> Callable[[int], Any]:
    """What builds a network of the plans with so many outputs, of whatever classes."""

    def build(count: int) -> Any:
        labels = {BACKGROUND: 0, **{str(n): n for n in range(1, count)}}
        return build_network(plans, {**dataset, "labels": labels}, configuration, deep_supervision=False)

    return build


def network_of(configuration: Any, inputs: int, outputs: int, deep_supervision: bool) -> Any:
    """The network of a configuration of nnU-Net's `PlansManager`, with so many channels.

    Raises
    ------
    VoxledgerError
        It names a network or a layer from outside of nnU-Net's own library.
    """
    from nnunetv2.utilities.get_network_from_plans import get_network_from_plans

    kwargs, imported = dict(configuration.network_arch_init_kwargs), configuration.network_arch_init_kwargs_req_import
    name = _own(configuration.network_arch_class_name, _NETWORKS)
    kwargs |= {k: _own(kwargs[k], *_LAYERS) for k in imported if kwargs[k] is not None}
    return get_network_from_plans(name, kwargs, imported, inputs, outputs, deep_supervision=deep_supervision)


def _own(name: Any, *packages: str) -> str:
    """Where the network or layer of a name lies, which may lead on through these packages to anything at all."""
    from pydoc import ErrorDuringImport, locate

    from torch.nn import Module

    found: Any = None
    if str(name).startswith(packages):
        with contextlib.suppress(ErrorDuringImport):
            # Networks have moved within nnU-Net's library, whose `unet` has all that its planners name.
            found = locate(str(name)) or locate(f"{_NETWORKS}unet.{str(name).rpartition('.')[2]}")
    if not (isinstance(found, type) and issubclass(found, Module) and found.__module__.startswith(_LAYERS)):
        raise VoxledgerError(
            f"{PLANS} names a network that is not nnU-Net's: {name}",
            "if it was trained here, restore it with `dvc checkout`; of one from elsewhere, add the predictions with "
            "`voxledger models add`",
        )
    return f"{found.__module__}.{found.__qualname__}"


def architecture_name(plans: dict[str, Any]) -> str:
    """Class and features of every network in words.

    Examples
    --------
    >>> layers = {"network_class_name": "a.b.PlainConvUNet", "arch_kwargs": {"features_per_stage": [16, 32]}}
    >>> architecture_name({"configurations": {"3d_fullres": {"architecture": layers}}})
    'PlainConvUNet 16-32'
    """
    found = []
    for name in stages_of(plans).configurations:
        planned = plans["configurations"][name]
        while "inherits_from" in planned and "architecture" not in planned:
            planned = plans["configurations"][planned["inherits_from"]]
        found.append(_in_words(planned))
    return " → ".join(found)


def _in_words(planned: dict[str, Any]) -> str:
    if "architecture" in planned:
        name, features = planned["architecture"]["network_class_name"], planned["architecture"]["arch_kwargs"]
        features = features["features_per_stage"]
    else:  # plans of nnU-Net before 2.5
        name, stages = planned["UNet_class_name"], len(planned["n_conv_per_stage_encoder"])
        features = [
            min(planned["UNet_base_num_features"] * 2**i, planned["unet_max_num_features"]) for i in range(stages)
        ]
    return f"{name.rsplit('.', 1)[-1]} {'-'.join(str(f) for f in features)}"
