"""When bundles went out, when each return came, and what ran the round: small files in git on which no result depends.

One file a bundle, so that returns which two clones receive never meet in one file.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import file_sha256
from voxledger.repository import git
from voxledger.textfile import read_json_if_there, replace_text


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).isoformat(timespec="seconds")


def note_export(number: int) -> None:
    """Note that the bundles of a round are out; the first time counts."""
    path = layout.export_note(number)
    if path.is_file():
        git("add", "--", str(path))
        return
    # Of a round whose bundles went out before times were noted, git knows when.
    message = f"Bundles of round {number} go out"
    lines = [line.partition("\t") for line in git("log", "--format=%cI%x09%s", check=False).splitlines()]
    commits = [date for date, _, subject in lines if subject == message]
    at = datetime.fromisoformat(commits[-1]).astimezone(UTC).isoformat(timespec="seconds") if commits else now()
    _write(path, {"at": at})


def note_receipt(bundle: str, sha256: str) -> None:
    """Note that a return came in under the name of its bundle; the same return again changes nothing."""
    path = layout.return_note(bundle)
    receipts = _read(path)["receipts"] if path.is_file() else []
    if all(r["sha256"] != sha256 for r in receipts):
        _write(path, {"receipts": [*receipts, {"at": now(), "sha256": sha256}]})
    else:
        git("add", "--", str(path))


def note_run(number: int, environment: Callable[[], Mapping[str, Any]]) -> None:
    """Note which machine brought the round to the state that dvc.lock describes; whoever finds it so changes nothing.

    `environment` describes it, and is asked only where something is noted.

    Returns that were copied into data/inbox by hand, past `voxledger review receive`, are noted too.
    """
    for returned in (read_json_if_there(layout.RECEIVED, "bundles") or {"bundles": []})["bundles"]:
        note_receipt(returned["folder"], returned["sha256"])
    path, lock = layout.run_note(number), file_sha256(layout.LOCK)
    if not path.is_file() or _read(path)["dvc_lock"] != lock:
        _write(path, {"at": now(), "dvc_lock": lock, "environment": environment()})
    else:
        git("add", "--", str(path))


def times_of(number: int) -> dict[str, Any]:
    """When the bundles of a round went out, and when each of its returns came; None where nobody noted it."""
    export = layout.export_note(number)
    return {
        "first_export": _read(export)["at"] if export.is_file() else None,
        "receipts": {path.stem: _read(path)["receipts"] for path in layout.return_notes(number)},
    }


def run_of(number: int) -> dict[str, Any] | None:
    """What ran the round; None unless it is noted for the state that dvc.lock describes now."""
    path = layout.run_note(number)
    noted = _read(path) if path.is_file() and layout.LOCK.is_file() else None
    return noted if noted and noted["dvc_lock"] == file_sha256(layout.LOCK) else None


def _read(path: Path) -> dict[str, Any]:
    try:
        found: dict[str, Any] = json.loads(path.read_text("utf-8"))
        if not {"at", "receipts"} & found.keys():
            raise ValueError("neither a time nor receipts")
    except (OSError, ValueError, AttributeError) as error:
        raise VoxledgerError(
            f"{path} is damaged: {error}", f"restore it with `git checkout {path}`, or delete it"
        ) from None
    return found


def _write(path: Path, values: dict[str, Any]) -> None:
    replace_text(path, json.dumps(values, indent=1, sort_keys=True) + "\n")
    git("add", "--", str(path))
