"""Models of nnInteractive from elsewhere: `plans.json`, `dataset.json`, `inference_info.json` and one `fold_K/`.

Nothing of the folder is run. The first line of a file `LICENSE` is the licence of the weights; the official ones of
version 1 have none, and are CC BY-NC-SA 4.0.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from voxledger.errors import VoxledgerError
from voxledger.models.adopt import FromElsewhere, load_checkpoint, load_state
from voxledger.models.nninteractive.network import (
    KEY,
    MARKS,
    Interactive,
    architecture_name,
    build_network,
    describe_object,
)
from voxledger.models.nnunet.adopt import CHECKPOINT, INTERACTIVE, numpy_scalars
from voxledger.records.card import DATASET, PLANS
from voxledger.textfile import read_json, read_text

LICENCE = "LICENSE"
OFFICIAL, OFFICIAL_LICENCE = "Dataset225_nnInteractiveV2", "CC BY-NC-SA 4.0"
"""What nnInteractive's first official weights were trained on, and their licence, which their folder does not say."""
SESSION = "nnInteractiveInferenceSession"
CHANNELS: dict[str, Any] = {
    "prev_seg": 0,
    "bbox2d": [1, 2],
    "bbox3d": [1, 2],
    "lasso": [1, 2],
    "points": [3, 4],
    "scribble": [5, 6],
}
"""Which channel is what, as nnInteractive's sessions have it unless a model says otherwise."""
KINDS = ("points", "scribble", "lasso", "bbox2d")
"""What prompts from weak labels are."""


def recognises(folder: Path) -> bool:
    """Whether a folder has plans, the description of a data set, and that of its prompts."""
    return all((folder / name).is_file() for name in (PLANS, DATASET, INTERACTIVE))


def read_model(folder: Path, folds: Sequence[str]) -> FromElsewhere:
    """The model of a folder in nnInteractive's format.

    Raises
    ------
    VoxledgerError
        The checkpoint is missing or damaged, would run code, or has another architecture than the plans; or the model
        is of a kind that has no place here: several images, other channels of prompts, a newer session.
    """
    plans, dataset = read_json(folder / PLANS, "configurations"), read_json(folder / DATASET, "labels")
    inputs = dataset.get("channel_names") or dataset.get("modality") or {}
    if len(inputs) != 1:
        named = ", ".join(map(str, inputs.values()))
        raise VoxledgerError(
            f"{folder / DATASET}: the model reads {len(inputs)} images of a case ({named})",
            "a case has one image here: adopt a model that reads one",
        )
    path = _checkpoint(folder, folds)
    checkpoint = load_checkpoint(path, numpy_scalars())
    try:
        configuration = str(checkpoint["init_args"]["configuration"])
        weights, trainer = checkpoint["network_weights"], str(checkpoint["trainer_name"])
    except (KeyError, TypeError) as error:
        raise VoxledgerError(
            f"{path} is no checkpoint of nnInteractive: {error!r}", "give the folder that its makers offer"
        ) from None
    if configuration not in plans["configurations"]:
        raise VoxledgerError(
            f"{folder / PLANS} has no configuration {configuration}, which the checkpoint was trained with",
            "give the plans of the same training",
        )
    known = _interactive(folder / INTERACTIVE, configuration, trainer)
    plans = {**plans, KEY: known.model_dump(mode="json")}
    return FromElsewhere(
        architecture_name(plans),
        plans,
        describe_object(),
        load_state(build_network(plans), weights, path),
        name=str(plans.get("dataset_name", "")),
        training_set=str(dataset.get("reference", "") or plans.get("dataset_name", "")),
        licence=_licence(folder, plans),
    )


def _checkpoint(folder: Path, folds: Sequence[str]) -> Path:
    found = sorted(folder.glob(f"fold_*/{CHECKPOINT}"))
    chosen = [path for path in found if not folds or path.parent.name.removeprefix("fold_") in folds]
    if len(chosen) == 1:
        return chosen[0]
    there = ", ".join(path.parent.name.removeprefix("fold_") for path in found) or "none"
    raise VoxledgerError(
        f"{folder}: a model of nnInteractive is one fold_K/{CHECKPOINT}; there are {there}",
        "choose one with --folds, or copy the whole folder",
    )


def _interactive(path: Path, configuration: str, trainer: str) -> Interactive:
    """What `inference_info.json` says, where the session of stages can do it."""
    from importlib.metadata import version

    said = read_json(path)
    here = version("nninteractive")
    wanted = {
        "inference_class": (said.get("inference_class", SESSION), SESSION),
        "interaction_channels": (said.get("interaction_channels", MARKS - 1), MARKS - 1),
        "channel_mapping": ({**CHANNELS, **said.get("channel_mapping", {})}, CHANNELS),
        "pad_mode_image": (said.get("pad_mode_image", "constant"), "constant"),
        "supports_initial_label": (said.get("supports_initial_label", True), True),
    }
    unlike = [f"{name} is {has}" for name, (has, want) in wanted.items() if has != want]
    lacking = [kind for kind in KINDS if not said.get("supported_interactions", {}).get(kind, True)]
    unlike += [f"it does not take {', '.join(lacking)}"] if lacking else []
    least = str(said.get("inference_class_min_version") or "0")
    if _numbers(least) > _numbers(here):
        raise VoxledgerError(
            f"{path}: the model is made for nnInteractive {least}, and {here} is installed",
            "install the newer one: `pip install --upgrade nninteractive`",
        )
    if unlike:
        raise VoxledgerError(
            f"{path}: the model takes other prompts than weak labels become: {'; '.join(unlike)}",
            "adopt one with nnInteractive's usual channels",
        )
    try:
        return Interactive(
            configuration=configuration,
            trainer=trainer,
            point_radius=said.get("point_radius", 4),
            decay=said.get("interaction_decay", 0.98),
        )
    except ValidationError as error:
        first = error.errors()[0]
        raise VoxledgerError(f"{path}: {first['loc'][0]}: {first['msg']}", "correct the file") from None


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) if part.isdigit() else 0 for part in version.split("."))


def _licence(folder: Path, plans: dict[str, Any]) -> str:
    path = folder / LICENCE
    if path.is_file():
        return next((line.strip() for line in read_text(path).splitlines() if line.strip()), "")
    return OFFICIAL_LICENCE if plans.get("dataset_name") == OFFICIAL else ""
