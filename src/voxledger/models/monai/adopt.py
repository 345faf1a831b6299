"""MONAI models from elsewhere: a bundle, or weights with a description of their network.

Nothing of a bundle is run: of `configs/inference.json` the network, the transforms of the image and the sliding window
are read as plain values; of `models/model.pt` tensors alone. A description, `network.yaml` beside `model.pt`, says the
same in fewer words.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxledger.errors import Misuse, VoxledgerError
from voxledger.models.adopt import FromElsewhere, load_checkpoint, load_state
from voxledger.models.dataset import BACKGROUND
from voxledger.models.monai.bundle import METADATA, STATE_DICT, Configuration, inference_file
from voxledger.models.monai.export import own_plans
from voxledger.models.monai.network import architecture_name, build_network, network_arguments
from voxledger.models.monai.transforms import INTENSITY, SPATIAL
from voxledger.textfile import read_json

DESCRIPTIONS = ("network.yaml", "network.yml", "network.json")
WINDOW = ("roi_size", "overlap", "mode", "sigma_scale", "padding_mode", "cval")
"""Arguments of the sliding window that change what is predicted."""
_WITHOUT_EFFECT = ("LoadImaged", "EnsureChannelFirstd", "EnsureTyped", "ToTensord", "CastToTyped")
"""Transforms that read an image or change its type, which is done here anyway."""
_TARGETS = ("monai.transforms.", "monai.inferers.", "monai.networks.nets.")
_STATE = ("model", "state_dict", "network", "net")
"""Under which names a checkpoint may hold the weights."""


def recognises(folder: Path) -> bool:
    """Whether a folder is a bundle, or has a description."""
    return (folder / METADATA).is_file() or any((folder / name).is_file() for name in DESCRIPTIONS)


def read_model(folder: Path, folds: Sequence[str]) -> FromElsewhere:
    """The network, what an image goes through before it, and its weights.

    Raises
    ------
    Misuse
        Folds were asked for: only nnU-Net has them.
    VoxledgerError
        Something would be run, is of no known kind, or does not fit; names file and entry.
    """
    if folds:
        raise Misuse(f"{folder} is a MONAI model, which has no folds", "leave out --folds")
    read = _read_bundle if (folder / METADATA).is_file() else _read_description
    plans, labels, weights, said = read(folder)
    dataset = {"channel_names": {"0": str(said.pop("modality", "") or "CT")}, "labels": labels}
    network = build_network(plans, len(labels))
    state = _state(load_checkpoint(weights))
    return FromElsewhere(architecture_name(plans), plans, dataset, load_state(network, state, weights), **said)


def _state(checkpoint: Any) -> Any:
    """The state dict in a checkpoint, without the prefix of networks on several GPUs."""
    if isinstance(checkpoint, dict):
        checkpoint = next((checkpoint[n] for n in _STATE if isinstance(checkpoint.get(n), dict)), checkpoint)
    if isinstance(checkpoint, dict) and checkpoint and all(str(n).startswith("module.") for n in checkpoint):
        return {name.removeprefix("module."): tensor for name, tensor in checkpoint.items()}
    return checkpoint


_Read = tuple[dict[str, Any], dict[str, int], Path, dict[str, str]]
"""Plans, labels, the file of the weights, and what the folder says of itself."""


def _read_bundle(folder: Path) -> _Read:
    path = inference_file(folder)
    if path is None:
        raise VoxledgerError(f"{folder} has no configs/inference.json", "describe the network in network.yaml")
    weights = folder / STATE_DICT
    if not weights.is_file() and any((folder / "models").glob("*.ts")):
        raise VoxledgerError(
            f"{folder / 'models'} holds TorchScript alone, which runs code when it is read",
            f"get {STATE_DICT}, the state dict of the same bundle",
        )
    configuration, metadata = Configuration(path), read_json(folder / METADATA)
    plans = own_plans(path, metadata) or _plans(configuration)
    data_format = metadata.get("network_data_format", {})
    inputs: dict[str, Any] = next(iter(data_format.get("inputs", {}).values()), {})
    said = {
        "name": str(metadata.get("name", "")),
        "version": str(metadata.get("version", "")),
        "training_set": str(metadata.get("data_source", "")),
        "modality": str(inputs.get("modality", "")),
    }
    return plans, _labels(folder, data_format), weights, said


def _plans(configuration: Configuration) -> dict[str, Any]:
    """Network, transforms and window."""
    target, arguments = _named(configuration, "network_def", configuration.raw("network_def"))
    arguments = configuration.plain(arguments, "network_def")
    found = {
        "network": {"class": target, "arguments": network_arguments(target, arguments, str(configuration.path))},
        "transforms": _transforms(configuration),
        "window": _window(configuration),
    }
    if _has_sigmoid(configuration, configuration.raw("postprocessing"), set()):
        raise configuration.refuse(
            "postprocessing", "uses a sigmoid a class: classes may overlap", "add predictions with `models add`"
        )
    return found


def _labels(folder: Path, data_format: dict[str, Any]) -> dict[str, int]:
    """Output channels by the names in the metadata; background is channel 0."""
    output: dict[str, Any] = next(iter(data_format.get("outputs", {}).values()), {})
    named = {int(number): str(name) for number, name in output.get("channel_def", {}).items()}
    return _checked_labels({name: number for number, name in named.items()}, len(named), str(folder / METADATA))


def _checked_labels(labels: dict[str, int], number: int, what: str) -> dict[str, int]:
    labels = {BACKGROUND if name.lower() == BACKGROUND else name: channel for name, channel in labels.items()}
    if sorted(labels.values()) != list(range(number)) or labels.get(BACKGROUND) != 0 or number < 2:
        raise VoxledgerError(
            f"{what}: the output channels are {labels}, and not numbered from 0, which is the background",
            "list every channel once, with a name of its own",
        )
    return labels


def _transforms(configuration: Configuration) -> list[dict[str, Any]]:
    """What an image goes through, without what reads it."""
    target, arguments = _named(configuration, "preprocessing", configuration.raw("preprocessing"))
    if target != "Compose":
        raise configuration.refuse("preprocessing", f"is {target}, not Compose", "write it as a list of transforms")
    found = []
    for number, entry in enumerate(configuration.shallow(arguments.get("transforms", []), "preprocessing")):
        where = f"preprocessing::transforms::{number}"
        name, values = _named(configuration, where, configuration.shallow(entry, where))
        if name in _WITHOUT_EFFECT or configuration.plain(values.pop("_disabled_", False), where):
            continue
        values = configuration.plain(values, where)
        keys = values.pop("keys", "image")
        if name not in (*SPATIAL, *INTENSITY) or keys not in ("image", ["image"]):
            raise configuration.refuse(
                where,
                f"is {name} of {keys}, which cannot be taken over",
                f"only these are, of the image: {', '.join((*SPATIAL, *INTENSITY))}",
            )
        found.append({"_target_": name, **values})
    return found


def _window(configuration: Configuration) -> dict[str, Any]:
    name, arguments = _named(configuration, "inferer", configuration.raw("inferer"))
    if name != "SlidingWindowInferer" or "roi_size" not in arguments:
        raise configuration.refuse("inferer", f"is {name}", "only SlidingWindowInferer with a roi_size is taken over")
    return {name: configuration.plain(arguments[name], "inferer") for name in WINDOW if name in arguments}


def _named(configuration: Configuration, where: str, entry: Any) -> tuple[str, dict[str, Any]]:
    """Class and arguments of an entry; only MONAI's own classes of three families are named by it."""
    target = str(entry.get("_target_", "")) if isinstance(entry, dict) else ""
    name = next((target.removeprefix(start) for start in _TARGETS if target.startswith(start)), target)
    if not name.isidentifier():
        raise configuration.refuse(
            where,
            f"names the class {target or repr(entry)}, which is not one of MONAI's",
            "only networks of monai.networks.nets and MONAI's own transforms are taken over; add the predictions of "
            "other models with `voxledger models add`",
        )
    return name, {k: v for k, v in entry.items() if k not in ("_target_", "_desc_", "_mode_", "_requires_")}


