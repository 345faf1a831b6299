"""Taking in a trained model from elsewhere: read without running any of it, and written as a model of ours.

Each backend that can has an `adopt.py` with

    recognises(folder: Path) -> bool                              whether the folder is of its kind
    read_model(folder: Path, folds: Sequence[str]) -> FromElsewhere   what is in it

Weights are read as tensors alone: a pickle that would run code is refused.
"""

from __future__ import annotations

import pickle
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np

from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import Grid, Volume
from voxledger.licences import spdx
from voxledger.models.backend import Backend
from voxledger.models.class_map import class_map
from voxledger.models.dataset import BACKGROUND, CLASS_MAP, HEADS, IGNORE, UNTAUGHT, outputs, untaught
from voxledger.params import InferParams
from voxledger.records.card import (
    DATASET,
    PLANS,
    ModelCard,
    Source,
    list_models,
    require_name,
    save_tensors,
    to_json,
    weights_of,
    write_card,
)
from voxledger.registry import BACKENDS
from voxledger.schema import LabelSchema
from voxledger.textfile import replace_text

STRATEGY = "adopted"
"""What the card of an adopted model names in place of a strategy of training."""


@dataclass(frozen=True)
class FromElsewhere:
    """What a backend found in a folder."""

    architecture: str
    """Class and features in words."""
    plans: dict[str, Any]
    dataset: dict[str, Any]
    """As `models/dataset.py` has it, classes under their own names."""
    tensors: dict[str, Any]
    """Weights as `weights.safetensors` has them."""
    name: str = ""
    version: str = ""
    training_set: str = ""
    """What the folder says of itself; what the curator says goes before."""
    licence: str = ""
    """Of the weights, where the folder says it; a curator who says another one is refused."""


@dataclass(frozen=True)
class Said:
    """What a curator says of a model from elsewhere; empty where its folder does."""

    licence: str = ""
    source: str = ""
    version: str = ""
    training_set: str = ""


def adopt_model(
    name: str,
    folder: Path,
    said: Said,
    chosen_map: str | None,
    folds: Sequence[str],
    schema: LabelSchema,
    models: Path,
    round_number: int,
) -> ModelCard:
    """Write `<models>/<name>/`; nothing is kept if anything is refused.

    Parameters
    ----------
    folder
        An nnU-Net results folder, a MONAI bundle, or weights of a MONAI network with their description.
    said
        Its licence, and whatever else the folder does not say of itself.
    chosen_map
        Of its classes to those of the schema, see `class_map`.
    folds
        Folds of nnU-Net to take; none for all that are there.

    Raises
    ------
    Misuse
        The name is taken or unusable, the folder is of no known kind, or the class map does not fit.
    VoxledgerError
        A file of it is refused; names the file and why.
    """
    require_name(name)
    if any(other.name == name for other in list_models(models)):
        raise Misuse(f"there is a model {name} already", f"choose another name, or `voxledger models remove {name}`")
    backend = _backend_for(folder)
    found = _read(folder, backend, folds)
    mapped = _mapped(BACKENDS.get(backend), found, chosen_map, schema)
    said = replace(said, licence=_licence(folder, found.licence, said.licence))
    # Beside the models: what a killed command leaves of one is no part of them.
    partial = models.parent / f".{name}.partial"
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        card = _write(partial, name, backend, found, said, mapped, round_number)
        _try(partial, folder, card, schema)
        models.mkdir(parents=True, exist_ok=True)
        partial.rename(models / name)
        return card
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _read(folder: Path, backend: str, folds: Sequence[str]) -> FromElsewhere:
    try:
        found: FromElsewhere = import_module(f"{BACKENDS.get(backend).package}.adopt").read_model(folder, folds)
        return found
    except VoxledgerError:
        raise
    except Exception as error:  # whatever libraries raise of what others wrote
        raise _unusable(f"{folder} does not describe a model of {backend}", error) from error


def _try(home: Path, folder: Path, card: ModelCard, schema: LabelSchema) -> None:
    """Predict a tiny image, so that what its folder describes is known to work before a round needs it."""
    backend = BACKENDS.get(card.backend)
    module = import_module(f"{backend.package}.predict")
    image = Volume(np.arange(64, dtype=np.int16).reshape(4, 4, 4), Grid.plain((4, 4, 4)))
    try:
        if backend.prompted:
            module.try_out(home, card.id, image.array)
            return
        predicted = module.predict(home, card.id, image, InferParams(), "cpu")
        for _, values in predicted.by_class(schema):
            if values.shape != image.array.shape:
                raise ValueError(f"an image of shape {image.array.shape} became {values.shape}")
    except Exception as error:  # as above
        raise _unusable(f"{folder}: the model cannot predict an image", error) from error


def _unusable(problem: str, error: Exception) -> VoxledgerError:
    said = error.problem if isinstance(error, VoxledgerError) else f"{type(error).__name__}: {error}"
    return VoxledgerError(
        f"{problem}: {' '.join(said.split())[:300]}",
        "copy the whole folder again, correct what it describes, or add the model's predictions with `voxledger models "
        "add`",
    )


def _mapped(backend: Backend, found: FromElsewhere, chosen: str | None, schema: LabelSchema) -> dict[str, str]:
    """The class map; there is none where the model segments what is marked, of whatever class."""
    if not backend.prompted:
        return class_map(chosen, [n for n in outputs(found.dataset) if n != BACKGROUND], schema)
    if chosen is not None:
        raise Misuse("the model has no classes to map: it segments what is marked", "leave out --map")
    return {}


