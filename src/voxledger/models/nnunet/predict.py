"""nnU-Net: its preprocessing and sliding window; logits go back to the image one class at a time.

nnU-Net's own export of probabilities resamples all classes at once, which takes tens of gigabytes on a large CT.
"""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np

from voxledger.imaging.volume import Volume
from voxledger.models.channels import Array, Channels, softmax
from voxledger.models.dataset import channels, untaught
from voxledger.models.nnunet.network import CONFIGURATION, build_network
from voxledger.models.process import quiet
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
    import torch

    with quiet():
        predictor = _predictor(folder, model_id, params, device)
        plans, configuration = predictor.plans_manager, predictor.configuration_manager
        data, _, properties = configuration.preprocessor_class(verbose=False).run_case_npy(
            image.array[None], None, {"spacing": list(image.grid.spacing)}, plans, configuration, predictor.dataset_json
        )
        logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(data)).cpu()
    spacing = [image.grid.spacing[axis] for axis in plans.transpose_forward]
    shape = properties["shape_after_cropping_and_before_resampling"]

    def on_crop(channel: int) -> Any:
        values = logits[channel : channel + 1].float()
        return configuration.resampling_fn_probabilities(values, shape, configuration.spacing, spacing)[0].numpy()

    inside = softmax(len(logits), on_crop)
    box = tuple(slice(*bounds) for bounds in properties["bbox_used_for_cropping"])

    def probability(channel: int) -> Array:
        whole = np.zeros(properties["shape_before_cropping"], np.float32)
        whole[box] = inside(channel)
        return whole.transpose(plans.transpose_backward)

    return Channels(channels(predictor.dataset_json), probability, untaught(predictor.dataset_json))


@lru_cache(maxsize=2)
def _predictor(folder: Path, model_id: str, params: InferParams, device: str) -> Any:
    """The loaded model; kept for the next case of this process. `model_id` tells retrained models apart."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans, dataset = read_json(folder / PLANS), read_json(folder / DATASET)
    network = build_network(plans, dataset, deep_supervision=False)
    load_weights(folder, network)
    manager = PlansManager(plans)
    predictor = nnUNetPredictor(params.step, use_mirroring=False, device=torch.device(device), allow_tqdm=False)
    predictor.manual_initialization(
        network, manager, manager.get_configuration(CONFIGURATION), None, dataset, "BudgetTrainer", None
    )
    return predictor
