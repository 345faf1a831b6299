"""The manifest of a version: SHA-256 of every file that makes it."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import file_sha256
from voxledger.release.committed import tracked
from voxledger.release.environment import environment
from voxledger.release.times import now, run_of, times_of
from voxledger.repository import dvc_output, round_tag
from voxledger.textfile import replace_text

FORMAT = 2
"""1, or no number: lists only some files; 2: every file."""


@dataclass(frozen=True)
class Manifest:
    """What a manifest says of its version."""

    format: int
    dataset: str
    round: int
    version: str
    files: dict[str, str]
    """SHA-256 by path."""
    folders: tuple[str, ...]
    """Format 1 only: nothing but the files listed lies in these."""

    @property
    def tags(self) -> tuple[str, str]:
        """Both tags of the version."""
        return round_tag(self.round), f"{self.dataset}@{self.version}"


def files_of_version() -> list[str]:
    """Every file that git or DVC brings into a clone of the version, but the manifest and its signature; sorted.

    Raises
    ------
    VoxledgerError
        One of them is a link, or its name would need quoting in lists of files.
    """
    in_dvc = {entry["path"] for entry in json.loads(dvc_output("list", ".", "--recursive", "--dvc-only", "--json"))}
    in_git = set(tracked()) - {layout.MANIFEST.as_posix(), layout.SIGNATURE.as_posix()}
    # DVC links files into its cache where it is told to; git's links could lead anywhere.
    links = sorted(name for name in in_git if not Path(name).is_file() or Path(name).is_symlink())
    if links:
        raise VoxledgerError(
            f"{', '.join(links[:10])}: a version holds plain files, no links and no submodules",
            "put the file itself in its place, or take it out of git",
        )
    odd = sorted(name for name in in_git | in_dvc if not name.isprintable() or "\\" in name or '"' in name)
    if odd:
        raise VoxledgerError(
            f"{', '.join(map(repr, odd[:10]))}: a name with quotes, backslashes or unprintable characters would be "
            "misread in lists of files",
            "rename it",
        )
    return sorted(in_git | in_dvc)


def write_manifest(dataset: str, round_number: int, release: str) -> None:
    """Write the manifest of the working tree, as DVC recorded it: its files, with what it was made, and when."""
    manifest = {
        "format": FORMAT,
        "dataset": dataset,
        "round": round_number,
        "version": release,
        "closed": {"at": now(), "environment": environment()},
        "ran": run_of(round_number),
        "times": times_of(round_number),
        "files": {name: file_sha256(name) for name in files_of_version()},
    }
    # Names stay readable: docs/auditors.md makes a list for sha256sum of these lines.
    replace_text(layout.MANIFEST, json.dumps(manifest, indent=1, sort_keys=True, ensure_ascii=False) + "\n")
    layout.SIGNATURE.unlink(missing_ok=True)


def read_manifest(content: bytes) -> Manifest:
    """Parse a manifest of any format so far.

    Raises
    ------
    VoxledgerError
        It is damaged, or of a format that this version of voxledger does not know.
    """
    try:
        values = json.loads(content)
        manifest = Manifest(
            int(values.get("format", 1)),
            str(values["dataset"]),
            int(values["round"]),
            str(values["version"]),
            {str(name): str(digest) for name, digest in values["files"].items()},
            tuple(values.get("folders", ())),
        )
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise VoxledgerError(f"{layout.MANIFEST} is damaged: {error!r}", "restore it from git") from None
    if manifest.format > FORMAT:
        raise Misuse(
            f"{layout.MANIFEST} has format {manifest.format}, and this voxledger reads at most {FORMAT}",
            "update voxledger",
        )
    return manifest
