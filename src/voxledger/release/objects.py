"""DVC's objects by place: the cache, and every remote, as DVC itself opens them."""

from __future__ import annotations

import json
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

    def there(self, objects: Iterable[str]) -> set[str]:
        """Those of some objects that lie here."""
        asked = sorted(objects)
        return set(self.database.oids_exist(asked)) if asked else set()

    def remove(self, objects: Iterable[str]) -> int:
        """Remove objects, where they are here; returns how many were."""
        there = self.there(objects)
        for oid in sorted(there):
            self.database.delete(oid)
        return len(there)

    def folders(self) -> set[str]:
        """All that list a folder here, of whatever version, or of none."""
        return {oid for oid in self.database.all() if oid.endswith(FOLDER)}

    def listing(self, folder: str) -> Listing | None:
        """What the object of a folder lists here; None where it is not here, or cannot be read."""
        with suppress(OSError, ValueError, LookupError, TypeError):
            content = self.database.fs.cat_file(self.database.oid_to_path(folder))
            return tuple(sorted(((e["md5"], e["relpath"]) for e in json.loads(content)), key=lambda e: e[1]))
        return None

    def list_anew(self, folder: str, files: Listing) -> None:
        """Let the object of a folder list other files, under its old name: that is the name that versions know.

        As DVC writes them, and read-only in the cache: DVC hashes what is not, and throws this away.
        """
        content = json.dumps([{"md5": oid, "relpath": path} for oid, path in files]).encode()
        target, fs = self.database.oid_to_path(folder), self.database.fs
        if fs.protocol != "local":
            fs.pipe_file(target, content)
            return
        partial = Path(f"{target}.tmp")
        partial.write_bytes(content)
        partial.chmod(0o444)
        partial.replace(target)


def places() -> tuple[list[Place], Path]:
    """Every remote that is configured here, the cache last, and the folder in which DVC notes what lies where.

    Raises
    ------
    VoxledgerError
        A remote keeps versions of its own (`version_aware`), which stay when an object is removed.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    from voxledger.errors import VoxledgerError

    with Repo() as repository:
        found = []
        for name in sorted(repository.config["remote"]):
            try:
                found.append(Place(f"remote {name}", repository.cloud.get_remote_odb(name, "withdraw purge")))
            except DvcException as error:
                raise VoxledgerError(f"remote {name} cannot be used: {error}", "mend it, or take it out") from None
        found.append(Place("cache", repository.cache.local))
        return found, Path(repository.site_cache_dir)


def union(listings: Iterable[Listing | None]) -> Listing:
    """What a folder holds, by all that list it: where a file was taken out of one, others may still know it."""
    return tuple(sorted({entry for one in listings if one is not None for entry in one}, key=lambda e: e[1]))


def without(listing: Listing, paths: Collection[str]) -> Listing:
    """A listing without some of its paths."""
    return tuple(entry for entry in listing if entry[1] not in paths)
