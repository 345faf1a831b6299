"""MONAI: Gaussian-weighted sliding window; logits go back to the image one class at a time."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Any

from voxledger.imaging.volume import Volume
from voxledger.models.channels import Array, Channels, sigmoid, softmax
from voxledger.models.dataset import channels, heads, outputs, untaught
from voxledger.models.monai.network import build_network, from_elsewhere, preprocess, resample
from voxledger.models.monai.transforms import Preparation
from voxledger.models.monai.trunk import decoders
from voxledger.params import InferParams
from voxledger.records.card import DATASET, PLANS
from voxledger.textfile import read_json


def predict(folder: Path, model_id: str, image: Volume, params: InferParams, device: str) -> Channels:
    """Probabilities of one model for one image.

    Parameters
    ----------
    folder, model_id
        Of the model, its files checked against the id.
    image
        Intensities (z, y, x) on their grid, CT in HU.
    params
        `step` of the sliding window, as a share of the patch.
    device
        `cpu` or `cuda`.

    Returns
    -------
    Channels
        Probabilities (z, y, x) on the grid of the image, computed channel by channel when they are asked for.
    """
    network, plans, dataset = _network(folder, model_id, device)
    if from_elsewhere(plans):
        return _from_elsewhere(network, plans, image, dataset, device)
    return on_image(windowed(network, plans, image, params, device), image, dataset)


def on_image(logits: Any, image: Volume, dataset: dict[str, Any]) -> Channels:
    """Probabilities on the grid of an image, from logits (channel, z, y, x) at the working spacing; heads come last."""

    def one(channel: int) -> Array:
        return resample(logits[channel].numpy(), image.array.shape)

    learned = heads(dataset)
    count = len(logits) - len(learned)
    own = {name: partial(lambda n: sigmoid(one(n)), count + number) for number, name in enumerate(learned)}
    return Channels(channels(dataset), softmax(count, one), untaught(dataset), own)


def windowed(network: Any, plans: dict[str, Any], image: Volume, params: InferParams, device: str) -> Any:
    """Logits (channel, z, y, x) at the working spacing, of a network that was trained here."""
    import torch
    from monai.inferers import sliding_window_inference

    values = torch.from_numpy(preprocess(image.array, image.grid.spacing, plans))[None, None]
    with torch.inference_mode():
        return sliding_window_inference(
            values,
            plans["patch"],
            1,
            network,
            overlap=1 - params.step,
            mode="gaussian",
            sw_device=device,
            device="cpu",
        )[0]


def _from_elsewhere(
    network: Any, plans: dict[str, Any], image: Volume, dataset: dict[str, Any], device: str
) -> Channels:
    """Probabilities of a network that was adopted: softmax where it predicts, then back to the image, as bundles do."""
    import torch
    from monai.inferers import sliding_window_inference

    preparation = Preparation(plans["transforms"])
    with torch.inference_mode():
        logits = sliding_window_inference(
            preparation.image(image.array, image.grid)[None],
            sw_batch_size=1,
            predictor=network,
            sw_device=device,
            device="cpu",
            **plans["window"],
        )[0]
        learned = heads(dataset)
        count = len(logits) - len(learned)
        probabilities, own = logits[:count].softmax(0), logits[count:].sigmoid()

    def back(of: Any, channel: int) -> Array:
        return preparation.back(of[channel])

    found = {name: partial(back, own, number) for number, name in enumerate(learned)}
    return Channels(channels(dataset), partial(back, probabilities), untaught(dataset), found)


@lru_cache(maxsize=2)
def _network(folder: Path, model_id: str, device: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """The loaded model; kept for the next case of this process. `model_id` tells retrained models apart."""
    from voxledger.models.frozen import load_network

    plans, dataset = read_json(folder / PLANS), read_json(folder / DATASET)
    build = partial(build_network, plans)
    network = load_network(folder, build(len(outputs(dataset))), dataset, decoders, build)
    return network.to(device).eval(), plans, dataset
