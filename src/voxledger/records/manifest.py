"""The manifest of a version, `data/release/manifest.json`: SHA-256 of every file that makes it, and what made it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.records.formats import Upgrade, upgraded
from voxledger.repository import round_tag
from voxledger.textfile import replace_text


@dataclass(frozen=True)
class Manifest:
    """What a manifest says of its version."""

    dataset: str
    round: int
    version: str
    files: Mapping[str, str]
    """SHA-256 by path."""
    closed: Mapping[str, Any] | None = None
    """When the round was closed, and in which environment; None in older manifests."""
    ran: Mapping[str, Any] | None = None
    """When and in which environment the stages ran; None where nobody noted it."""
    times: Mapping[str, Any] | None = None
    """When bundles went out and came back; None in older manifests."""
    listed_folders: tuple[str, ...] | None = None
    """In format 1 `files` are some of the version's: nothing else lies in these folders. None: they are all of them."""

    @property
    def tags(self) -> tuple[str, str]:
        """Both tags of the version."""
        return round_tag(self.round), f"{self.dataset}@{self.version}"


def _only_some_files(values: dict[str, Any]) -> dict[str, Any]:
    return {**values, "listed_folders": values.get("folders", [])}


UPGRADES: tuple[Upgrade, ...] = (_only_some_files,)
"""1, which has no number: lists some files, and folders; 2: every file."""
FORMAT = len(UPGRADES) + 1


def read_manifest(content: bytes, what: str = layout.MANIFEST.as_posix()) -> Manifest:
    """Parse a manifest of any format so far.

    Parameters
    ----------
    what
        Names it in errors.

    Raises
    ------
    Misuse
        It is of a newer format.
    VoxledgerError
        It is damaged.
    """
    try:
        values = upgraded(dict(json.loads(content)), UPGRADES, what)
        folders = values.get("listed_folders")
        return Manifest(
            dataset=str(values["dataset"]),
            round=int(values["round"]),
            version=str(values["version"]),
            files={str(name): str(digest) for name, digest in values["files"].items()},
            closed=values.get("closed"),
            ran=values.get("ran"),
            times=values.get("times"),
            listed_folders=None if folders is None else tuple(folders),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VoxledgerError(f"{what} is damaged: {error!r}", "restore it from git") from None


def write_manifest(path: Path, manifest: Manifest) -> None:
    """Write a manifest of every file of a version."""
    values = {
        "format": FORMAT,
        "dataset": manifest.dataset,
        "round": manifest.round,
        "version": manifest.version,
        "closed": manifest.closed,
        "ran": manifest.ran,
        "times": manifest.times,
        "files": dict(manifest.files),
    }
    # Names stay readable: docs/auditors.md makes a list for sha256sum of these lines.
    replace_text(path, json.dumps(values, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
