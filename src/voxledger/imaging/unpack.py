"""What the formats need to unpack files from outside: bounded copies, and whether all is there."""

from __future__ import annotations

import zlib
from typing import IO

CHUNK = 1 << 20
HEADER_LIMIT = 1 << 20
"""Bytes; a longer header is no header."""


class TooLarge(ValueError):
    """More bytes than were allowed; those that were lie in the sink."""


class Unsupported(ValueError):
    """Not damaged, but nothing that is read here: what it is, and the remedy."""


def copy(stream: IO[bytes], sink: IO[bytes], most_bytes: int) -> int:
    """Copy what is left of a stream; returns the number of bytes.

    Raises
    ------
    TooLarge
        It is more than `most_bytes`.

    Examples
    --------
    >>> from io import BytesIO
    >>> copy(BytesIO(b"voxels"), BytesIO(), 100)
    6
    >>> copy(BytesIO(b"voxels"), BytesIO(), 3)
    Traceback (most recent call last):
        ...
    voxledger.imaging.unpack.TooLarge: it holds more than 3 bytes
    """
    total = 0
    while block := stream.read(CHUNK):
        total += len(block)
        if total > most_bytes:
            raise TooLarge(f"it holds more than {most_bytes} bytes")
        sink.write(block)
    return total


def inflate(stream: IO[bytes], sink: IO[bytes], most_bytes: int) -> int:
    """Copy what is left of a stream of zlib data, unpacked and its checksum verified; returns the number of bytes."""
    unpack, total = zlib.decompressobj(), 0
    while block := stream.read(CHUNK):
        while block:
            plain = unpack.decompress(block, CHUNK)
            sink.write(plain)
            total += len(plain)
            block = unpack.unconsumed_tail
            if total > most_bytes:
                raise TooLarge(f"it holds more than {most_bytes} bytes")
    rest = unpack.flush()
    sink.write(rest)
    if not unpack.eof:
        raise ValueError("its compressed data is cut off")
    return total + len(rest)


def require_size(found: int, wanted: int) -> None:
    """Raise unless at least as many bytes were found as the header asks for."""
    if found < wanted:
        raise ValueError(f"it holds {found} of {wanted} bytes")
