"""`data/round/received.json`: the returns that the gate let through, by content."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from pydantic import BaseModel, ConfigDict, ValidationError

from voxledger.errors import VoxledgerError
from voxledger.textfile import replace_text


class Received(BaseModel):
    """One return."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    folder: str
    """Its name in the inbox."""
    id: str
    """Of the bundle that was sent."""
    reviewer: str
    sha256: str
    """Identity of what came back: `records.bundle.content_sha256`."""
    files: dict[str, str]
    """SHA-256 of decisions and labels, by path."""
    kept: dict[str, str] = {}
    """The same of what says how it was signed."""
    signatures: tuple[str, ...] = ()
    """Those that count: `records.ledger.Signature`."""


class _Table(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)

    bundles: tuple[Received, ...]


def read_received(path: Path) -> tuple[Received, ...]:
    """The returns, as the gate wrote them."""
    try:
        return _Table.model_validate_json(path.read_bytes()).bundles
    except (OSError, ValidationError):
        raise VoxledgerError(f"{path} is not what the gate wrote", "run `dvc repro -f gate`") from None


def write_received(path: Path, bundles: Iterable[Received]) -> None:
    """Write the returns in the order given."""
    # What is not signed is written as it was before there were signatures.
    values = _Table(bundles=tuple(bundles)).model_dump(mode="json", exclude_defaults=True)
    replace_text(path, json.dumps(values, indent=1, sort_keys=True) + "\n")
