"""A bundle goes to its reviewer through a carrier, on record in git."""

from __future__ import annotations

from pathlib import Path

from voxledger.records.bundle import MANIFEST, read_manifest
from voxledger.records.exchange import Sending, note_sending
from voxledger.review.carrier import Lines, Where, connect


def send(folder: Path, where: Where, at: str) -> Lines:
    """Put the bundle of an exported folder where its reviewer gets it, and commit that it lies there.

    Parameters
    ----------
    at
        When, in UTC, as it is written down.

    Returns
    -------
    Lines
        What to tell the reviewer. Links in them are secrets, and written down nowhere.

    Raises
    ------
    VoxledgerError
        See `voxledger.review.carrier.Connection.send`; then nothing is written down.
    """
    manifest = read_manifest((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))
    with connect(where) as connection:
        lines = connection.send(folder, manifest.reviewer)
    until = lines.until.isoformat(timespec="seconds") if lines.until else None
    note_sending(
        Sending(bundle=manifest.name, id=manifest.id, reviewer=manifest.reviewer, to=where.text, at=at, until=until)
    )
    return lines
