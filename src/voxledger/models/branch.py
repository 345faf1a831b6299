"""A branch: a copy of a network of which some weights are its own, beside the network, which stays as it is.

An added decoder has the weights of the decoder for its own; low-rank adapters (LoRA, Hu et al. 2021) add to each weight
W of the whole network a product of two small matrices, W + up · down. Where a branch begins, it says what the network
says: the decoder is a copy, and `up` is 0.

`peft` brings transformers and accelerate along for this, and `loralib` asks for a network made of its own layers.

This module imports torch at once: import it only where a model is trained or predicts.
"""

from __future__ import annotations

import copy
from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

RANK = 8
"""Of adapters; a layer with less inputs or outputs than that is left as it is."""
_DOWN, _UP = "/down", "/up"
"""How the names of the matrices of a weight end."""


class LowRank(nn.Module):  # type: ignore[misc]
    """Adds a product of low rank to a weight, seen as a matrix (first axis, all others)."""

    def __init__(self, weight: Tensor) -> None:
        super().__init__()
        first, others = len(weight), weight[0].numel()
        self.down = nn.Parameter(torch.randn(RANK, others) / others**0.5)
        self.up = nn.Parameter(torch.zeros(first, RANK))

    def forward(self, weight: Tensor) -> Tensor:
        return low_rank(weight, self.up, self.down)


def low_rank(weight: Tensor, up: Tensor, down: Tensor) -> Tensor:
    """The weight with the product of two matrices added."""
    return weight + (up @ down).view_as(weight)


def with_decoder(network: nn.Module, decoder: Iterable[nn.Module]) -> nn.Module:
    """A copy of a network of which nothing is trained but modules of its decoder, those of the network itself given."""
    found = _copy(network)
    own = {id(parameter) for module in decoder for parameter in module.parameters()}
    wanted = {name for name, parameter in network.named_parameters() if id(parameter) in own}
    for name, parameter in found.named_parameters():
        parameter.requires_grad_(name in wanted)
    return found


def with_adapters(network: nn.Module) -> nn.Module:
    """A copy of a network of which nothing is trained but adapters of its convolutions and linear layers."""
    found = _copy(network)
    for module in list(found.modules()):
        weight = getattr(module, "weight", None)
        is_layer = isinstance(module, nn.Linear | nn.modules.conv._ConvNd)
        if is_layer and weight is not None and min(len(weight), weight[0].numel()) >= RANK:
            parametrize.register_parametrization(module, "weight", LowRank(weight))
    return found


def own_weights(network: nn.Module) -> dict[str, Tensor]:
    """What a branch has of its own, as it is saved."""
    found = {}
    for name, parameter in network.named_parameters():
        if parameter.requires_grad:
            before, is_adapter, matrix = name.rpartition(".0.") if "parametrizations." in name else (name, "", "")
            called = f"{before.replace('parametrizations.', '')}/{matrix}" if is_adapter else name
            found[called] = parameter.detach().cpu().contiguous()
    return found


def joined(before: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a branch has of its own that goes on from another one: weights replace its, adapters are added to them."""
    kept = {k: t for k, t in before.items() if k.removesuffix(_UP).removesuffix(_DOWN) not in own}
    for name, tensor in own.items():
        axis = 1 if name.endswith(_UP) else 0
        kept[name] = torch.cat([kept[name], tensor], axis) if name in kept else tensor
    return kept


def grown(network: nn.Module, own: Mapping[str, Tensor]) -> nn.Module:
    """The branch of a network that has these weights of its own."""
    found = _copy(network)
    weights = dict(found.named_parameters())
    adapters = {name.removesuffix(_UP): tensor for name, tensor in own.items() if name.endswith(_UP)}
    for name, tensor in own.items():
        if not name.endswith((_UP, _DOWN)):
            weights[name].data.copy_(tensor)
    for name, up in adapters.items():
        weights[name].data.copy_(low_rank(weights[name].detach(), up, own[f"{name}{_DOWN}"]))
    return found


def _copy(network: nn.Module) -> Any:
    return copy.deepcopy(network).requires_grad_(False).eval()