def _licence(folder: Path, theirs: str, said: str) -> str:
    """The licence of a model; raises where nobody says it, or the curator another one than the folder."""
    said = " ".join(said.split())
    if not (theirs or said):
        raise Misuse(
            f"{folder} does not say under which licence its weights are", "say it with --licence, as an SPDX id"
        )
    if theirs and said and spdx(theirs) != spdx(said):
        raise Misuse(f"{folder} says that its weights are under {theirs}, and not under {said}", "leave out --licence")
    return said or spdx(theirs)


def _write(
    folder: Path,
    name: str,
    backend: str,
    found: FromElsewhere,
    said: Said,
    mapped: dict[str, str],
    round_number: int,
) -> ModelCard:
    """Write the model; the class map is in `dataset.json`, so that the id covers it."""
    replace_text(folder / PLANS, to_json(found.plans))
    replace_text(folder / DATASET, to_json(_described(found.dataset, mapped)))
    card = ModelCard(
        id=save_tensors(folder, found.tensors),
        name=name,
        backend=backend,
        architecture=found.architecture,
        strategy=STRATEGY,
        cohort="",
        parent="",
        params={},
        licence=said.licence,
        round=round_number,
        source=Source(
            name=said.source or found.name or name,
            version=said.version or found.version,
            training_set=said.training_set or found.training_set,
            classes=mapped,
        ),
    )
    write_card(folder, card)
    return card


def _described(dataset: dict[str, Any], mapped: dict[str, str]) -> dict[str, Any]:
    """`dataset.json` with the class map; classes here that stand for nothing but what it was not taught are untaught.

    So it is in one that was trained in a repository like this.
    """
    theirs = untaught(dataset)
    taught = {ours for name, ours in mapped.items() if name not in theirs}
    names = sorted(set(mapped.values()) - taught - {IGNORE})
    rest = {name: value for name, value in dataset.items() if name not in (UNTAUGHT, HEADS)}
    return {**rest, CLASS_MAP: mapped, **({UNTAUGHT: names} if names else {})}


def _backend_for(folder: Path) -> str:
    backends = {name: BACKENDS.get(name) for name in BACKENDS.names()}
    for name, backend in backends.items():
        if backend.adopts and import_module(f"{backend.package}.adopt").recognises(folder):
            return name
    raise Misuse(
        f"{folder} is no model that can be adopted",
        "give an nnU-Net results folder (plans.json, dataset.json, fold_0/checkpoint_final.pth), one of nnInteractive "
        "(with inference_info.json), a MONAI bundle (configs/metadata.json, configs/inference.json, model.pt), or a "
        "folder with model.pt and network.yaml; of a model that is none of these, `voxledger models add` takes the "
        "predictions",
    )


def load_checkpoint(path: Path, allowed: Sequence[Callable[..., Any] | tuple[Any, str]] = ()) -> Any:
    """What is in a file of `torch.save`, if it is tensors and plain values alone.

    Parameters
    ----------
    allowed
        Types beside torch's own that may be in it; they run nothing.

    Raises
    ------
    VoxledgerError
        It is not there, is damaged, or would run code when it is read.
    """
    import torch

    if not path.is_file():
        raise VoxledgerError(f"{path}: no such file", "give the folder of the whole model")
    try:
        with torch.serialization.safe_globals(list(allowed)):
            return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        reason = next((line for line in str(error).splitlines() if "GLOBAL" in line), str(error).splitlines()[0])
        raise VoxledgerError(
            f"{path} holds more than tensors and plain values, and would run code when it is read: {reason.strip()}",
            "ask its makers for a state dict alone: `torch.save(network.state_dict(), FILE)`",
        ) from None
    except (RuntimeError, EOFError, OSError, ValueError) as error:
        raise VoxledgerError(f"{path} is damaged: {error}", "copy it again") from None


def load_state(network: Any, state: Any, path: Path) -> dict[str, Any]:
    """Weights of a checkpoint, once they are known to be those of a network; each tensor once.

    Raises
    ------
    VoxledgerError
        They are of another architecture, or hold what is no number; names the tensors.
    """
    own = network.state_dict()
    given = state if isinstance(state, dict) else {}
    differ = [
        f"{name} ({_shape(given.get(name))}, not {_shape(own.get(name))})"
        for name in sorted(own.keys() | given.keys(), key=str)
        if _shape(own.get(name)) != _shape(given.get(name))
    ]
    if differ:
        more = f" and {len(differ) - 3} more" if len(differ) > 3 else ""
        raise VoxledgerError(
            f"{path} is a checkpoint of another architecture than its folder describes: {', '.join(differ[:3])}{more}",
            "give the plans or description that it was trained with",
        )
    network.load_state_dict(given)
    found = weights_of(network)
    if broken := [name for name, tensor in found.items() if not tensor.isfinite().all()]:
        raise VoxledgerError(
            f"{path} holds weights that are no finite numbers: {', '.join(broken[:3])}",
            "its training diverged, or it is damaged: ask its makers for another checkpoint",
        )
    return found


def _shape(tensor: Any) -> str:
    return "missing" if tensor is None else "×".join(map(str, getattr(tensor, "shape", ("?",)))) or "one number"
