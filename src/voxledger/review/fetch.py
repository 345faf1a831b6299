"""What reviewers put where they were told, brought here: once in all clones together, bounded, and whole.

An upload is read into `data/fetched`, which a killed fetch goes on with, and given to whoever takes it into the inbox.
Once that is done the file here is removed: every file of it lies in the inbox, or in `data/late`. What is refused
stays. Where it was uploaded, nothing is changed or removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path

from voxledger import layout
from voxledger.disk import naming
from voxledger.errors import BundleRefused, VoxledgerError, Waiting
from voxledger.imaging.volume import file_sha256
from voxledger.process import lock
from voxledger.records import exchange
from voxledger.records.exchange import Sending, note_upload, upload_name
from voxledger.repository import round_tag, tag_exists
from voxledger.review.carrier import Connection, Upload, connect, where_of
from voxledger.review.receive import Received
from voxledger.textfile import replace_text

MOST_NEW = 20
"""Uploads of one reviewer that one fetch brings; more are left for the next."""
_KINDS = {b"PK": ".zip", b"7z\xbc\xaf\x27\x1c": ".7z"}
"""How archives begin; all others are left to the reader of tar, which tells them apart."""


TakeIn = Callable[[Path, str], Received]
"""Takes a return that a reviewer sent into the inbox and puts it under version control, or raises `BundleRefused`."""


@dataclass(frozen=True)
class Fetched:
    """What became of one upload, or of a place where some may lie."""

    to: str
    reviewer: str
    name: str = ""
    """Of the upload, as the reviewer gave it; empty where it is about the place."""
    received: Received | None = None
    problem: VoxledgerError | None = None
    """Why it is not in the inbox."""
    kept: Path | None = None
    """Where it lies if it was refused."""


def fetch(sendings: Iterable[Sending], take_in: TakeIn, most_bytes: int) -> Iterator[Fetched]:
    """Bring all new uploads of the places that bundles were sent to.

    Parameters
    ----------
    take_in
        Called for every upload, once it is here.
    most_bytes
        More bytes than any return can have.

    Yields
    ------
    Fetched
        One for every new upload; a place that cannot be reached does not keep the others from being asked.
    """
    drops = sorted({(sending.to, sending.reviewer) for sending in sendings})
    with _alone():
        for to, reviewers in groupby(drops, key=lambda drop: drop[0]):
            names = [reviewer for _, reviewer in reviewers]
            try:
                with connect(where_of(to)) as connection:
                    for reviewer in names:
                        yield from _of_reviewer(connection, to, reviewer, take_in, most_bytes)
            except VoxledgerError as error:
                yield Fetched(to, ", ".join(names), problem=error)


def _of_reviewer(connection: Connection, to: str, reviewer: str, take_in: TakeIn, most_bytes: int) -> Iterator[Fetched]:
    try:
        uploads = connection.uploads(reviewer)
    except VoxledgerError as error:
        yield Fetched(to, reviewer, problem=error)
        return
    found = ((upload, upload_name(to, reviewer, upload.name, upload.version)) for upload in uploads)
    new = [(upload, name) for upload, name in found if not _is_here(name)]
    for upload, name in new[:MOST_NEW]:
        try:
            yield _one(connection, to, reviewer, upload, name, take_in, most_bytes)
        except VoxledgerError as error:
            yield Fetched(to, reviewer, upload.name, problem=error)
    if len(new) > MOST_NEW:
        problem = f"{reviewer} has sent {len(new)} returns, of which {MOST_NEW} were fetched"
        yield Fetched(to, reviewer, problem=Waiting(problem, "look at them, then fetch again for the next"))


def _is_here(name: str) -> bool:
    """Whether an upload came in and is where it belongs: in the inbox, in a closed round, or aside in this clone."""
    noted = exchange.fetched(name)
    if noted is None or noted.bundle is None:
        return noted is not None
    number = int(noted.bundle.removeprefix("bundle-r").partition("-")[0])
    if not (layout.INBOX / noted.bundle).is_dir() and not tag_exists(round_tag(number)):
        return False
    for left in layout.FETCHED.glob(f"{name}.*"):
        # A fetch was killed once it had written down that this came.
        left.unlink()
        note_upload(name, noted)
    return True


def _one(
    connection: Connection,
    to: str,
    reviewer: str,
    upload: Upload,
    name: str,
    take_in: TakeIn,
    most_bytes: int,
) -> Fetched:
    received, problem, file, sha256 = None, None, None, ""
    try:
        file = _bring(connection, reviewer, upload, name, most_bytes)
        sha256 = file_sha256(file)
        received = take_in(file, reviewer)
    except BundleRefused as error:
        problem = error
    bundle = None if received is None or received.late else received.manifest.name
    size = upload.bytes if file is None else file.stat().st_size
    note_upload(name, exchange.Upload(reviewer=reviewer, to=to, bytes=size, sha256=sha256, bundle=bundle))
    if file is not None and received is not None:
        file.unlink()
        file = None
    return Fetched(to, reviewer, upload.name, received, problem, file)


def _bring(connection: Connection, reviewer: str, upload: Upload, name: str, most_bytes: int) -> Path:
    """Read an upload into a file, going on with what is there of it; its ending is that of what it holds."""
    for whole in layout.FETCHED.glob(f"{name}.*"):
        if whole.suffix != ".part":
            return whole
    part = layout.FETCHED / f"{name}.part"
    try:
        with naming(part), part.open("ab") as target:
            total = target.tell()
            _require_possible(upload, max(upload.bytes, total), most_bytes)
            for block in connection.read(reviewer, upload, total):
                total += len(block)
                _require_possible(upload, total, most_bytes)
                target.write(block)
    except BundleRefused:
        part.unlink(missing_ok=True)
        raise
    with part.open("rb") as stream:
        head = stream.read(6)
    kind = next((kind for begin, kind in _KINDS.items() if head.startswith(begin)), ".tar")
    os.replace(part, part.with_suffix(kind))
    return part.with_suffix(kind)


def _require_possible(upload: Upload, size: int, most_bytes: int) -> None:
    if size > most_bytes:
        raise BundleRefused(
            f"{upload.name!r} holds more than the {most_bytes} bytes that are possible; it was not fetched",
            "ask for the bundle again, zipped as the folder it was",
        )


@contextmanager
def _alone() -> Iterator[None]:
    """One fetch at a time in this folder."""
    replace_text(layout.FETCHED / ".gitignore", "*\n")
    handle = os.open(layout.FETCHED, os.O_RDONLY)
    try:
        lock(handle, str(layout.FETCHED))
        yield
    finally:
        os.close(handle)
