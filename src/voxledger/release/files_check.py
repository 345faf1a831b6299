"""Files that lie here against those of a version: altered, replaced, missing, or not part of it."""

from __future__ import annotations

import hashlib
import os
import shlex
import stat
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from voxledger import layout
from voxledger.casemap.each import bytes_of, each
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import file_sha256
from voxledger.records.manifest import Manifest
from voxledger.release.committed import Blob, ignored, is_content
from voxledger.repository import dvc_output

WORKING = (
    *(".git", ".dvc/cache", ".dvc/tmp", ".dvc/config.local"),
    *(folder.as_posix() for folder in (layout.PREDICTIONS, layout.LATE, layout.FETCHED)),
)
"""What git, DVC and the stages keep beside a version: nothing of it is part of one."""


@dataclass
class Findings:
    """What is not as released."""

    problems: list[str] = field(default_factory=list)
    """Each begins with the file."""
    missing: list[str] = field(default_factory=list)
    """Files that are not here, sorted."""
    converted: list[str] = field(default_factory=list)
    """Files of git's with other line ends than the version has, and no other difference."""
    unusable: set[str] = field(default_factory=set)
    """Files of the version that are altered or missing."""
    checked: int = 0


def check_files(tree: Mapping[str, Blob], manifest: Manifest | None) -> Findings:
    """Compare what lies here with the manifest, and what git holds with the commit's own objects."""
    digests = manifest.files if manifest else {}
    names = sorted(digests.keys() | tree.keys())
    here = dict(_present(names, ignored(tree.get(layout.IGNORED.as_posix()))))
    found = Findings(checked=len(names))
    # Where `cache.type` is symlink, DVC puts links into its cache in the place of files.
    linked_by_dvc = any(stat.S_ISLNK(here.get(name, 0)) and name not in tree for name in names)
    cache = _cache() if linked_by_dvc else None
    links = set()
    expected = [_Expected(name, here[name], digests.get(name), tree.get(name), cache) for name in names if name in here]
    looked_at = each("verify files", _compare, expected, lambda e: e.name, bytes_of(e.name for e in expected))
    compared = {e.name: result for e, result in zip(expected, looked_at, strict=True)}
    for name in names:
        if name in here:
            problem, other_line_ends = compared[name]
            if other_line_ends:
                found.converted.append(name)
            elif problem:
                found.problems.append(f"{name}: {problem}")
        elif linked := next((p.as_posix() for p in PurePosixPath(name).parents if p.as_posix() in here), None):
            problem = f"{linked} is in the way"
            links.add(linked)
        elif Path(name).is_dir():
            problem = "" if name in tree and not tree[name].is_file else "is a folder, not the file"
            if problem:
                found.problems.append(f"{name}: {problem}")
        else:
            problem = None
        if problem is None:
            found.missing.append(name)
        if problem != "":
            found.unusable.add(name)
    found.problems += [f"{name}: {_what(name, here[name])}, not the folder of the version" for name in sorted(links)]
    own = {path.as_posix() for path in layout.NOT_IN_MANIFEST}
    if manifest and manifest.listed_folders is None:
        found.problems += [f"{name}: not in the manifest" for name in sorted(tree.keys() - digests.keys() - own)]
    extra = sorted(here.keys() - set(names) - links)
    if manifest and manifest.listed_folders is not None:
        extra = [n for n in extra if any(PurePosixPath(n).is_relative_to(f) for f in manifest.listed_folders)]
    for name in extra:
        link = f", {_what(name, here[name])}" if stat.S_ISLNK(here[name]) else ""
        found.problems.append(f"{name}: not part of the version{link}")
    return found


@dataclass(frozen=True)
class _Expected:
    """A file that lies here, and what it has to be."""

    name: str
    mode: int
    """That it has here."""
    digest: str | None
    """In the manifest."""
    blob: Blob | None
    """In the commit."""
    cache: Path | None
    """DVC's, where it may be a link into it."""


def _compare(file: _Expected) -> tuple[str | None, bool]:
    """What is wrong with a file, see `_difference`, and whether that is its line ends alone."""
    problem = _difference(file.name, file.mode, file.digest, file.blob, file.cache)
    return problem, bool(problem) and _has_other_line_ends(file.name, file.mode, file.digest, file.blob)


