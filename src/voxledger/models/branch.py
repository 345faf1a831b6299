"""A branch: another network beside the one that stays as it is, for classes that heads on that are not enough for.

It is that network with outputs of its own, for its classes alone. An added decoder has the weights of the decoder for
its own, too; low-rank adapters (LoRA, Hu et al. 2021) add to each weight W of the network a product of two small
matrices, W + up · down, where `up` begins with 0. All else is the network's.

`peft` brings transformers and accelerate along for this, and `loralib` asks for a network made of its own layers.

This module imports torch at once: import it only where a model is trained or predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.utils import parametrize

from voxledger.models.heads import axes_that_vary
from voxledger.records.card import weights_of

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


def outputs_of(build: Callable[[int], Any]) -> set[str]:
    """Names of the tensors whose size depends on the number of outputs that a network is built with."""
    return {name for name, axes in axes_that_vary(build).items() if axes}


def free_decoder(network: nn.Module, decoder: Iterable[nn.Module], outputs: set[str]) -> None:
    """Let nothing of a network be trained but its outputs, and these modules of it."""
    own = {id(parameter) for module in decoder for parameter in module.parameters()}
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(id(parameter) in own or name in outputs)


def add_adapters(network: nn.Module, outputs: set[str]) -> None:
    """Let nothing of a network be trained but its outputs, and adapters of its convolutions and linear layers."""
    for name, parameter in network.named_parameters():
        parameter.requires_grad_(name in outputs)
    for module in list(network.modules()):
        if not isinstance(module, nn.Linear | nn.modules.conv._ConvNd):
            continue
        weight = module.weight
        if not weight.requires_grad and min(len(weight), weight[0].numel()) >= RANK:
            parametrize.register_parametrization(module, "weight", LowRank(weight))


def own_weights(network: nn.Module, outputs: set[str]) -> dict[str, Tensor]:
    """What a branch has of its own, as it is saved: what was trained, and all of its outputs."""
    trained = {name for name, parameter in network.named_parameters() if parameter.requires_grad}
    found = {}
    for name, tensor in weights_of(network).items():
        before, is_adapter, matrix = name.rpartition(".0.") if "parametrizations." in name else (name, "", "")
        if name in trained or name in outputs:
            found[f"{before.replace('parametrizations.', '')}/{matrix}" if is_adapter else name] = tensor
    return found


def joined(before: Mapping[str, Tensor], own: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """What a branch has of its own that goes on from another one: weights replace its, adapters are added to them."""
    kept = {k: t for k, t in before.items() if k.removesuffix(_UP).removesuffix(_DOWN) not in own}
    for name, tensor in own.items():
        axis = 1 if name.endswith(_UP) else 0
        kept[name] = torch.cat([kept[name], tensor], axis) if name in kept else tensor
    return kept


def put(own: Mapping[str, Tensor], network: nn.Module) -> nn.Module:
    """Put weights that a branch has of its own into a network, in place; returns it."""
    weights = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    with torch.no_grad():
        for name, tensor in own.items():
            if not name.endswith((_UP, _DOWN)):
                weights[name].copy_(tensor)
        for name, up in own.items():
            if name.endswith(_UP):
                weight = weights[name.removesuffix(_UP)]
                weight.copy_(low_rank(weight, up, own[f"{name.removesuffix(_UP)}{_DOWN}"]))
    return network


def grown(trunk: nn.Module, build: Callable[[int], Any], own: Mapping[str, Tensor], classes: int) -> nn.Module:
    """The branch of a network for so many classes that has these weights of its own, for prediction."""
    network = build(classes + 1)
    varies = outputs_of(build)
    shared = {name: tensor for name, tensor in weights_of(trunk).items() if name not in varies}
    found: nn.Module = put(own, put(shared, network))
    return found.requires_grad_(False).eval()
