"""MONAI bundles for others: `python -m monai.bundle run --config_file configs/inference.json` runs them.

The bundle reads every `*.nii.gz` of `dataset_dir` and writes masks of the same names into `output_dir`; labels are the
output channels that `configs/metadata.json` lists. It needs MONAI and PyTorch alone, no engine of Ignite.

Metadata of a model that was trained here hold its plans, too, from which the configuration was made: whoever adopts the
bundle gets the same model.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from voxledger.models.dataset import outputs
from voxledger.models.model import Model
from voxledger.models.monai.bundle import METADATA, STATE_DICT
from voxledger.models.monai.network import build_network, described, from_elsewhere, patch_of
from voxledger.records.card import DATASET, PLANS, load_weights, to_json
from voxledger.textfile import read_json, replace_text

_STEP = 0.5
"""Step of the sliding window as a share of the patch, of models that were trained here: that of `infer.step`."""
_PLANS = "plans"
"""Entry of the metadata."""
_LOAD = {"_target_": "LoadImaged", "keys": "image", "reader": "NibabelReader", "ensure_channel_first": True}
_TURN = {"_target_": "Transposed", "indices": [0, 3, 2, 1]}
"""Between MONAI's order of axes, x, y, z, and ours."""
_SCALE = (
    "$lambda v: torch.nn.functional.interpolate(v[None], [max(1, round(n * h / w)) for n, h, w in "
    "zip(v.shape[1:], v.pixdim.tolist()[::-1], @spacing)], mode='trilinear')[0]"
)


def export_model(model: Model, folder: Path) -> None:
    """Write configuration, metadata and weights into an empty folder."""
    import torch

    plans, dataset = read_json(model.folder / PLANS), read_json(model.folder / DATASET)
    network = build_network(plans, len(outputs(dataset)))
    load_weights(model.folder, network)
    for name in ("configs", "models"):
        (folder / name).mkdir()
    torch.save(network.state_dict(), folder / STATE_DICT)
    replace_text(folder / METADATA, to_json(_metadata(model, plans, dataset)))
    replace_text(folder / "configs/inference.json", to_json(_inference(plans, len(outputs(dataset)))))


def own_plans(configuration: Path, metadata: dict[str, Any]) -> dict[str, Any] | None:
    """Plans of a bundle of a model that was trained here; None of others, and where its configuration was changed."""
    plans = metadata.get(_PLANS)
    if not isinstance(plans, dict) or from_elsewhere(plans) or configuration.suffix != ".json":
        return None
    channels = metadata["network_data_format"]["outputs"]["pred"]["channel_def"]
    written = json.loads(to_json(_inference(plans, len(channels))))
    return plans if written == read_json(configuration) else None


def _inference(plans: dict[str, Any], number: int) -> dict[str, Any]:
    name, arguments = described(plans, number)
    before, window, predicted, after = _elsewhere(plans) if from_elsewhere(plans) else _ours(plans)
    save: dict[str, Any] = {
        "_target_": "SaveImaged",
        "keys": "pred",
        "output_dir": "@output_dir",
        "output_postfix": "",
        "separate_folder": False,
        "resample": False,
        "output_dtype": "$numpy.uint16",
    }
    return {
        "imports": ["$import glob", "$import numpy", "$import torch"],
        "bundle_root": ".",
        "dataset_dir": "$@bundle_root + '/images'",
        "output_dir": "$@bundle_root + '/masks'",
        "device": "$torch.device('cuda' if torch.cuda.is_available() else 'cpu')",
        "spacing": plans.get("spacing"),
        "network_def": {"_target_": f"monai.networks.nets.{name}", **arguments},
        "network": "$@network_def.to(@device).eval()",
        "preprocessing": {"_target_": "Compose", "transforms": [_LOAD, *before]},
        "inferer": {"_target_": "SlidingWindowInferer", **window, "device": "cpu"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [*after, {"_target_": "AsDiscreted", "keys": "pred", "argmax": True}, *_turned(plans), save],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': path} for path in sorted(glob.glob(@dataset_dir + '/*.nii.gz'))]",
            "transform": "@preprocessing",
        },
        "initialize": [
            "$torch.set_grad_enabled(False)",
            "$@network.load_state_dict(torch.load(@bundle_root + '/models/model.pt', weights_only=True))",
        ],
        "run": [f"$[@postprocessing({{**item, 'pred': {predicted}}}) for item in @dataset]"],
    }


_PREDICT = "@inferer(item['image'][None].to(@device), @network)"
_Parts = tuple[list[dict[str, Any]], dict[str, Any], str, list[dict[str, Any]]]
"""Transforms before, the window, what is predicted of an item, transforms before the classes compete."""


def _elsewhere(plans: dict[str, Any]) -> _Parts:
    """As bundles usually are: softmax where the network predicts, then back to the image."""
    before = [{**transform, "keys": "image"} for transform in plans["transforms"]]
    after = [
        {"_target_": "Activationsd", "keys": "pred", "softmax": True},
        {
            "_target_": "Invertd",
            "keys": "pred",
            "transform": "@preprocessing",
            "orig_keys": "image",
            "nearest_interp": False,
        },
    ]
    return before, {**plans["window"], "sw_batch_size": 1}, f"{_PREDICT}[0]", after


def _ours(plans: dict[str, Any]) -> _Parts:
    """As `predict.py` does: logits go back to the image by linear interpolation, axes in our order."""
    bounds = plans["intensity"]
    scaled: dict[str, Any] = {"_target_": "NormalizeIntensityd", "keys": "image"}
    if bounds is not None:
        low, high = ((bounds[n] - bounds["mean"]) / max(bounds["std"], 1e-8) for n in ("low", "high"))
        scaled = {"_target_": "ScaleIntensityRanged", "keys": "image", "a_min": bounds["low"], "a_max": bounds["high"]}
        scaled |= {"b_min": low, "b_max": high, "clip": True}
    before = [{**_TURN, "keys": "image"}, scaled, {"_target_": "Lambdad", "keys": "image", "func": _SCALE}]
    window = {"roi_size": patch_of(plans), "sw_batch_size": 1, "overlap": 1 - _STEP, "mode": "gaussian"}
    predicted = (
        f"torch.nn.functional.interpolate({_PREDICT}, [int(n) for n in item['image'].meta['spatial_shape']][::-1], "
        "mode='trilinear')[0]"
    )
    return before, window, predicted, []


def _turned(plans: dict[str, Any]) -> list[dict[str, Any]]:
    return [] if from_elsewhere(plans) else [{**_TURN, "keys": "pred"}]


def _metadata(model: Model, plans: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
    import monai
    import numpy
    import torch

    card, found = model.card, outputs(dataset)
    image = {"type": "image", "format": "hounsfield", "modality": dataset["channel_names"]["0"], "num_channels": 1}
    return {
        **({} if from_elsewhere(plans) else {_PLANS: plans}),
        "version": "0.1.0",
        "changelog": {"0.1.0": f"model {card.id}"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": numpy.__version__,
        "required_packages_version": {},
        "name": card.name,
        "task": "segmentation",
        "description": card.architecture,
        "authors": "",
        "copyright": f"licence {card.licence}",
        "data_source": card.source.training_set if card.source else f"cohort {card.cohort}",
        "network_data_format": {
            "inputs": {"image": {**image, "spatial_shape": patch_of(plans), "is_patch_data": True}},
            "outputs": {
                "pred": {
                    "type": "image",
                    "format": "segmentation",
                    "num_channels": len(found),
                    "channel_def": {str(channel): name for name, channel in found.items()},
                }
            },
        },
    }
