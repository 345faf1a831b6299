"""Work that somebody did in the bundles that went out, instead of in a copy: kept in the inbox, and taken in."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from voxledger.bundles.inbox import EDITED
from voxledger.bundles.untouched import touched
from voxledger.errors import DiskFailed, VoxledgerError
from voxledger.imaging.volume import file_sha256
from voxledger.params import Outside
from voxledger.records.bundle import is_returned, list_files
from voxledger.review.receive import receive


@dataclass(frozen=True)
class Rescued:
    """One bundle that was worked on where it lay."""

    name: str
    """Of the bundle, or of a file that lay beside them."""
    kept: Path
    """A copy of all of it, or of the file that lay beside the bundles."""
    counts: Path | None
    """The return that it is now, or a part of; None where nobody reviewed in it, or where it cannot be taken in."""
    why: str = ""
    """Why it cannot."""
    sha256: str = ""
    """Identity of that return."""


def rescue(
    bundles: Path, inbox: Path, round_number: int, bring_back: Callable[[], None], outside: Outside = "unchanged"
) -> list[Rescued]:
    """Keep what was changed or added in the bundles that went out, bring those back, and take in what is a review.

    Nothing is brought back before all of it is kept, byte for byte.

    Parameters
    ----------
    bundles, inbox, round_number, outside
        As in `voxledger.review.receive.receive`.
    bring_back
        Makes the bundles what went out.

    Raises
    ------
    VoxledgerError
        The copy is not what was copied.
    """
    files = touched(bundles, every_byte=True)
    by_name: dict[str, list[str]] = {}
    for file in files:
        relative = file.relative_to(bundles)
        by_name.setdefault(relative.parts[0], []).append(Path(*relative.parts[1:]).as_posix())
    kept = {name: _keep(bundles / name, inbox) for name in by_name}
    if not kept:
        return []
    bring_back()
    found = []
    for name, paths in by_name.items():
        counts, why, sha256 = None, "", ""
        if kept[name].is_dir() and any(is_returned(path) for path in paths):
            try:
                received = receive(kept[name], bundles, inbox, round_number, outside=outside)
                counts, sha256 = received.folder, received.sha256
            except DiskFailed:
                raise
            except VoxledgerError as error:
                why = error.problem
        found.append(Rescued(name, kept[name], counts, why, sha256))
    return found


def _keep(source: Path, inbox: Path) -> Path:
    """Copy a folder or file into the inbox under a name that nothing has."""
    number, target = 1, inbox / f"{source.name}{EDITED if source.is_dir() else ''}{1 if source.is_dir() else ''}"
    while target.exists():
        number += 1
        target = target.with_name(f"{source.name}{EDITED}{number}")
    inbox.mkdir(parents=True, exist_ok=True)
    if not source.is_dir():
        shutil.copyfile(source, target)
        return target
    shutil.copytree(source, target, symlinks=True)
    for path in list_files(source):
        if (source / path).is_file() and file_sha256(source / path) != file_sha256(target / path):
            problem = f"{source / path} changes while it is copied"
            raise VoxledgerError(problem, "run this again once nobody writes there")
    return target
