"""The shape of a carrier: how a bundle gets to its reviewer, and what comes back to the curator.

A carrier is a module in `review/carriers/` with a function `connect(where)`: a context in which a `Connection` to the
place is open. All carriers have the same two folders a reviewer below the place:

    PLACE/alice/bundle/    what alice gets; she can read it
    PLACE/alice/return/    what she puts there is fetched, and left where it is

What a reviewer sends is an archive of any name; some carriers take folders as well. Nothing that lies in `return` is
ever changed or removed.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol
from urllib.parse import urlsplit

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.registry import CARRIERS
from voxledger.repository import dvc_remotes, keep_secrets_private

BUNDLE, RETURN = "bundle", "return"
"""Names of the two folders."""
CHUNK = 1 << 20
MOST_UPLOADS = 1_000
"""Entries in the `return` of one reviewer: more are an attack or a mistake."""


@dataclass(frozen=True)
class Where:
    """A place that both a curator and reviewers reach."""

    text: str
    """As it is written down: the name of a DVC remote, or `url`."""
    url: str
    """`CARRIER:PLACE`."""
    settings: Mapping[str, str]
    """Those of the DVC remote, by DVC's names, with secrets; none where a carrier was named."""

    @property
    def carrier(self) -> str:
        return self.url.partition(":")[0]

    @property
    def place(self) -> str:
        """What follows the carrier, such as `//bucket/prefix` or `/media/stick`."""
        return self.url.partition(":")[2]


@dataclass(frozen=True)
class Lines:
    """What a reviewer has to do, each in one line that works without git, DVC, Python or voxledger."""

    get: str
    """To get the bundle."""
    give: str
    """To send the return."""
    until: datetime | None = None
    """When they expire; None: never."""
    secret: bool = False
    """Whether they are all that somebody needs: whoever has them is the reviewer."""
    by_page: bool = False
    """Whether the page in the bundle sends the return, too."""


@dataclass(frozen=True)
class Upload:
    """Something that a reviewer put into `return`."""

    name: str
    """As the reviewer, or who pretends to be, named it: never part of a path here."""
    bytes: int
    """Of the file, or of all files of a folder."""
    version: str
    """Differs where the file was replaced by another one."""


class Connection(Protocol):
    """An open connection to a place."""

    def send(self, folder: Path, reviewer: str) -> Lines:
        """Put a bundle where its reviewer gets it; once more changes nothing. The links, if there are any, are new.

        Raises
        ------
        VoxledgerError
            The place cannot be reached or written to, or something that a person may have made is in the way.
        """

    def uploads(self, reviewer: str) -> list[Upload]:
        """What lies in the reviewer's `return`, in the order in which it came."""

    def read(self, reviewer: str, upload: Upload, offset: int) -> Iterator[bytes]:
        """The bytes of an upload from an offset on, which are the same every time; of a folder, as a zip.

        Raises
        ------
        BundleRefused
            It is a link, or nothing that can be read as a file or folder.
        Waiting
            It is still arriving.
        """


def connect(where: Where) -> AbstractContextManager[Connection]:
    """Open the connection to a place by its carrier."""
    opened: AbstractContextManager[Connection] = CARRIERS.get(where.carrier)(where)
    return opened


def where_of(text: str) -> Where:
    """The place that `--to` or `exchange` names.

    Raises
    ------
    Misuse
        It is no place, or holds a password, which would be written down.
    """
    if not text:
        raise Misuse(
            "nobody has said where bundles go",
            f"give --to WHERE, or write `exchange: WHERE` into {layout.PARAMS}: the name of an s3 or ssh remote of "
            "DVC, or folder:/PLACE, zip:/PLACE, s3://BUCKET/PREFIX, ssh://USER@HOST/PLACE",
        )
    remotes = {} if ":" in text else dvc_remotes()
    settings = remotes.get(text, {})
    url = settings.get("url", text)
    carrier, colon, _ = url.partition(":")
    if not colon:
        listed = ", ".join(sorted(remotes)) or "none yet"
        what = f"{url!r}, the url of the DVC remote {text}, is" if settings else f"{text!r} names no DVC remote, and is"
        raise Misuse(
            f"{what} no CARRIER:PLACE",
            f"use a DVC remote ({listed}), or one of {', '.join(f'{name}:…' for name in CARRIERS.names())}",
        )
    CARRIERS.require(carrier)
    if urlsplit(url).password is not None:
        raise Misuse(
            f"the address of {carrier} holds a password, which everybody who has the repository could read",
            "take it out: `dvc remote modify --local NAME password …` keeps it to yourself, and a key is better still",
        )
    if settings:
        keep_secrets_private()
    return Where(text, url, settings)


def unreachable(where: Where, why: object) -> VoxledgerError:
    """The error for a place that does not answer."""
    return VoxledgerError(
        f"{where.text} cannot be reached: {why}",
        "check the address and the network, then run this again: what came is kept, and it goes on from there",
    )


def example(carrier: str) -> list[str]:
    """Files that a small bundle becomes at a place that is a folder; for the examples in carriers."""
    with TemporaryDirectory() as root:
        bundle, place = Path(root) / "bundle-r01-alice", Path(root) / "place"
        for folder in (bundle, place):
            folder.mkdir()
        (bundle / "bundle.json").touch()
        with connect(Where(f"{carrier}:{place}", f"{carrier}:{place}", {})) as connection:
            connection.send(bundle, "alice")
        return sorted(path.relative_to(place).as_posix() for path in place.rglob("*") if path.is_file())
