"""A network that stays as it is, with a small head for each of some classes on the features of its decoder.

Where such features are not enough for a class, a branch speaks for it: see `models/branch.py`.

This module imports torch at once: import it only where a model is trained or predicts.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import interpolate, leaky_relu

from voxledger.models.branch import grown
from voxledger.models.dataset import Branch, branches, heads
from voxledger.records.card import BRANCH_WEIGHTS, head_of, load_tensors, load_weights

_WIDTH = 16
"""Channels between the layers of a head."""

_SUREST = 9.0
"""Largest logit of what a head corrects; the probability of its opposite is below what soft predictions store."""

Decoders = Callable[[Any], Sequence[Any]]
"""Gives the modules of a network whose outputs are its features, the finest first."""


class ClassHead(nn.Module):  # type: ignore[misc]
    """Says of every voxel whether it is of one class.

    A 3×3×3 convolution at every scale, added from the coarsest to the full resolution, then 16 → 16 → 1. Features are
    brought to mean 0 and standard deviation 1 by `mean` and `deviation`, which whoever trains the head sets. A head
    that corrects what the network says of the class begins with just that: its last layer is 0.

    Parameters
    ----------
    channels
        Of the image and of the features of every scale, as `Frozen.features` gives them.
    corrects
        Whether its output is added to what the network says of the class.
    embedding
        Vector of the class. If any, a linear layer reads it beside the mean of the coarsest features over the window,
        and what it gives is added to the weights of the last two layers: these go by class and image (Liu et al. 2023,
        CLIP-driven Universal Model; there it gives the weights themselves, which are here what it begins with).
    """

    def __init__(self, channels: Sequence[int], corrects: bool, embedding: Sequence[float] = ()) -> None:
        super().__init__()
        self.first = nn.ModuleList(nn.Conv3d(n, _WIDTH, 3, padding=1, bias=not i) for i, n in enumerate(channels))
        self.second, self.last = nn.Linear(_WIDTH, _WIDTH), nn.Linear(_WIDTH, 1)
        for number, n in enumerate(channels):
            self.register_buffer(f"mean_{number}", torch.zeros(n))
            self.register_buffer(f"deviation_{number}", torch.ones(n))
        if embedding:
            self.register_buffer("embedding", torch.tensor(embedding))
            conditioned = sum(p.numel() for layer in (self.second, self.last) for p in layer.parameters())
            self.controller = nn.Linear(len(embedding) + channels[-1], conditioned, bias=False)
            nn.init.zeros_(self.controller.weight)
        if corrects:
            nn.init.zeros_(self.last.weight)
            nn.init.zeros_(self.last.bias)

    def forward(self, features: Sequence[Tensor]) -> Tensor:
        """Logits (batch, 1, z, y, x) at the resolution of the first of the features."""
        total: Any = 0
        for number, (layer, values) in reversed(list(enumerate(zip(self.first, features, strict=True)))):
            mean, deviation = (getattr(self, f"{n}_{number}")[:, None, None, None] for n in ("mean", "deviation"))
            if torch.is_tensor(total) and total.shape[2:] != values.shape[2:]:
                total = interpolate(total, values.shape[2:], mode="trilinear")
            total = total + layer((values - mean) / deviation)
        weights = self._last_two(features[-1])
        found = leaky_relu(_pointwise(weights[:2], leaky_relu(total.flatten(2))))
        logits: Tensor = _pointwise(weights[2:], found).unflatten(2, features[0].shape[2:])
        return logits

    def _last_two(self, coarsest: Tensor) -> list[Tensor]:
        """Weight and bias of the last two layers; with an embedding, for each of the batch."""
        own = [*self.second.parameters(), *self.last.parameters()]
        if not hasattr(self, "controller"):
            return own
        number = len(self.first) - 1
        mean, deviation = getattr(self, f"mean_{number}"), getattr(self, f"deviation_{number}")
        seen = (coarsest.mean((2, 3, 4)) - mean) / deviation
        given = self.controller(torch.cat((self.embedding.expand(len(seen), -1), seen), 1))
        parts = given.split([p.numel() for p in own], 1)
        return [p + part.unflatten(1, p.shape) for p, part in zip(own, parts, strict=True)]


def _pointwise(layer: Sequence[Tensor], values: Tensor) -> Tensor:
    """Weight and bias on the channels of every voxel, (batch, channel, voxel)."""
    weight, bias = layer
    return weight @ values + bias[..., None]


def log_odds(logits: Tensor, channels: Sequence[int]) -> Tensor:
    """What logits (batch, channel, z, y, x) say of the sum of some channels against all others, (batch, 1, z, y, x).

    At most `_SUREST`: what a network is wrong about it may be very sure of.
    """
    return against_others(logits, channels).clamp(-_SUREST, _SUREST)


def against_others(logits: Tensor, channels: Sequence[int]) -> Tensor:
    """The same without a bound, as a network learns it."""
    others = [n for n in range(logits.shape[1]) if n not in channels]
    inside, outside = (logits[:, list(which)].logsumexp(1, keepdim=True) for which in (channels, others))
    return inside - outside


class Frozen(nn.Module):  # type: ignore[misc]
    """A network, its trunk, whose weights, buffers and normalisation never change, and heads that may.

    Its output has the channels of the trunk, bit by bit as the trunk gives them, and behind them one of every class
    that has a head, or that a branch speaks for: a logit against not being of the class. The trunk runs once for all.

    Parameters
    ----------
    trunk
        The network.
    decoders
        Modules of it whose outputs are features.
    learned
        Heads, each with the channels of the trunk that it corrects; or the number of a branch, with those of its
        channels whose sum the class is.
    grown_beside
        Branches by number.
    """

    def __init__(
        self,
        trunk: nn.Module,
        decoders: Sequence[nn.Module],
        learned: Sequence[tuple[ClassHead | int, Any]],
        grown_beside: Mapping[int, nn.Module] = MappingProxyType({}),
    ) -> None:
        super().__init__()
        self.trunk = trunk.requires_grad_(False).eval()
        self.heads = nn.ModuleList(head for head, _ in learned if isinstance(head, ClassHead))
        self.branches = nn.ModuleDict({str(n): b.requires_grad_(False).eval() for n, b in grown_beside.items()})
        self._learned = [(head if isinstance(head, int) else 0, tuple(channels)) for head, channels in learned]
        self._found: dict[int, Tensor] = {}
        for number, module in enumerate(decoders):
            module.register_forward_hook(self._keeper(number))

    def _keeper(self, number: int) -> Callable[..., None]:
        def keep(_module: nn.Module, _inputs: Any, output: Tensor) -> None:
            self._found[number] = output

        return keep

    def train(self, mode: bool = True) -> Frozen:
        """Trunk and branches stay as in prediction whatever the mode is."""
        super().train(mode)
        self.trunk.eval()
        self.branches.eval()
        return self

    def features(self, images: Tensor) -> tuple[Tensor, list[Tensor]]:
        """Logits of the trunk, and the images themselves with the features of every scale, the finest first.

        All are (batch, channel, z, y, x) over the same extent.
        """
        with torch.no_grad():
            logits = self.trunk(images)
        found = [images, *(self._found[number] for number in sorted(self._found))]
        self._found.clear()
        return logits, found

    def forward(self, images: Tensor) -> Tensor:
        logits, found = self.features(images)
        beside = {number: branch(images) for number, branch in self.branches.items()}
        said, heads = [logits], iter(self.heads)
        for number, channels in self._learned:
            if number:
                own = log_odds(beside[str(number)], channels)
            else:
                own = next(heads)(found)
                own = own + log_odds(logits, channels) if channels else own
            said.append(own.to(logits.dtype))  # on a GPU the trunk's are float16, and stay as they are
        return torch.cat(said, 1)


def load_network(
    folder: Path,
    network: Any,
    dataset: dict[str, Any],
    decoders: Decoders,
    build: Callable[[int], Any],
    prefix: str = "",
) -> Any:
    """Put the weights of a model that `check_model` has accepted into its network; returns it, with its heads if any.

    Parameters
    ----------
    build
        The network with so many outputs: branches have others.
    prefix
        That of the names of its weights; a network with heads has none.
    """
    load_weights(folder, network, prefix)
    names = heads(dataset)
    if not names:
        return network
    used = [one for one in branches(dataset) if one.channels]
    spoken = {name: (one.number, channels) for one in used for name, channels in one.channels.items()}
    learned = [spoken[name] if name in spoken else (load_head(folder, name), c) for name, c in names.items()]
    found = {one.number: load_branch(folder, network, build, one) for one in used}
    return Frozen(network, decoders(network), learned, found)


def load_branch(folder: Path, network: nn.Module, build: Callable[[int], Any], branch: Branch) -> nn.Module:
    """A branch beside the network of a model, whose weights it holds."""
    return grown(network, build, load_tensors(folder, f"{BRANCH_WEIGHTS}{branch.number}/"), len(branch.classes))


def load_head(folder: Path, name: str) -> ClassHead:
    """The head of a class, by the name that the model's `dataset.json` calls it."""
    weights = head_of(load_tensors(folder), name)
    scales = sum(key.startswith("mean_") for key in weights)
    return restored([len(weights[f"mean_{number}"]) for number in range(scales)], weights)


def restored(channels: Sequence[int], weights: Mapping[str, Tensor]) -> ClassHead:
    """A head with the weights that it was stored with, and the embedding, if it had one."""
    embedding = weights["embedding"].tolist() if "embedding" in weights else ()
    head = ClassHead(channels, corrects=False, embedding=embedding)
    head.load_state_dict(weights)
    return head
