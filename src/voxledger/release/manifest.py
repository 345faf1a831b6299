"""Making the manifest of the working tree: SHA-256 of every file that makes the version."""

from __future__ import annotations

import json
from pathlib import Path

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import file_sha256
from voxledger.records import manifest as record
from voxledger.records.manifest import Manifest
from voxledger.release.committed import tracked
from voxledger.release.environment import environment
from voxledger.release.times import now, run_of, times_of
from voxledger.repository import dvc_output


def files_of_version() -> list[str]:
    """Every file that git or DVC brings into a clone of the version, but the manifest and what is made of it; sorted.

    Raises
    ------
    VoxledgerError
        One of them is a link, or its name would need quoting in lists of files.
    """
    in_dvc = {entry["path"] for entry in json.loads(dvc_output("list", ".", "--recursive", "--dvc-only", "--json"))}
    in_git = set(tracked()) - {path.as_posix() for path in layout.NOT_IN_MANIFEST}
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
    manifest = Manifest(
        dataset,
        round_number,
        release,
        files={name: file_sha256(name) for name in files_of_version()},
        closed={"at": now(), "environment": environment()},
        ran=run_of(round_number),
        times=times_of(round_number),
    )
    record.write_manifest(layout.MANIFEST, manifest)
