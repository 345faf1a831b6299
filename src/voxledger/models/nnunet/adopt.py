"""nnU-Net results folders from elsewhere: `plans.json`, `dataset.json` and `fold_K/checkpoint_final.pth`.

Of a checkpoint only the weights, the trainer's name, its arguments and the mirrored axes are read. Beside tensors it
holds numpy scalars, in its log; reading those runs nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxledger.errors import VoxledgerError
from voxledger.models.adopt import FromElsewhere, load_checkpoint, load_state
from voxledger.models.nnunet.network import architecture_name, build_network
from voxledger.models.nnunet.reader import require_reader
from voxledger.models.nnunet.stages import ADOPTED, KEY, Stages
from voxledger.models.process import quiet
from voxledger.records.card import DATASET, PLANS
from voxledger.textfile import read_json

CHECKPOINT = "checkpoint_final.pth"
INTERACTIVE = "inference_info.json"
"""What a folder of nnInteractive holds beside: such a model predicts what is marked."""
_FOLD = re.compile(r"0|[1-9]\d*|all")
"""Names of folds; a copy that somebody put beside one, such as `fold_0_old`, is none."""
_FOLDER = re.compile(r"\w[\w. -]*")
"""Names that nnU-Net gives folders."""
_ARGUMENTS = ("plans", "configuration", "dataset_json")
"""Arguments of a trainer that all folds of a model share."""


def recognises(folder: Path) -> bool:
    """Whether a folder has plans and the description of a data set, and its model asks for no prompts."""
    return (folder / PLANS).is_file() and (folder / DATASET).is_file() and not (folder / INTERACTIVE).is_file()


def read_model(folder: Path, folds: Sequence[str]) -> FromElsewhere:
    """All folds as one model, whose prediction is the mean of theirs.

    Parameters
    ----------
    folder
        Results of one configuration, such as `nnUNetTrainer__nnUNetPlans__3d_fullres`.
    folds
        Which ones to take; by default all that are there, `all` only where there is no other, as nnU-Net does.

    Raises
    ------
    VoxledgerError
        A fold is missing or damaged, would run code, has other plans than the first or another architecture than the
        plans, or the model is of a kind that has no place here: several inputs, regions, slices, a cascade.
    """
    plans, dataset = read_json(folder / PLANS, "configurations"), read_json(folder / DATASET, "labels")
    _require_supported(folder, plans, dataset)
    taken = list(dict.fromkeys(folds)) or _folds_in(folder)
    checkpoints = {fold: _read_fold(folder, fold) for fold in taken}
    first = checkpoints[taken[0]]
    for fold, checkpoint in checkpoints.items():
        if differ := [name for name in first if name != "weights" and checkpoint[name] != first[name]]:
            raise VoxledgerError(
                f"{folder}: fold {fold} was trained with other {', '.join(differ)} than fold {taken[0]}",
                "choose folds of one training with --folds, and adopt the others under another name",
            )
    configuration = _configuration(folder, plans, first["configuration"])
    stages = Stages(
        recipe=ADOPTED,
        trainer=first["trainer"],
        configurations=(configuration,),
        folds=tuple(taken),
        mirror_axes=tuple(first["mirrored axes"]),
    )
    plans = {**plans, KEY: stages.model_dump(mode="json")}
    tensors = dict[str, Any]()
    for fold, checkpoint in checkpoints.items():
        with quiet():
            network = build_network(plans, dataset, configuration, deep_supervision=False)
        found = load_state(network, checkpoint["weights"], folder / f"fold_{fold}" / CHECKPOINT)
        tensors |= {stages.prefix(configuration, fold) + name: tensor for name, tensor in found.items()}
    return FromElsewhere(
        architecture_name(plans) + (f", {len(taken)} folds" if len(taken) > 1 else ""),
        plans,
        dataset,
        tensors,
        name=str(plans.get("dataset_name", "")),
        version=str(dataset.get("release", "")),
        training_set=str(dataset.get("reference", "") or plans.get("dataset_name", "")),
    )


def _folds_in(folder: Path) -> list[str]:
    names = sorted(path.parent.name.removeprefix("fold_") for path in folder.glob(f"fold_*/{CHECKPOINT}"))
    found = [name for name in names if _FOLD.fullmatch(name)]
    if not found:
        raise VoxledgerError(f"{folder} holds no fold_*/{CHECKPOINT}", "train it to the end, or copy the whole folder")
    return [fold for fold in found if fold != "all"] or found


def _read_fold(folder: Path, fold: str) -> dict[str, Any]:
    """What is used of a checkpoint; the rest, such as the state of the optimiser, is let go."""
    path = folder / f"fold_{fold}" / CHECKPOINT
    if not (_FOLD.fullmatch(fold) and path.is_file()):
        raise VoxledgerError(
            f"{path}: fold {fold} is missing", f"choose with --folds from {', '.join(_folds_in(folder))}"
        )
    checkpoint = load_checkpoint(path, numpy_scalars())
    try:
        arguments = {name: checkpoint["init_args"].get(name) for name in _ARGUMENTS}
        arguments["plans"] = {k: v for k, v in arguments["plans"].items() if k != "continue_training"}
        mirrored = checkpoint.get("inference_allowed_mirroring_axes") or ()
        return {
            "weights": checkpoint["network_weights"],
            "trainer": str(checkpoint["trainer_name"]),
            "plans": json.loads(json.dumps(arguments["plans"])),
            "configuration": str(arguments["configuration"]),
            "mirrored axes": [int(axis) for axis in mirrored],
        }
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise VoxledgerError(
            f"{path} is no checkpoint of nnU-Net: {error!r}", "give the folder that nnU-Net wrote"
        ) from None


def numpy_scalars() -> list[Any]:
    """What numpy scalars in a pickle are made of, under the names of numpy 1 and 2."""
    import numpy as np
    from numpy._core.multiarray import scalar

    kinds = [type(np.dtype(kind)) for kind in ("float64", "float32", "int64", "int32", "bool")]
    return [(scalar, "numpy.core.multiarray.scalar"), scalar, np.dtype, *kinds]


def _require_supported(folder: Path, plans: dict[str, Any], dataset: dict[str, Any]) -> None:
    """Raise where an image of one channel and a softmax over classes is not what the model is made for."""
    inputs = dataset.get("channel_names") or dataset.get("modality") or {}
    if len(inputs) != 1:
        named = ", ".join(map(str, inputs.values()))
        raise VoxledgerError(
            f"{folder / DATASET}: the model reads {len(inputs)} images of a case ({named})",
            "a case has one image here; add its predictions with `voxledger models add`",
        )
    regions = [name for name, value in dataset["labels"].items() if isinstance(value, list)]
    if regions or dataset.get("regions_class_order"):
        raise VoxledgerError(
            f"{folder / DATASET}: the model predicts regions that overlap ({', '.join(regions)}), each by a sigmoid",
            "classes share one softmax here; add its predictions with `voxledger models add`",
        )
    require_reader(folder / PLANS, plans)
    folders = {"dataset_name": plans.get("dataset_name"), "plans_name": plans.get("plans_name")}
    folders |= {f"the name of configuration {number}": n for number, n in enumerate(plans["configurations"], start=1)}
    folders |= {f"{n}: data_identifier": c.get("data_identifier") for n, c in plans["configurations"].items()}
    for what, name in folders.items():
        if name is not None and not _FOLDER.fullmatch(str(name)):
            raise VoxledgerError(
                f"{folder / PLANS}: {what} is {name}, which is not the name of a folder", "correct the plans"
            )


def _configuration(folder: Path, plans: dict[str, Any], name: str) -> str:
    """The configuration of a checkpoint, which the plans must have."""
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    if name not in plans["configurations"]:
        raise VoxledgerError(
            f"{folder / PLANS} has no configuration {name}, which the checkpoints were trained with",
            "give the plans of the same training",
        )
    with quiet():
        configuration = PlansManager(plans).get_configuration(name)
    slices, before = len(configuration.patch_size) == 2 or name == "2d", configuration.previous_stage_name
    if slices or before:
        kind = "reads slices alone" if slices else f"goes on from {before}"
        raise VoxledgerError(
            f"{folder}: a model of the configuration {name} {kind}",
            "adopt 3d_fullres or 3d_lowres, or add its predictions with `voxledger models add`",
        )
    return name
