"""The model folder and its card, `model.json`.

A trained model is a folder of `weights.safetensors`, `plans.json`, `dataset.json` and `model.json`, with `region.json`
if it looks at one organ alone. Its id is the SHA-256 of `weights.safetensors`, whose header holds the hashes of the
JSON files beside it, so that the id covers all that a prediction depends on. A precomputed model has `predictions/`
instead, and an id that its owner declares.
Nothing here is ever unpickled.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from voxledger.casemap.hashes import trusted_sha256
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import file_sha256
from voxledger.records.formats import Upgrade, numbered, upgraded
from voxledger.records.ladder import Ladder
from voxledger.textfile import decode, parse_json, replace_text, restoring, unreadable

CARD = "model.json"
WEIGHTS = "weights.safetensors"
PLANS = "plans.json"
DATASET = "dataset.json"
REGION = "region.json"
"""Of a model that looks at one organ alone."""
PREDICTIONS = "predictions"

NAME_PATTERN = r"^[a-z0-9][a-z0-9_-]*$"
"""Names of models: they become folder names."""
ENSEMBLE = "ensemble"
"""Name of the mean of all models, which no model may have."""
ID_PATTERN = r"^[A-Za-z0-9][A-Za-z0-9._:/@+-]*$"
"""Ids of models: they stand in the ledger, separated by semicolons."""

UPGRADES: tuple[Upgrade, ...] = (
    lambda card: {**card, "source": None},
    lambda card: {**card, "taught_by": {}},
    lambda card: {**card, "ladder": None},
)
FORMAT = len(UPGRADES) + 1
"""Format 1 has no number in the file. Format 2 names the source of a model from elsewhere, 3 who taught what,
4 what was tried for revised classes."""

HEAD_WEIGHTS = "heads/"
"""How the names of the weights of heads begin, before class and layer."""
BRANCH_WEIGHTS = "branches/"
"""How the names of the weights of branches begin, before number and layer."""
_HEADER = "voxledger"


class Source(BaseModel):
    """Where a model from elsewhere came from, as far as its folder or the curator says; its licence is the card's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    name: str
    """What its makers call it, such as `TotalSegmentator`."""
    version: str
    training_set: str
    """What it was trained on."""
    classes: dict[str, str]
    """What each of its classes is called here, or `ignore`."""


class ModelCard(BaseModel):
    """Which model this is, and where it came from."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    id: str = Field(pattern=ID_PATTERN)
    """SHA-256 of the weights, or the declared id of a precomputed model."""
    name: str = Field(pattern=NAME_PATTERN)
    backend: str = Field(pattern=NAME_PATTERN)
    """A member of the family of backends, maybe one of another package."""
    architecture: str
    strategy: str
    cohort: str
    """SHA-256 of the cohort table that it was trained on; empty for a precomputed model."""
    parent: str
    """Id of the model that training started from, or empty."""
    params: dict[str, Any]
    licence: str
    round: int = Field(ge=0)
    source: Source | None = None
    """Of a model that was adopted; None where it was trained here or is precomputed."""
    taught_by: dict[str, dict[str, int]] = {}
    """By class that was trained, in how many cases it was taught by `people` and by the `model`; what is not named, a
    model with heads has from its parent."""
    ladder: Ladder | None = None
    """Of a model with heads, what was tried for the classes that were trained, and what it took."""


def require_name(name: str) -> None:
    """Raise unless a model may have this name."""
    if not re.fullmatch(NAME_PATTERN, name):
        raise Misuse(f"{name!r} is not a model name", "use small letters, digits, - and _")
    if name == ENSEMBLE:
        raise Misuse(f"{name!r} is not a model name: it is the mean of all models", "choose another name")


def read_card(folder: Path) -> ModelCard:
    """Read `model.json`; the name in it must be the folder's."""
    path = folder / CARD
    try:
        content = path.read_bytes()
    except OSError:
        raise VoxledgerError(
            f"{path}: no model card here", "remove the folder, or restore it with `dvc pull`"
        ) from None
    card = parse_card(parse_json(decode(content, str(path)), path), str(path))
    if card.name != folder.name:
        raise VoxledgerError(f"{path} is the card of {card.name}, not of {folder.name}", "restore the folder")
    return card


def write_card(folder: Path, card: ModelCard) -> None:
    """Write `model.json`."""
    replace_text(folder / CARD, to_json(numbered(card.model_dump(), FORMAT)))


def parse_card(values: Any, what: str) -> ModelCard:
    """A card of any format so far from the values in its JSON; `what` names it in errors.

    Raises
    ------
    Misuse
        It is of a newer format.
    VoxledgerError
        It is no card.
    """
    return _validated(_todays(values, what), what)


def _validated(values: Any, what: str) -> ModelCard:
    try:
        return ModelCard.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(p) for p in first["loc"])
        raise VoxledgerError(f"{what} is not a model card: {where}: {first['msg']}", restoring(what)) from None


def _todays(values: Any, what: str) -> Any:
    if not isinstance(values, dict):
        return values
    return {k: v for k, v in upgraded(values, UPGRADES, what).items() if k != "format"}


def to_json(values: Any) -> str:
    """JSON as it is written into files: sorted keys, two spaces, one line feed at the end."""
    return json.dumps(values, indent=2, sort_keys=True, ensure_ascii=False) + "\n"


def list_models(models: Path) -> list[ModelCard]:
    """Cards of all models in a folder such as `models/base`, sorted by name; none where the folder is missing."""
    if not models.is_dir():
        return []
    folders = sorted(p for p in models.iterdir() if p.is_dir() and not p.name.startswith("."))
    return [read_card(folder) for folder in folders]


