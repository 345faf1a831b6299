"""The network: MONAI's U-Net that sees, beside the image, three channels of guidance a class.

Input channels are the image, then of every class its previous mask, its clicks that say that it is there, and those
that say that it is not. Without guidance, as in a sliding window over the image alone, these are zero.
"""

from __future__ import annotations

from typing import Any

from voxledger.models.dataset import BACKGROUND, channels, outputs
from voxledger.models.monai.network import described

GUIDES = 3
"""Channels of guidance a class: previous mask, clicks for it, clicks against it."""


def build_network(plans: dict[str, Any], count: int, classes: int | None = None) -> Any:
    """Build the network of the plans.

    Parameters
    ----------
    plans
        `network` and `features` of it are used.
    count
        Output channels, background first.
    classes
        Classes with guidance; by default those of the outputs.

    Examples
    --------
    >>> network = build_network({"network": "unet", "features": [4, 8]}, 3)
    >>> import torch
    >>> image = torch.zeros(1, 1, 8, 8, 16)  # batch, channel, z, y, x
    >>> tuple(network(image).shape), tuple(network(image, torch.zeros(1, 6, 8, 8, 16)).shape)
    ((1, 3, 8, 8, 16), (1, 3, 8, 8, 16))
    """
    import torch
    from monai.networks import nets

    name, arguments = described(plans, count)
    guides = GUIDES * (count - 1 if classes is None else classes)

    class Guided(getattr(nets, name)):  # type: ignore[misc]
        def forward(self, image: Any, guidance: Any = None) -> Any:
            if guidance is None:
                guidance = image.new_zeros(len(image), guides, *image.shape[2:])
            return super().forward(torch.cat([image, guidance], 1))

    return Guided(**{**arguments, "in_channels": 1 + guides})


def with_guides_of(
    weights: dict[str, Any], network: Any, before: dict[str, Any], after: dict[str, Any]
) -> dict[str, Any]:
    """Weights of a parent whose first layer reads the guidance of other classes, as if it read that of these.

    Where a tensor has one column an input channel, the columns of each class are those of the class of the same name;
    a class that the parent did not know is not listened to until training says so.

    Parameters
    ----------
    weights
        Of the parent, by name.
    network
        The network that takes them over.
    before, after
        `dataset.json` of parent and network, with the same names for the same classes.
    """
    import torch

    had, has = (1 + GUIDES * (len(outputs(dataset)) - 1) for dataset in (before, after))
    known, column = channels(before), torch.zeros(has, dtype=torch.long)
    taken = torch.zeros(has)
    taken[0] = 1
    for name, number in outputs(after).items():
        if name != BACKGROUND and name in known:
            start, source = 1 + GUIDES * (number - 1), 1 + GUIDES * (known[name][0] - 1)
            column[start : start + GUIDES] = torch.arange(source, source + GUIDES)
            taken[start : start + GUIDES] = 1
    own = network.state_dict()
    return {
        name: _columns(tensor, column, taken) if own[name].shape[1:2] == (has,) and tensor.shape[1] == had else tensor
        for name, tensor in weights.items()
    }


def _columns(tensor: Any, column: Any, taken: Any) -> Any:
    return tensor[:, column] * taken.view(1, -1, *[1] * (tensor.ndim - 2)).to(tensor.dtype)
