"""Whether the inbox holds the returns that git has: `git pull` brings their small files, `dvc pull` the returns."""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections import defaultdict
from pathlib import Path

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.records.bundle import PREFIX
from voxledger.repository import git, run_tool
from voxledger.textfile import read_json


def require_pulled(inbox: Path) -> None:
    """Raise if a return that git has is not here, or here as an earlier commit has it: it would be taken back.

    What no commit of this clone has is somebody's new work, and passes. An earlier return does not pass by a changed
    `.dvc` file, as that is what `dvc repro` makes of it before the gate can stop it, but by one that is committed.
    """
    dvc_files = sorted(inbox.glob(f"{PREFIX}*.dvc"))
    committed = _committed(inbox) if dvc_files else {}
    known = [path for path in dvc_files if path.name in committed]
    missing = [path for path in known if not _has_files(path.with_suffix(""))]
    history = _history(inbox) if known else {}
    earlier = [
        path
        for path in known
        if path not in missing
        if (older := history[path.name] - {committed[path.name]})
        if (content := _md5(path.with_suffix(""))) != _output(committed[path.name])
        if content in {_output(blob) for blob in older}
    ]
    if missing or earlier:
        said = [f"{_names(missing)}: git has this return, but it is not here"] if missing else []
        said += [f"{_names(earlier)}: git has another return than the earlier one that is here"] if earlier else []
        meant = [f"`rm` the .dvc file of one that you moved out of {inbox} on purpose"] if missing else []
        meant += ["`dvc add` an earlier one that is to count, and commit its .dvc file"] if earlier else []
        changed = [p for p in earlier if git("hash-object", p).strip() != committed[p.name]]
        restore = f"git restore --staged --worktree {_listed(changed)} && " if changed else ""
        raise VoxledgerError(
            "; ".join(said),
            f"`{restore}dvc pull {_listed([*missing, *earlier])}` brings it (`dvc push` comes first, where it was "
            f"received; without a remote, `dvc checkout`), then run this again; or {', or '.join(meant)}",
        )


def why_not_as_received(folder: Path, sha256: str) -> tuple[str, str] | None:
    """What is wrong with a return of which no version was ever received, and what to do; None where one was.

    Parameters
    ----------
    folder
        In the inbox, by the name of its bundle.
    sha256
        Identity of what lies there, see `records.bundle.content_sha256`.
    """
    note = layout.return_note(folder.name)
    receipts = read_json(note, "receipts")["receipts"] if note.is_file() else []
    if not receipts or sha256 in {one["sha256"] for one in receipts}:
        return None
    problem = "is not what was received: somebody changed it where it lies, or `dvc pull` was cut short"
    back = _brought_back(folder, layout.dvc_file(folder))
    as_it_is = f"`voxledger review receive {folder.as_posix()}` says that it counts as it is"
    return problem, f"move it out of {folder.parent}, it may be somebody's work, and {back}; or {as_it_is}"


def _brought_back(folder: Path, dvc_file: Path) -> str:
    """How what was received comes back, once what lies there was moved away."""
    if not git("ls-tree", "HEAD", "--", dvc_file, check=False).strip():
        if not dvc_file.is_file() or _md5(folder) in dvc_file.read_text("utf-8"):
            # DVC knows no more what came, and git never did.
            return "take in again what came (`voxledger review fetch`, or `voxledger review receive FILE`)"
        return f"`dvc checkout {dvc_file}` brings back what was received"
    changed = bool(git("diff", "--name-only", "HEAD", "--", dvc_file, check=False).strip())
    restore = f"git restore --staged --worktree {dvc_file} && " if changed else ""
    return f"`{restore}dvc checkout {dvc_file}`, in a clone `dvc pull {dvc_file}`, brings back what was received"


def _listed(paths: list[Path]) -> str:
    return " ".join(path.as_posix() for path in sorted(paths))


def _names(dvc_files: list[Path]) -> str:
    return ", ".join(path.with_suffix("").as_posix() for path in dvc_files)


def _has_files(folder: Path) -> bool:
    return any(path.is_file() for path in folder.rglob("*"))


def _committed(inbox: Path) -> dict[str, str]:
    """The blobs of the inbox in the commit that is checked out, by name of the file."""
    listed = git("ls-tree", "-z", "HEAD", f"{inbox.as_posix()}/", check=False).split("\0")
    entries = [entry.split("\t", 1) for entry in listed if entry]
    return {Path(path).name: mode_type_blob.split()[2] for mode_type_blob, path in entries}


def _history(inbox: Path) -> dict[str, set[str]]:
    """All blobs that each file of the inbox ever was, in what led to this commit and what was checked out here before.

    The latter (git's reflog) is all that a shallow clone, or a rewritten history, leaves.
    """
    had = git("log", "--walk-reflogs", "--format=%H", "HEAD", check=False)
    form = ("--format=", "--raw", "-z", "-m", "--no-abbrev", "--no-renames", "--full-history", "--ignore-missing")
    command = ("git", "-c", "log.showRoot=true", "log", *form, "--stdin", "--", inbox.as_posix())
    done = run_tool(*command, text=f"HEAD\n{had}".encode())
    found: dict[str, set[str]] = defaultdict(set)
    for change, path in re.findall(r":([^\0]+)\0([^\0]+)\0", done.stdout.decode("utf-8", "surrogateescape")):
        found[Path(path).name].update(blob for blob in change.split()[2:4] if blob.strip("0"))
    return found


def _output(blob: str) -> str:
    """What a `.dvc` file in git says of the content of its folder."""
    found = re.search(r"\bmd5: ([0-9a-f]{32}\.dir)\b", git("cat-file", "blob", blob))
    return found[1] if found else ""


def _md5(folder: Path) -> str:
    """The same of a folder that is here: the MD5 of the list of its files, as DVC writes it."""
    files = {}
    for place, _, names in os.walk(folder, followlinks=True):
        for path in (Path(place) / name for name in names):
            if path.is_file():
                with path.open("rb") as stream:
                    files[path.relative_to(folder).as_posix()] = hashlib.file_digest(stream, "md5").hexdigest()
    listed = [{"md5": files[name], "relpath": name} for name in sorted(files)]
    return f"{hashlib.md5(json.dumps(listed, sort_keys=True).encode()).hexdigest()}.dir"