def check_model(folder: Path) -> ModelCard:
    """Read the card and hash the files against the id; a model that was altered is refused by its file's name."""
    card = read_card(folder)
    if PREDICTIONS in card.params:
        if predictions_sha256(folder / PREDICTIONS) != card.params.get("predictions"):
            raise VoxledgerError(
                f"{folder / PREDICTIONS} is not what was registered: its files were altered, added or removed",
                "restore it with `dvc checkout`, or register the predictions under a new name",
            )
        return card
    remedy = "restore the model with `dvc checkout` or `dvc pull`"
    if not (folder / WEIGHTS).is_file():
        raise VoxledgerError(f"{folder / WEIGHTS}: no such file", remedy)
    if trusted_sha256(folder / WEIGHTS) != card.id:
        raise VoxledgerError(f"{folder / WEIGHTS} does not fit the id in {CARD}: it was altered", remedy)
    companions = _companions(folder / WEIGHTS)
    if REGION not in companions and (folder / REGION).exists():
        raise VoxledgerError(f"{folder / REGION} is not of the model beside it: it was added", remedy)
    for name, digest in companions.items():
        if not (folder / name).is_file() or trusted_sha256(folder / name) != digest:
            raise VoxledgerError(f"{folder / name} does not fit the weights beside it: it was altered", remedy)
    return card


def save_weights(folder: Path, network: Any) -> str:
    """Write the weights of a network beside the JSON files of the model; returns the model id."""
    return save_tensors(folder, weights_of(network))


def save_tensors(folder: Path, tensors: dict[str, Any]) -> str:
    """Write weights by name beside the JSON files of the model; returns the model id.

    Of a model of several networks, the names of each begin with a prefix of its own.
    """
    from safetensors.torch import save_file

    companions = {name: file_sha256(folder / name) for name in (DATASET, PLANS, REGION) if (folder / name).is_file()}
    # One entry alone: the order of several would differ from run to run.
    save_file(tensors, folder / WEIGHTS, metadata={_HEADER: json.dumps(companions, sort_keys=True)})
    return file_sha256(folder / WEIGHTS)


def save_arrays(folder: Path, arrays: dict[str, Any]) -> str:
    """Write arrays of a model that is no network, with no JSON file beside them; returns the model id."""
    from safetensors.numpy import save_file

    save_file(arrays, folder / WEIGHTS, metadata={_HEADER: json.dumps({})})
    return file_sha256(folder / WEIGHTS)


def load_weights(folder: Path, network: Any, prefix: str = "") -> None:
    """Put the weights of a model that `check_model` has accepted into a network; `prefix` is that of their names."""
    saved, own = load_tensors(folder, prefix), weights_of(network)
    saved = {name: tensor for name, tensor in saved.items() if not name.startswith((HEAD_WEIGHTS, BRANCH_WEIGHTS))}
    if {n: t.shape for n, t in saved.items()} != {n: t.shape for n, t in own.items()}:
        raise VoxledgerError(f"{folder / WEIGHTS} does not fit the network in {PLANS}", "train the model again")
    network.load_state_dict(saved, strict=False)


def load_tensors(folder: Path, prefix: str = "") -> dict[str, Any]:
    """Weights of a model that `check_model` has accepted, those whose names begin with a prefix, named without it."""
    from safetensors import safe_open

    with safe_open(folder / WEIGHTS, framework="pt") as stream:
        return {n.removeprefix(prefix): stream.get_tensor(n) for n in stream.keys() if n.startswith(prefix)}  # noqa: SIM118


def head_of(weights: dict[str, Any], name: str) -> dict[str, Any]:
    """Weights of the head of a class by layer, of all weights of a model; none where it has none."""
    prefix = f"{HEAD_WEIGHTS}{name}/"
    return {key.removeprefix(prefix): tensor for key, tensor in weights.items() if key.startswith(prefix)}


def weights_of(network: Any, prefix: str = "") -> dict[str, Any]:
    """Parameters and buffers on the CPU, each once: nnU-Net's networks list their layers under several names."""
    found = {**dict(network.named_parameters()), **dict(network.named_buffers())}
    return {prefix + name: tensor.detach().cpu().contiguous() for name, tensor in found.items()}


def parse_cards(text: str, what: str) -> list[dict[str, Any]]:
    """Cards of `base.json` or `next.json`, of whatever version; `what` names the file in errors."""
    cards = parse_json(text, what)
    if not isinstance(cards, list) or not all(isinstance(c, dict) and isinstance(c.get("id"), str) for c in cards):
        raise unreadable(what, "it is not a list of model cards")
    return [_todays(card, what) for card in cards]


def read_cards(text: str, what: str) -> list[ModelCard]:
    """The same as cards, where all of them are whole; `what` names the file in errors."""
    return [_validated(values, what) for values in parse_cards(text, what)]


def predictions_sha256(folder: Path) -> str:
    """Hash over names and contents of all files of a folder of predictions."""
    digest = hashlib.sha256()
    for path in sorted(p for p in folder.iterdir() if p.is_file()) if folder.is_dir() else []:
        digest.update(f"{path.name} {trusted_sha256(path)}\n".encode())
    return digest.hexdigest()


def _companions(weights: Path) -> dict[str, str]:
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(weights, framework="np") as stream:
            companions: dict[str, str] = json.loads((stream.metadata() or {})[_HEADER])
    except (SafetensorError, KeyError, ValueError) as error:
        raise VoxledgerError(f"{weights} was not written by voxledger: {error}", "train the model again") from None
    return companions
