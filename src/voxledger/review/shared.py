"""A folder that curator and reviewer both reach: a network share, a synchronised folder, a stick that goes round."""

from __future__ import annotations

import hashlib
import os
import stat
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import IO

from voxledger.disk import disk_failure
from voxledger.errors import BundleRefused, Misuse, VoxledgerError, Waiting
from voxledger.records.bundle import is_junk, is_text, list_files
from voxledger.review.archives import MOST_FILES
from voxledger.review.carrier import BUNDLE, CHUNK, MOST_UPLOADS, RETURN, Upload, Where
from voxledger.review.pack import write_zip


class SharedFolder:
    """The folders of reviewers below a place of this machine."""

    def __init__(self, where: Where) -> None:
        self.root = Path(where.place)
        if not self.root.is_absolute():
            raise Misuse(
                f"{where.text} is no whole path, so another clone would look elsewhere",
                f"begin it with a slash: {where.carrier}:{Path.cwd() / self.root}",
            )
        if not self.root.is_dir():
            raise Misuse(f"{self.root} is no folder here", "make it, or mount the disk that it is on")

    def prepare(self, reviewer: str) -> tuple[Path, Path]:
        """The folders `bundle` and `return` of a reviewer, made where they are missing."""
        folders = self._folder(reviewer, BUNDLE), self._folder(reviewer, RETURN)
        for folder in folders:
            folder.mkdir(parents=True, exist_ok=True)
        return folders

    @staticmethod
    def occupied(target: Path, back: Path) -> VoxledgerError:
        """The error where something else lies in the place of a bundle."""
        return VoxledgerError(
            f"{target} is there already, and is not what is sent: somebody may have worked in it, or sent it back",
            f"if it is a review, move it into {back} and fetch it; else move it away; then send again",
        )

    def uploads(self, reviewer: str) -> list[Upload]:
        """What lies in `return`: archives and folders."""
        folder = self._folder(reviewer, RETURN)
        names = [path.name for path in folder.iterdir() if not is_junk(path.name)] if folder.is_dir() else []
        if len(names) > MOST_UPLOADS:
            raise BundleRefused(f"{folder} holds {len(names)} files", "move what is no return out of it")
        found = []
        for name in names:
            with suppress(FileNotFoundError):  # moved away just now
                found.append((max(_times(folder / name)), name, _upload(folder / name)))
        return [upload for _, _, upload in sorted(found, key=lambda one: one[:2])]

    def read(self, reviewer: str, upload: Upload, offset: int) -> Iterator[bytes]:
        """A file as it is, a folder as a zip."""
        path = self._folder(reviewer, RETURN) / upload.name
        if not path.is_symlink() and path.is_dir():
            names = list_files(path)
            if odd := [name for name in names if not is_text(name)]:
                raise BundleRefused(f"{str(path)!r}: {odd[0]!r} is no name in UTF-8", "rename or remove that file")
            files = {f"{RETURN}/{name}": partial(_open_plain, path / name) for name in names}
            with tempfile.TemporaryDirectory(prefix="voxledger-") as place:
                write_zip(Path(place) / "return.zip", files)
                yield from _blocks(Path(place) / "return.zip", offset)
        else:
            yield from _blocks(path, offset)
        if _upload(path) != upload:
            raise Waiting(f"{str(path)!r} is still being written", "fetch again in a moment")

    def _folder(self, reviewer: str, name: str) -> Path:
        """A folder of a reviewer, which leads nowhere else."""
        folder = self.root / reviewer / name
        for place in (folder.parent, folder):
            if place.is_symlink():
                raise BundleRefused(
                    f"{place} is a link", "put a folder in its place: nothing is read or written behind it"
                )
        return folder


def _upload(path: Path) -> Upload:
    if path.is_symlink() or not path.is_dir():
        status = path.lstat()
        return Upload(path.name, status.st_size, f"{status.st_size}-{status.st_mtime_ns}")
    names = list_files(path)
    if len(names) > MOST_FILES:
        raise BundleRefused(f"{str(path)!r} holds {len(names)} files", "put the returned bundle alone there")
    found = [(name, (path / name).lstat()) for name in names]
    said = "\0".join(f"{name}\0{status.st_size}\0{status.st_mtime_ns}" for name, status in found)
    version = hashlib.sha256(said.encode("utf-8", "surrogateescape")).hexdigest()
    return Upload(path.name, sum(status.st_size for _, status in found), version)


def _times(path: Path) -> list[int]:
    files = [path / name for name in list_files(path)] if path.is_dir() and not path.is_symlink() else []
    return [path.lstat().st_mtime_ns, *(file.lstat().st_mtime_ns for file in files)]


def _blocks(path: Path, offset: int) -> Iterator[bytes]:
    with _open_plain(path) as stream:
        stream.seek(offset)
        while block := stream.read(CHUNK):
            yield block


def _open_plain(path: Path) -> IO[bytes]:
    """Open a plain file that somebody else put there; no link is followed, and no pipe waited for."""
    try:
        handle = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except FileNotFoundError:
        raise Waiting(f"{str(path)!r} was moved away while it was read", "fetch again in a moment") from None
    except OSError as error:
        if disk_failure(error) is not None:
            raise
        raise _no_plain_file(path) from None
    if not stat.S_ISREG(os.fstat(handle).st_mode):
        os.close(handle)
        raise _no_plain_file(path)
    return os.fdopen(handle, "rb")


def _no_plain_file(path: Path) -> BundleRefused:
    return BundleRefused(f"{str(path)!r} is a link or no plain file", "put the returned bundle itself there")
