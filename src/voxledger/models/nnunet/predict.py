"""nnU-Net: its preprocessing and sliding window; logits go back to the image one class at a time.

nnU-Net's own export of probabilities resamples all classes at once, which takes tens of gigabytes on a large CT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.orientation import Turn
from voxledger.imaging.volume import Volume
from voxledger.models.channels import Array, Channels, sigmoid, softmax
from voxledger.models.dataset import channels, heads, outputs, untaught
from voxledger.models.nnunet.network import build_network, with_outputs
from voxledger.models.nnunet.reader import turn_of
from voxledger.models.nnunet.stages import stages_of
from voxledger.models.nnunet.trunk import decoders
from voxledger.models.process import quiet
from voxledger.params import InferParams
from voxledger.records.card import DATASET, PLANS, weights_of
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
    found: npt.NDArray[Any] | None = None
    with quiet():
        stages = _stages(folder, model_id, params.step, device)
        for number, stage in enumerate(stages):
            predicted = stage.predict(image, found)
            if number + 1 < len(stages):
                found = _segmentation(predicted)
    dataset = read_json(folder / DATASET)
    own = {name: partial(predicted.head, number) for number, name in enumerate(heads(dataset))}
    return Channels(channels(dataset), predicted.probability, untaught(dataset), own)


@dataclass(frozen=True)
class _Predicted:
    """Probabilities of the channels of a network, background first, on the grid of the image."""

    channels: int
    inside: Any
    """Probability of a channel in `box`, outside of which the image is empty; both transposed as in the plans."""
    own: Any
    """Probability that a head gives in `box`, by its number."""
    box: tuple[slice, ...]
    shape: tuple[int, ...]
    backward: list[int]
    turn: Turn

    def probability(self, channel: int) -> Array:
        return self._on_image(self.inside(channel))

    def head(self, number: int) -> Array:
        """What the head of a number says."""
        return self._on_image(self.own(number))

    def _on_image(self, values: Array) -> Array:
        whole = np.zeros(self.shape, np.float32)
        whole[self.box] = values
        return self.turn.back(whole.transpose(self.backward))


def _segmentation(predicted: _Predicted) -> npt.NDArray[Any]:
    """The most probable channel of every voxel (z, y, x); of equal ones the first."""
    best, largest = np.zeros(0, np.int16), np.zeros(0, np.float32)
    for channel in range(predicted.channels):
        values = predicted.inside(channel)
        if channel == 0:
            best, largest = np.zeros(values.shape, np.int16), values
        else:
            higher = values > largest
            best[higher], largest = channel, np.maximum(largest, values)
    whole = np.zeros(predicted.shape, np.int16)
    whole[predicted.box] = best
    return predicted.turn.back(whole.transpose(predicted.backward))


@dataclass(frozen=True, eq=False)
class _Stage:
    """One network of a model with the weights of every fold."""

    predictor: Any
    folds: list[dict[str, Any]]
    heads: int

    def predict(self, image: Volume, previous: npt.NDArray[Any] | None) -> _Predicted:
        """Predict an image; `previous` is the segmentation (z, y, x) of the stage before in a cascade."""
        import torch

        plans, configuration = self.predictor.plans_manager, self.predictor.configuration_manager
        turn = turn_of(plans.plans, image.grid)
        data, seg, properties = configuration.preprocessor_class(verbose=False).run_case_npy(
            turn.apply(image.array)[None],
            None if previous is None else turn.apply(previous)[None],
            {"spacing": list(turn.spacing(image.grid.spacing))},
            plans,
            configuration,
            self.predictor.dataset_json,
        )
        if previous is not None:
            from voxledger.models.nnunet.cascade import with_previous

            data = with_previous(data, seg, self.predictor.label_manager.foreground_labels)
        logits = self._logits(torch.from_numpy(data))
        spacing = [properties["spacing"][axis] for axis in plans.transpose_forward]
        shape = properties["shape_after_cropping_and_before_resampling"]

        resample = _resampling(configuration)

        def on_crop(channel: int) -> Any:
            return np.asarray(resample(logits[channel : channel + 1].float(), shape, configuration.spacing, spacing)[0])

        count = len(logits) - self.heads
        return _Predicted(
            channels=count,
            inside=softmax(count, on_crop),
            own=lambda number: sigmoid(on_crop(count + number)),
            box=tuple(slice(*bounds) for bounds in properties["bbox_used_for_cropping"]),
            shape=properties["shape_before_cropping"],
            backward=plans.transpose_backward,
            turn=turn,
        )

    def _logits(self, data: Any) -> Any:
        """Logits of the network, averaged over the folds."""
        if len(self.folds) == 1:
            return self.predictor.predict_sliding_window_return_logits(data).cpu()
        total: Any = 0
        for weights in self.folds:
            self.predictor.network.load_state_dict(weights, strict=False)
            total = total + self.predictor.predict_sliding_window_return_logits(data).cpu()
        return total / len(self.folds)


def _resampling(configuration: Any) -> Callable[..., Any]:
    """What brings probabilities back to the image.

    nnU-Net's default, linear by scikit-image, is done by torch in float32, as nnU-Net does elsewhere: logits of a
    standard deviation of 5 are the same within 2e-4.
    """
    from nnunetv2.preprocessing.resampling.resample_torch import resample_torch_fornnunet

    planned = configuration.configuration
    given = planned["resampling_fn_probabilities_kwargs"]
    linear = {"is_seg": False, "order": 1, "order_z": 0}
    if planned["resampling_fn_probabilities"] == "resample_data_or_seg_to_shape" and linear.items() <= given.items():
        return partial(resample_torch_fornnunet, num_threads=1, force_separate_z=given.get("force_separate_z"))
    function: Callable[..., Any] = configuration.resampling_fn_probabilities
    return function


def _with_heads(labels: dict[str, int], learned: Iterable[str]) -> dict[str, int]:
    """Labels by which nnU-Net counts the channels of a network with heads."""
    return labels | {f"head of {name}": len(labels) + number for number, name in enumerate(learned)}


@lru_cache(maxsize=2)
def _stages(folder: Path, model_id: str, step: float, device: str) -> list[_Stage]:
    """The loaded model; kept for the next case of this process. `model_id` tells retrained models apart."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from voxledger.models.frozen import load_network

    plans, dataset = read_json(folder / PLANS), read_json(folder / DATASET)
    stages, manager, found = stages_of(plans), PlansManager(plans), list[_Stage]()
    learned = heads(dataset)
    told = {**dataset, "labels": _with_heads(outputs(dataset), learned)} if learned else dataset
    for name in stages.configurations:
        plain, folds = build_network(plans, dataset, name, deep_supervision=False), list[dict[str, Any]]()
        for fold in stages.folds:
            network = load_network(
                folder, plain, dataset, decoders, with_outputs(plans, dataset, name), stages.prefix(name, fold)
            )
            folds.append({n: t.clone() for n, t in weights_of(network).items()} if len(stages.folds) > 1 else {})
        predictor = nnUNetPredictor(
            step, use_mirroring=bool(stages.mirror_axes), device=torch.device(device), allow_tqdm=False
        )
        configuration = manager.get_configuration(name)
        predictor.manual_initialization(
            network, manager, configuration, None, told, stages.trainer, stages.mirror_axes or None
        )
        found.append(_Stage(predictor, folds, len(learned)))
    return found
