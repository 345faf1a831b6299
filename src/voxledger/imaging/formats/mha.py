"""MetaImage in one file. ITK reads files whose zlib data is damaged without a word."""

from __future__ import annotations

import math
from typing import IO

from voxledger.imaging import itk
from voxledger.imaging.format import Format
from voxledger.imaging.unpack import HEADER_LIMIT, copy, inflate, require_size

_BYTES = {
    f"MET_{prefix}{name}": size
    for name, size in {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 8, "LONG_LONG": 8}.items()
    for prefix in ("", "U")
} | {"MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8}


def unpack(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    """Unpack MetaImage whose voxels follow the header.

    Examples
    --------
    >>> from io import BytesIO
    >>> header = b"NDims = 3\\nDimSize = 2 2 2\\nElementType = MET_UCHAR\\nElementDataFile = case-7.raw\\n"
    >>> unpack(BytesIO(header), BytesIO(), 1000)
    Traceback (most recent call last):
        ...
    ValueError: its voxels lie in another file
    """
    unpack_behind(stream, sink, most, local=True)


def unpack_behind(stream: IO[bytes], sink: IO[bytes], most: int, *, local: bool) -> None:
    """Unpack voxels that follow their header in the stream, `local` where the header says that they do."""
    fields: dict[str, str] = {}
    while "elementdatafile" not in fields:
        line = stream.readline(HEADER_LIMIT)
        if not line or stream.tell() > HEADER_LIMIT:
            raise ValueError("its header is cut off")
        key, _, value = line.decode("utf-8", "replace").partition("=")
        fields[key.strip().lower()] = value.strip()
        if not key.strip().lower().startswith(("compresseddata", "elementdatafile")):
            sink.write(line)
    sink.write(b"ElementDataFile = LOCAL\n")
    if local and fields["elementdatafile"].upper() != "LOCAL":
        raise ValueError("its voxels lie in another file")
    if fields.get("headersize", "0") != "0":
        raise ValueError(f"its header says to skip a part of the voxels (HeaderSize = {fields['headersize']})")
    wanted = math.prod(int(n) for n in fields["dimsize"].split()) * _BYTES[fields["elementtype"].upper()]
    if fields.get("compresseddata", "").lower() != "true":
        require_size(copy(stream, sink, most), wanted)
        return
    require_size(inflate(stream, sink, most), wanted)


FORMAT = Format({".mha": unpack}, ".mha", itk.read, itk.read_grid)
