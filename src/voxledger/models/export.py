"""Writing a model for others: each backend that can has an `export.py` with `export_model(model, folder)`."""

from __future__ import annotations

import shutil
from importlib import import_module
from pathlib import Path

from voxledger.errors import Misuse
from voxledger.models.backend import backend_of
from voxledger.models.card_page import card_page
from voxledger.models.dataset import heads
from voxledger.models.model import Model
from voxledger.records.card import CARD, DATASET
from voxledger.registry import BACKENDS
from voxledger.textfile import read_json, replace_text

PAGE = "README.md"


def export_model(model: Model, format_name: str, folder: Path, withdrawn: str = "") -> None:
    """Write a folder in the form of others, with the card and its page beside; nothing is kept of a failure.

    Parameters
    ----------
    model
        Its files checked against its id.
    format_name
        `nnunet` or `monai-bundle`: each backend has one.
    folder
        It must not be there yet.
    withdrawn
        What the page says of withdrawn patients, see `card_page`.

    Raises
    ------
    Misuse
        The folder is there already, or the model is of another backend's format.
    """
    backend = backend_of(model.card)
    if format_name != backend.exports:
        formats = sorted(e for name in BACKENDS.names() if (e := BACKENDS.get(name).exports))
        raise Misuse(
            f"model {model.card.name} is one of the backend {model.card.backend}, which has no format {format_name}",
            f"use --format {backend.exports}" if backend.exports else f"only networks are written as {formats}",
        )
    if learned := heads(read_json(model.folder / DATASET)):
        raise Misuse(
            f"model {model.card.name} has heads, of {', '.join(learned)}, that the format {format_name} does not know",
            "export its parent, or train a model with another strategy",
        )
    if folder.exists():
        raise Misuse(f"{folder} is there already", "name a new folder")
    partial = folder.with_name(f".{folder.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    try:
        import_module(f"{backend.package}.export").export_model(model, partial)
        shutil.copyfile(model.folder / CARD, partial / CARD)
        replace_text(partial / PAGE, card_page(model.card, withdrawn))
        partial.rename(folder)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
