"""Without clicks the network predicts as every other model: a sliding window over the image alone."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

from voxledger.imaging.volume import Volume
from voxledger.models.channels import Channels
from voxledger.models.clicks.network import build_network
from voxledger.models.dataset import outputs
from voxledger.models.monai.predict import on_image, windowed
from voxledger.params import InferParams
from voxledger.records.card import DATASET, PLANS, load_weights
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
    network, plans, dataset = load(folder, model_id, device)
    return on_image(windowed(network, plans, image, params, device), image, dataset)


@lru_cache(maxsize=2)
def load(folder: Path, model_id: str, device: str) -> tuple[Any, dict[str, Any], dict[str, Any]]:
    """Network, plans and `dataset.json`; kept for the next case of this process."""
    plans, dataset = read_json(folder / PLANS), read_json(folder / DATASET)
    network = build_network(plans, len(outputs(dataset)))
    load_weights(folder, network)
    return network.to(device).eval(), plans, dataset
