"""The network: MONAI's U-Net, or nnU-Net's, that sees, beside the image, three channels of guidance a class.

Input channels are the image, then of every class its previous mask, its clicks that say that it is there, and those
that say that it is not. Without guidance, as in a sliding window over the image alone, these are zero.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voxledger.models.dataset import BACKGROUND, channels, outputs
from voxledger.models.heads import axes_that_vary
from voxledger.models.monai import network as monai
from voxledger.models.nnunet import network as nnunet
from voxledger.models.nnunet.stages import FULLRES
from voxledger.models.process import quiet

BY_NNUNET = "plans"
"""What `network` says of plans that nnU-Net's planner made."""

GUIDES = 3
"""Channels of guidance a class: previous mask, clicks for it, clicks against it."""


def build_network(plans: dict[str, Any], count: int, classes: int | None = None) -> Any:
    """Build the network of the plans.

    Parameters
    ----------
    plans
        `network` of it is used, and the layers: `features` of MONAI's, `configurations` of nnU-Net's.
    count
        Output channels, background first.
    classes
        Classes with guidance; by default those of the outputs.

    Raises
    ------
    VoxledgerError
        The plans name a network from outside of nnU-Net's own library.

    Examples
    --------
    >>> network = build_network({"network": "unet", "features": [4, 8]}, 3)
    >>> import torch
    >>> image = torch.zeros(1, 1, 8, 8, 16)  # batch, channel, z, y, x
    >>> tuple(network(image).shape), tuple(network(image, torch.zeros(1, 6, 8, 8, 16)).shape)
    ((1, 3, 8, 8, 16), (1, 3, 8, 8, 16))
    """
    import torch

    guides = GUIDES * (count - 1 if classes is None else classes)
    network = (_by_nnunet if plans["network"] == BY_NNUNET else _by_monai)(plans, 1 + guides, count)

    def joined(_: Any, inputs: tuple[Any, ...]) -> Any:
        image, *guidance = inputs
        shown = guidance[0] if guidance else image.new_zeros(len(image), guides, *image.shape[2:])
        return torch.cat([image, shown], 1)

    network.register_forward_pre_hook(joined)
    return network


def _by_monai(plans: dict[str, Any], inputs: int, count: int) -> Any:
    from monai.networks import nets

    name, arguments = monai.described(plans, count)
    return getattr(nets, name)(**{**arguments, "in_channels": inputs})


def _by_nnunet(plans: dict[str, Any], inputs: int, count: int) -> Any:
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    with quiet():
        configuration = PlansManager(plans).get_configuration(FULLRES)
        return nnunet.network_of(configuration, inputs, count, deep_supervision=False)


def architecture_name(plans: dict[str, Any]) -> str:
    """Class and features of the network in words."""
    library = nnunet if plans["network"] == BY_NNUNET else monai
    return f"{library.architecture_name(plans)} under clicks"


def with_guides_of(
    weights: dict[str, Any], before: dict[str, Any], after: dict[str, Any], build: Callable[[int], Any]
) -> dict[str, Any]:
    """Weights of a parent whose first layer reads the guidance of other classes, as if it read that of these.

    The columns of each class are those of the class of the same name; a class that the parent did not know is not
    listened to until training says so.

    Parameters
    ----------
    weights
        Of the parent, by name.
    before, after
        `dataset.json` of parent and network, with the same names for the same classes.
    build
        The network with the guidance of a given number of classes: what differs between two of them reads it.
    """
    import torch

    has = 1 + GUIDES * (len(outputs(after)) - 1)
    known, column = channels(before), torch.zeros(has, dtype=torch.long)
    taken = torch.zeros(has)
    taken[0] = 1
    for name, number in outputs(after).items():
        if name != BACKGROUND and name in known:
            start, source = 1 + GUIDES * (number - 1), 1 + GUIDES * (known[name][0] - 1)
            column[start : start + GUIDES] = torch.arange(source, source + GUIDES)
            taken[start : start + GUIDES] = 1
    reads = axes_that_vary(build)
    return {name: _columns(tensor, column, taken) if reads.get(name) else tensor for name, tensor in weights.items()}


def _columns(tensor: Any, column: Any, taken: Any) -> Any:
    return tensor[:, column] * taken.view(1, -1, *[1] * (tensor.ndim - 2)).to(tensor.dtype)
