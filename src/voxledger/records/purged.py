"""What was removed of older versions: `data/purged.json`, signed, by which `verify` tells it from what was lost.

Files are named by a hash of their path and content, so that the list names no case; whoever has a version, and so its
manifest, can tell which of its files are meant.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from voxledger import layout
from voxledger.records.formats import Upgrade, upgraded
from voxledger.textfile import decode, parse_json, replace_text, unreadable

UPGRADES: tuple[Upgrade, ...] = ()
FORMAT = len(UPGRADES) + 1


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Removed(_Strict):
    """What was removed of one patient."""

    date: str
    files: tuple[str, ...]
    """`file_digest` of every file of every closed round, sorted."""
    objects: tuple[str, ...]
    """Names of DVC's objects, their MD5, sorted; never one that another patient's file has, too."""


class Purged(_Strict):
    """The list."""

    format: int = FORMAT
    dataset: str
    patients: Mapping[str, Removed]
    """By the keyed hash under which the patient was withdrawn."""


def file_digest(path: str, sha256: str) -> str:
    """How the list calls a file, by its path in the repository and the SHA-256 of its content."""
    return hashlib.sha256(f"{path}\0{sha256}".encode()).hexdigest()


def parse_purged(content: bytes, what: Path | str) -> Purged:
    """Parse a list; `what` names it in errors.

    Raises
    ------
    Misuse
        It is of a newer format.
    VoxledgerError
        It is damaged.
    """
    values = parse_json(decode(content, str(what)), what)
    try:
        return Purged.model_validate(upgraded(values, UPGRADES, str(what)) if isinstance(values, dict) else values)
    except ValidationError as error:
        raise unreadable(what, str(error.errors()[0]["msg"])) from None


def write_purged(purged: Purged, path: Path = layout.PURGED) -> None:
    """Write the list; its signature is another file."""
    replace_text(path, json.dumps(purged.model_dump(mode="json"), indent=1, sort_keys=True) + "\n")
