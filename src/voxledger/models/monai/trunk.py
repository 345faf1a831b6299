"""The networks of MONAI that heads can be put on: U-Net, SegResNet, Swin UNETR."""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Any

from voxledger.models.dataset import outputs
from voxledger.models.monai.network import build_network, described, patch_of
from voxledger.models.monai.patches import prepared
from voxledger.models.trunk import Trunk
from voxledger.records.card import DATASET, PLANS, load_weights
from voxledger.textfile import read_json

_NETWORKS = ("UNet", "SegResNet", "SwinUNETR")


def obstacle(folder: Path) -> str:
    """Why heads cannot be put on a model; empty where they can."""
    name, _ = described(read_json(folder / PLANS), outputs=2)
    return "" if name in _NETWORKS else f"heads are put on {', '.join(_NETWORKS)}, not on a {name}"


def open_trunk(folder: Path) -> Trunk:
    """The network of a model that `check_model` has accepted."""
    plans, dataset = read_json(folder / PLANS), read_json(folder / DATASET)
    network = build_network(plans, len(outputs(dataset)))
    load_weights(folder, network)
    return Trunk(
        network,
        decoders,
        decoder,
        partial(build_network, plans),
        tuple(patch_of(plans)),
        (),
        partial(prepared, plans=plans),
    )


def decoders(network: Any) -> list[Any]:
    """Modules whose outputs are the features of a network, the finest first.

    Of a U-Net they are its outputs, since it has nothing else at full resolution, and from half of that on what its
    decoder reads, encoder and decoder side by side.
    """
    if type(network).__name__ == "SegResNet":
        return list(network.up_layers)[::-1]
    if type(network).__name__ == "SwinUNETR":
        return [getattr(network, f"decoder{number}") for number in range(1, 6)]
    levels = _levels(network)
    return [levels[0][2], *(layers[1] for layers in levels)]


def decoder(network: Any) -> list[Any]:
    """Modules on the way up, from what the encoder found to the output."""
    if type(network).__name__ == "SegResNet":
        return [network.up_samples, network.up_layers]
    if type(network).__name__ == "SwinUNETR":
        return decoders(network)
    return [layers[2] for layers in _levels(network)]


def _levels(network: Any) -> list[list[Any]]:
    """Way down, the level below with what passes it by, and way up, of every level of a U-Net but the lowest."""
    found, block = [], network.model
    while len(layers := list(block.children())) == 3 and hasattr(layers[1], "submodule"):
        found.append(layers)
        block = layers[1].submodule
    return found
