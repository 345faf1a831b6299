"""The inbox as part of a version: returns go under DVC, and none that is in no version is ever cleared away."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

from voxledger import layout
from voxledger.bundles.inbox import untracked
from voxledger.errors import VoxledgerError
from voxledger.repository import dvc_add, dvc_output, file_at
from voxledger.textfile import read_text


def track_inbox() -> None:
    """Put every returned bundle under DVC, so that it is in the version as it came."""
    folders = [p for p in sorted(layout.INBOX.glob("bundle-[!.]*")) if p.is_dir()]
    if folders:
        dvc_add(*folders)


def is_tracked_whole() -> bool:
    """Whether every return is under DVC by a file that does not break off; what DVC says of the others is for it."""
    return not untracked(layout.INBOX) and all(
        path.read_bytes().endswith(b"\n") for path in layout.returned() if path.suffix == ".dvc"
    )


def require_all_tracked() -> None:
    """Raise if a return was copied into the inbox by hand, and no run of the round has seen it."""
    if copied := untracked(layout.INBOX):
        raise VoxledgerError(
            f"{', '.join(p.as_posix() for p in copied)} is not under DVC, where `voxledger review receive` would have "
            "put it, so the round cannot be frozen with it",
            "run `voxledger round run`: it puts this under DVC and repeats gate and import alone; then "
            "`voxledger round close`",
        )


def require_nothing_came_late(tag: str) -> None:
    """Raise if somebody's work lies in the inbox or the bundles that is not in the closed version: both are cleared."""
    late, kept = [], []
    for path in layout.returned():
        dvc_file = layout.dvc_file(path)
        if path.is_dir() and dvc_file.is_file() and read_text(dvc_file) == file_at(tag, dvc_file):
            kept.append(dvc_file.as_posix())
        elif path.is_dir() or path.suffix != ".dvc":
            late.append(path.as_posix())
    if kept:
        late += [name.removesuffix(".dvc") for name in json.loads(dvc_output("status", "--json", *kept))]
    if late:
        raise VoxledgerError(
            f"{', '.join(late)} came or was changed after {tag} was closed, and is in no version",
            f"move it out of {layout.INBOX} and keep it, it is somebody's work: its labels can be put into a bundle of "
            "a later round that asks for the same cases. Then `voxledger round open` again",
        )
    sent = [place for place in (layout.BUNDLES, layout.ADJUDICATION) if place.exists()]
    if changed := [name for place in sent for name in _changed_in(place)]:
        places = " ".join(map(str, sent))
        shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise VoxledgerError(
            f"changed or added since {tag} was closed, and in no version: {shown}",
            f"keep a copy elsewhere if it is somebody's work, then `dvc checkout --force {places}` and "
            "`voxledger round open` again",
        )


def brought_in() -> list[Path]:
    """What people sent and somebody put into the inbox: folders of bundles, and archives of any name; sorted."""
    items = sorted(layout.INBOX.iterdir()) if layout.INBOX.is_dir() else []
    folders = [p for p in layout.returned() if p.is_dir()]
    return sorted({*folders, *(p for p in items if p.suffix.lower() == ".zip")})


def clear() -> None:
    """Remove the returns and bundles of a closed round; `require_nothing_came_late` comes first."""
    for bundle in layout.returned():
        remove_at_once(bundle) if bundle.is_dir() else bundle.unlink()
    remove_at_once(layout.BUNDLES)
    remove_at_once(layout.ADJUDICATION)


def _changed_in(folder: Path) -> list[str]:
    """Files in a folder under DVC that were changed or added, by content, sorted."""
    found = json.loads(dvc_output("data", "status", "--granular", "--json"))
    names = {n for k in ("modified", "added", "unknown") for n in found.get("uncommitted", {}).get(k, [])}
    return sorted(n for n in names if n.startswith(f"{folder.as_posix()}/") and not n.endswith("/"))


def remove_at_once(folder: Path) -> None:
    """Remove a folder so that a kill leaves the whole of it or nothing: what is there is what somebody put there."""
    away = Path(".dvc/tmp/voxledger-cleared")
    shutil.rmtree(away, ignore_errors=True)
    if folder.exists():
        away.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, away)
        shutil.rmtree(away)
