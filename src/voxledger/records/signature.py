"""What a reviewer signs, `return.sha256` in the folder that comes back, and what is kept of signatures.

It lists SHA-256 and path of `bundle.json`, the decisions and the labels, a line a file, as `sha256sum` writes and
checks them; the signature lies beside it. `receive` notes when that came: a key has to be valid then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

from pydantic import AwareDatetime, BaseModel, ConfigDict, ValidationError

from voxledger.errors import Misuse
from voxledger.imaging.volume import file_sha256
from voxledger.records.bundle import (
    MANIFEST,
    PARTS,
    RECEIPT,
    RESAMPLE,
    SIGNATURE,
    SIGNED,
    is_junk,
    is_returned,
    list_files,
)
from voxledger.textfile import replace_text, unreadable

_LINE = re.compile(r"([0-9a-fA-F]{64}) [ *](?:\./)?(.+)")


class Receipt(BaseModel):
    """What `RECEIPT` says."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    format: int = 1
    at: AwareDatetime
    """When a signed return was received, by the clock of the machine that did."""


def is_signed_content(path: str) -> bool:
    """Whether a file of a return has to be listed where the return is signed."""
    return path == MANIFEST or (is_returned(path) and path != RESAMPLE and not is_junk(path))


def is_signed(folder: Path) -> bool:
    """Whether a return, or what it was put together of, has a signature; whether that counts is another question."""
    return any(
        (place / name).exists() for place in (folder, *folder.glob(f"{PARTS}/*")) for name in (SIGNED, SIGNATURE)
    )


def is_kept(path: str) -> bool:
    """Whether a file of a return says how it was signed; the identity of what came back is without these."""
    return path in (SIGNED, SIGNATURE, RECEIPT) or path.startswith(f"{PARTS}/")


def list_content(folder: Path) -> str:
    """The text of `return.sha256` of a folder.

    Examples
    --------
    What a browser or a shell has to write::

        c535e489…  bundle.json
        94a3f6b0…  decisions.csv
        1d07be23…  labels/site-a_0007.nii.gz

    Raises
    ------
    Misuse
        A file is none, or has a name that no line can hold.
    """
    paths = [path for path in list_files(folder) if is_signed_content(path)]
    if odd := [path for path in paths if not path.isprintable() or not (folder / path).is_file()]:
        raise Misuse(
            f"{folder}: {odd[0]!r} is no plain file, or has a name that no line can hold", "rename or remove it"
        )
    return "".join(f"{file_sha256(folder / path)}  {path}\n" for path in paths)


def parse_list(content: bytes) -> dict[str, str]:
    """SHA-256 by path, of what counts of a `return.sha256`: other files, and what a system left, may be listed, too.

    Raises
    ------
    ValueError
        Says which line is not as `sha256sum` writes it, or names a file twice.
    """
    found: dict[str, str] = {}
    for number, line in enumerate(content.decode("utf-8-sig").splitlines(), 1):
        if not line.strip():
            continue
        parts = _LINE.fullmatch(line)
        if parts is None or not line.isprintable():
            raise ValueError(f"line {number} is not a SHA-256, two spaces and a path")
        digest, path = parts[1].lower(), parts[2]
        if path in found:
            raise ValueError(f"line {number} names {path} a second time")
        if is_signed_content(path):
            found[path] = digest
    return found


def note_receipt(folder: Path, at: datetime) -> None:
    """Note in a signed return when it came."""
    replace_text(folder / RECEIPT, Receipt(at=at.astimezone(UTC).replace(microsecond=0)).model_dump_json() + "\n")


def read_receipt(path: Path) -> datetime:
    """When a signed return came, in UTC."""
    try:
        return Receipt.model_validate_json(path.read_bytes()).at.astimezone(UTC)
    except (OSError, ValidationError, OverflowError):
        raise unreadable(path, "it does not say when the return was received") from None


def parts_of(paths: Mapping[str, str]) -> dict[str, dict[str, str]]:
    """The returns that one was put together of, as hashes by path in them, by folder, the oldest first.

    Parameters
    ----------
    paths
        SHA-256 by path in the return. Where it is as somebody sent it, it is its own only part, the folder `.`.
    """
    found: dict[str, dict[str, str]] = {}
    for path, digest in sorted(paths.items()):
        if path.startswith(f"{PARTS}/") and path.count("/") > 1:
            name, inside = path.removeprefix(f"{PARTS}/").split("/", 1)
            found.setdefault(f"{PARTS}/{name}", {})[inside] = digest
    return found or {".": dict(paths)}
