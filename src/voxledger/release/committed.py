"""Files as a commit holds them, read from git's objects and never from its index, whose flags can hide a change."""

from __future__ import annotations

import hashlib
import io
import os
import tempfile
from dataclasses import dataclass
from pathlib import Path

from voxledger.errors import VoxledgerError
from voxledger.repository import run_tool

_FILE_MODES = ("100644", "100755")


@dataclass(frozen=True)
class Blob:
    """One entry of a commit's tree: git's mode and object id."""

    mode: str
    id: str

    @property
    def is_file(self) -> bool:
        """Whether it is a plain file, neither a link nor a submodule."""
        return self.mode in _FILE_MODES


def commit_at(revision: str) -> str:
    """The commit that a revision names; empty where it names none that is here."""
    return (_git("rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}") or b"").decode().strip()


def committed(commit: str) -> dict[str, Blob]:
    """Every path that a commit holds.

    Raises
    ------
    VoxledgerError
        Git cannot read all of it.
    """
    listed = _git("ls-tree", "-r", "-z", "--full-tree", commit)
    if listed is None:
        raise VoxledgerError(
            f"git cannot read all of commit {commit[:12]}: objects in .git are damaged or missing",
            "`git fsck` names them; make a fresh clone",
        )
    found = {}
    for line in split_names(listed):
        head, _, name = line.partition("\t")
        mode, _, blob = head.split()
        found[name] = Blob(mode, blob)
    return found


def content_at(commit: str, path: Path | str) -> bytes | None:
    """Content of a file in a commit; None where it holds none."""
    return _git("cat-file", "blob", f"{commit}:{path}")


def tag_object(tag: str) -> bytes | None:
    """The annotated tag that a tag's name leads to; None for a name that leads straight to a commit."""
    return _git("cat-file", "tag", f"refs/tags/{tag}")


def is_content(content: bytes | Path, blob: Blob) -> bool:
    """Whether bytes, or those of a file, are a blob's."""
    digest = hashlib.sha256() if len(blob.id) == 64 else hashlib.sha1(usedforsecurity=False)
    size = len(content) if isinstance(content, bytes) else content.stat().st_size
    digest.update(f"blob {size}\0".encode())
    with io.BytesIO(content) if isinstance(content, bytes) else open(content, "rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest() == blob.id


def not_as_committed(commit: str) -> list[str]:
    """Paths of a commit that are not plain files here with the very bytes that it holds."""
    return [
        name
        for name, blob in sorted(committed(commit).items())
        if not (blob.is_file and Path(name).is_file() and not Path(name).is_symlink() and is_content(Path(name), blob))
    ]


def tracked() -> list[str]:
    """Paths that `git add --all` and a commit would keep."""
    listed = _git("ls-files", "-z", "--cached", "--others", "--exclude-standard") or b""
    return sorted({name for name in split_names(listed) if os.path.lexists(name)})


def ignored(gitignore: Blob | None) -> list[str]:
    """Paths here that a version's own .gitignore excludes, whole folders with a slash at the end.

    Nothing else counts: neither the .gitignore that lies here nor those in folders, nor lists or settings of git's.
    """
    if gitignore is None:
        return []
    with tempfile.TemporaryDirectory() as folder:
        patterns = Path(folder) / "patterns"
        patterns.write_bytes(_git("cat-file", "blob", gitignore.id) or b"")
        # Without an index, whose caches and flags could say otherwise.
        listed = _git(
            *("-c", "core.ignoreCase=false", "ls-files", "-z", "--others", "--ignored", "--directory"),
            f"--exclude-from={patterns}",
            GIT_INDEX_FILE=str(Path(folder) / "none"),
        )
    return split_names(listed or b"")


def split_names(listed: bytes) -> list[str]:
    """Names out of git's `-z` lists, whatever their encoding."""
    return [os.fsdecode(name) for name in listed.split(b"\0") if name]


def _git(*args: str, **environment: str) -> bytes | None:
    # Replacements (refs/replace) would show other objects than the ones that were signed. The rest keeps settings of
    # the clone from leading git to other files, and from naming commands for git to run, as to fetch lost objects.
    here = ("--no-replace-objects", "--git-dir=.git", "--work-tree=.")
    nothing_runs = ("-c", "core.fsmonitor=false", "-c", f"core.hooksPath={os.devnull}")
    done = run_tool("git", *here, *nothing_runs, *args, more={"GIT_ALLOW_PROTOCOL": "", **environment})
    return done.stdout if done.returncode == 0 else None