def bring(missing: Collection[str], tree: Collection[str]) -> str:
    """The one command that brings files that are not here; empty where nothing is missing."""
    in_git = [name for name in missing if name in tree]
    commands = []
    if in_git:
        paths = " ".join(map(shlex.quote, sorted({_absent(name) for name in in_git})))
        commands.append(f"git restore --ignore-skip-worktree-bits --source=HEAD -- {paths}")
    if len(in_git) < len(missing):
        commands.append("dvc pull")
    return " && ".join(commands)


def _absent(name: str) -> str:
    """A file that is not here, or the whole folder if that is not here either: no file that is here lies in it."""
    folders = [p.as_posix() for p in reversed(PurePosixPath(name).parents)][1:]
    return next((folder for folder in folders if not os.path.lexists(folder)), name)


def _cache() -> Path:
    try:
        return _led_to(dvc_output("cache", "dir").strip())
    except VoxledgerError:  # without .dvc, which is then missing, too
        return _led_to(".dvc/cache")


def _present(names: Collection[str], ignored: Collection[str]) -> Iterator[tuple[str, int]]:
    """Every file, link or other thing here but folders, with its mode; links are not followed."""
    top = {name.split("/")[0] for name in names}
    # Whole top-level folders that the version itself excludes, such as .memo; never what Python would run.
    skipped = {name.rstrip("/") for name in ignored} - top
    skipped = {n for n in skipped if "/" not in n and n != "__pycache__" and not n.endswith(".pyc")}
    skipped |= {folder for folder in WORKING if not any(name.startswith(f"{folder}/") for name in names)}
    folders = [""]
    while folders:
        folder = folders.pop()
        for entry in sorted(os.scandir(folder or "."), key=lambda e: e.name):
            name = f"{folder}{entry.name}"
            if name in skipped:
                continue
            if entry.is_dir(follow_symlinks=False):
                folders.append(f"{name}/")
            else:
                yield name, entry.stat(follow_symlinks=False).st_mode


def _difference(name: str, mode: int, digest: str | None, blob: Blob | None, cache: Path | None) -> str | None:
    """What is wrong with a file; empty if nothing is, None for a link into DVC's cache, which lacks the file."""
    path = Path(name)
    if blob is not None and not blob.is_file:
        link = stat.S_ISLNK(mode) and is_content(os.readlink(os.fsencode(name)), blob)  # noqa: PTH115
        return "" if link else "not what the tag holds"
    linked_by_dvc = stat.S_ISLNK(mode) and blob is None and cache is not None and _led_to(path).is_relative_to(cache)
    if linked_by_dvc and not path.exists():
        return None
    if not stat.S_ISREG(mode) and not (linked_by_dvc and path.is_file()):
        return f"{_what(name, mode)}, not the file of the version"
    if digest is not None and file_sha256(path) != digest:
        return "altered, its SHA-256 is not the one in the manifest"
    if blob is not None and not is_content(path, blob):
        return "altered, it is not the file that the tag holds"
    return ""


def _has_other_line_ends(name: str, mode: int, digest: str | None, blob: Blob | None) -> bool:
    """Whether git made a file what it is by writing CR LF for every LF, as for `core.autocrlf`."""
    if blob is None or not blob.is_file or not stat.S_ISREG(mode):
        return False
    content = Path(name).read_bytes()
    plain = content.replace(b"\r\n", b"\n")
    converted = plain.replace(b"\n", b"\r\n") == content
    return converted and is_content(plain, blob) and digest in (None, hashlib.sha256(plain).hexdigest())


def _led_to(path: Path | str) -> Path:
    """Where links lead; unlike `Path.resolve`, of those that lead in a circle, too."""
    return Path(os.path.realpath(path))


def _what(name: str, mode: int) -> str:
    if stat.S_ISLNK(mode):
        return f"a link to {Path(name).readlink()}"
    return "a file" if stat.S_ISREG(mode) else "a pipe, socket or device"
