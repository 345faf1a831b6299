"""DVC's objects by place: the cache, and every remote, as DVC itself opens them."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Collection, Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Listing = tuple[tuple[str, str], ...]
"""What the object of a folder lists: MD5 and path of every file, sorted by path."""
FOLDER = ".dir"
"""How the names of objects end that list a folder."""


@dataclass(frozen=True)
class Place:
    """Where objects lie."""

    name: str
    database: Any
    """DVC's `HashFileDB`."""
    folders: frozenset[str]
    """All that list a folder here, of whatever version, or of none."""
    alone: bool = False
    """Whether no other repository keeps objects here, as in the cache that lies in this one."""

    def there(self, objects: Iterable[str]) -> set[str]:
        """Those of some objects that lie here."""
        asked = sorted(objects)
        return set(self.database.oids_exist(asked)) if asked else set()

    def remove(self, objects: Iterable[str]) -> int:
        """Remove objects, where they are here; returns how many were.

        Raises what the remote's access raises, and `OSError` where it says that they went and they did not.
        """
        there = self.there(objects)
        for oid in sorted(there):
            self.database.delete(oid)
        if self.there(there):
            raise OSError("it does not let objects be removed")
        return len(there)

    def listing(self, folder: str) -> Listing | None:
        """What the object of a folder lists here; None where it is not here, or cannot be read."""
        if folder not in self.folders:
            return None
        content = self.database.fs.cat_file(self.database.oid_to_path(folder))
        with suppress(ValueError, LookupError, TypeError):
            return tuple(sorted(((e["md5"], e["relpath"]) for e in json.loads(content)), key=lambda e: e[1]))
        return None

    def list_anew(self, folder: str, files: Listing) -> None:
        """Let the object of a folder list other files, under its old name: that is the name that versions know.

        As DVC writes them, and read-only in the cache: DVC hashes what is not, and throws this away. Killed, it leaves
        the list as it was; what stores whole objects alone, as S3 does, needs no other name for that.
        """
        content = _as_bytes(files)
        target, fs = self.database.oid_to_path(folder), self.database.fs
        partial = f"{target}.tmp"
        if fs.protocol == "local":
            Path(partial).write_bytes(content)
            Path(partial).chmod(0o444)
            Path(partial).replace(target)
        elif fs.protocol == "ssh":
            fs.pipe_file(partial, content)
            fs.mv(partial, target)
        else:
            fs.pipe_file(target, content)

    def hashes_lists(self) -> bool:
        """Whether DVC, when it pulls from here, takes a list that was changed for damaged."""
        return self.database.fs.protocol != "local" and bool(self.database.verify)

    def kept_versions(self, objects: Iterable[str]) -> list[str]:
        """Commands that remove what is kept of objects that went, and of lists as they were before, one a version.

        A bucket of S3 may keep that, as far as it lets itself be asked. Raises what it raises if it does not list them.
        """
        if not self._keeps_versions():
            return []
        s3, found = self.database.fs.fs, list[str]()
        endpoint = s3.client_kwargs.get("endpoint_url")
        aws = ("aws", *(("--endpoint-url", endpoint) if endpoint else ()), "s3api", "delete-object")
        for oid in sorted(objects):
            bucket, _, key = self.database.oid_to_path(oid).partition("/")
            for one in s3.call_s3("list_object_versions", Bucket=bucket, Prefix=key).get("Versions", []):
                if one["Key"] == key and not (one["IsLatest"] and oid.endswith(FOLDER)):
                    of = ("--bucket", bucket, "--key", key, "--version-id", one["VersionId"])
                    found.append(shlex.join((*aws, *of)))
        return found

    def _keeps_versions(self) -> bool:
        if self.database.fs.protocol != "s3":
            return False
        with suppress(Exception):
            bucket = self.database.path.partition("/")[0]
            return bool(self.database.fs.fs.call_s3("get_bucket_versioning", Bucket=bucket).get("Status"))
        return False


@dataclass(frozen=True)
class Places:
    """Where this repository keeps objects."""

    found: list[Place]
    """Every remote that could be looked at, the cache last."""
    closed: dict[str, str]
    """Remotes that could not, and why."""
    notes: Path
    """The folder in which DVC notes what lies where, with names of files."""


def places() -> Places:
    """Look at the cache and every remote that is configured here."""
    from dvc.repo import Repo

    with Repo() as repository:
        found, closed = list[Place](), dict[str, str]()
        for name in sorted(repository.config["remote"]):
            try:
                found.append(_place(f"remote {name}", repository.cloud.get_remote_odb(name, "withdraw purge")))
            except Exception as error:  # each kind of remote has its own
                closed[f"remote {name}"] = said(error)
        cache = repository.cache.local
        alone = Path(cache.path).resolve().is_relative_to(Path(repository.root_dir).resolve())
        found.append(Place("cache", cache, _folders(cache), alone))
        return Places(found, closed, Path(repository.site_cache_dir))


def _place(name: str, database: Any) -> Place:
    if database.fs.protocol == "local" and not (root := Path(database.path).parents[1]).is_dir():
        raise FileNotFoundError(f"{root} is not here")  # DVC would call it empty
    return Place(name, database, _folders(database))


def _folders(database: Any) -> frozenset[str]:
    return frozenset(oid for oid in database.all() if oid.endswith(FOLDER))


def said(error: Exception) -> str:
    """What an error of a remote says, in a line."""
    return next(iter(str(error).strip().splitlines()), "") or type(error).__name__


def is_whole(folder: str, listing: Listing) -> bool:
    """Whether a list names all that the folder held: it is called by its MD5, and keeps that name once it is cut."""
    return hashlib.md5(_as_bytes(listing), usedforsecurity=False).hexdigest() == folder.removesuffix(FOLDER)


def _as_bytes(listing: Listing) -> bytes:
    """A list as DVC writes it."""
    return json.dumps([{"md5": oid, "relpath": path} for oid, path in listing]).encode()


def union(listings: Iterable[Listing | None]) -> Listing:
    """What a folder holds, by all that list it: where a file was taken out of one, others may still know it."""
    return tuple(sorted({entry for one in listings if one is not None for entry in one}, key=lambda e: e[1]))


def without(listing: Listing, paths: Collection[str]) -> Listing:
    """A listing without some of its paths."""
    return tuple(entry for entry in listing if entry[1] not in paths)
