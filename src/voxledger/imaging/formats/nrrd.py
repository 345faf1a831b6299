"""NRRD with attached header: what 3D Slicer saves. ITK reads files whose gzip data is damaged without a word."""

from __future__ import annotations

import gzip
import math
from typing import IO, cast

from voxledger.imaging import itk
from voxledger.imaging.format import Format
from voxledger.imaging.unpack import HEADER_LIMIT, copy, require_size

_STEMS = {
    1: ("char", "int8"),
    2: ("short", "short int", "int16"),
    4: ("int", "int32"),
    8: ("long long", "long long int", "longlong", "int64"),
}
_BYTES = {
    name: size
    for size, stems in _STEMS.items()
    for stem in stems
    for name in (stem, f"unsigned {stem}", f"signed {stem}", f"{stem}_t", f"u{stem}", f"u{stem}_t")
} | {"float": 4, "double": 8}
_SKIPS = ("byte skip", "byteskip", "line skip", "lineskip")


def unpack(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    """Unpack NRRD with raw or gzip encoding, its header attached.

    Examples
    --------
    >>> from io import BytesIO
    >>> header = b"NRRD0004\\ntype: uchar\\ndimension: 3\\nsizes: 2 2 2\\nencoding: raw\\n\\n"
    >>> unpack(BytesIO(header + bytes(7)), BytesIO(), 1000)
    Traceback (most recent call last):
        ...
    ValueError: it holds 7 of 8 bytes
    """
    fields: dict[str, str] = {}
    if not stream.readline(HEADER_LIMIT).startswith(b"NRRD"):
        raise ValueError("it is not NRRD")
    sink.write(b"NRRD0005\n")
    while (line := stream.readline(HEADER_LIMIT)).strip():
        if stream.tell() > HEADER_LIMIT:
            raise ValueError("its header is too long")
        key, _, value = line.decode("utf-8", "replace").partition(":")
        fields[key.strip().lower()] = value.strip()
        sink.write(b"encoding: raw\n" if key.strip().lower() == "encoding" else line)
    sink.write(b"\n")
    if "data file" in fields or "datafile" in fields:
        raise ValueError("its voxels lie in another file")
    if skips := [f"{key}: {fields[key]}" for key in _SKIPS if fields.get(key, "0") != "0"]:
        raise ValueError(f"its header says to skip a part of the voxels ({', '.join(skips)})")
    wanted = math.prod(int(n) for n in fields["sizes"].split()) * _BYTES[fields["type"].lower()]
    if fields["encoding"].lower() in ("gzip", "gz"):
        with gzip.open(stream, "rb") as unpacked:
            require_size(copy(cast(IO[bytes], unpacked), sink, most), wanted)
    elif fields["encoding"].lower() == "raw":
        require_size(copy(stream, sink, most), wanted)
    else:
        raise ValueError(f"its encoding is {fields['encoding']}")


FORMAT = Format({".nrrd": unpack}, ".nrrd", itk.read, itk.read_grid)