def _has_sigmoid(configuration: Configuration, value: Any, seen: set[int]) -> bool:
    """Whether an entry, or what it refers to, asks for a sigmoid; `seen` is what was looked at before."""
    value = configuration.shallow(value, "postprocessing")
    if not isinstance(value, dict | list) or id(value) in seen:
        return False
    seen.add(id(value))
    if isinstance(value, dict) and configuration.shallow(value.get("sigmoid"), "postprocessing") not in (None, False):
        return True
    entries = value.values() if isinstance(value, dict) else value
    return any(_has_sigmoid(configuration, entry, seen) for entry in entries)


def _read_description(folder: Path) -> _Read:
    path = next(folder / name for name in DESCRIPTIONS if (folder / name).is_file())
    described = Configuration(path)
    target = described.get("network")
    arguments = described.get("arguments")
    spatial: list[dict[str, Any]] = []
    if "orientation" in described:
        spatial.append({"_target_": "Orientationd", "axcodes": described.get("orientation")})
    spacing = {"_target_": "Spacingd", "pixdim": described.get("spacing"), "mode": "bilinear"}
    intensity = described.get("intensity")
    scaled = {"_target_": "NormalizeIntensityd"} if intensity == "normalize" else {"_target_": "ScaleIntensityRanged"}
    if isinstance(intensity, dict):
        scaled |= intensity
    elif intensity != "normalize":
        raise described.refuse(
            "intensity", f"is {intensity}", "write `normalize`, or a_min, a_max, b_min, b_max and clip"
        )
    plans = {
        "network": {"class": target, "arguments": network_arguments(target, arguments, str(path))},
        "transforms": [*spatial, spacing, scaled],
        "window": {"roi_size": described.get("patch"), "overlap": 0.5, "mode": "gaussian"},
    }
    labels = _checked_labels(described.get("labels"), len(described.get("labels")), str(path))
    weights = next((folder / n for n in ("model.pt", "model.pth") if (folder / n).is_file()), folder / "model.pt")
    said = {n: str(described.raw(n) or "") for n in ("name", "version", "training_set", "modality")}
    return plans, labels, weights, said
