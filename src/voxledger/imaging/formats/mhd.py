"""MetaImage in two files: a header `.mhd`, and the voxels beside it."""

from __future__ import annotations

import re
from pathlib import Path
from typing import IO

from voxledger.imaging import itk
from voxledger.imaging.format import Format
from voxledger.imaging.formats import mha
from voxledger.imaging.unpack import HEADER_LIMIT

_DATA_FILE = re.compile(rb"^[ \t]*ElementDataFile[ \t]*=[ \t]*([^\r\n]*?)[ \t]*\r?$", re.IGNORECASE | re.MULTILINE)
_SUFFIXES = (".raw", ".zraw")


def data_file(path: Path) -> Path:
    """The file beside a header in which its voxels lie.

    Raises
    ------
    ValueError
        It names none, several, or one elsewhere.
    """
    with open(path, "rb") as stream:
        names = _DATA_FILE.findall(stream.read(HEADER_LIMIT))
    name = names[0].decode("utf-8", "replace") if len(names) == 1 else ""
    if not re.fullmatch(r"[^/\\:%]+", name) or not name.lower().endswith(_SUFFIXES):
        raise ValueError(
            f"its header names {name or 'no file'} as that of its voxels, and not a .raw or .zraw beside it"
        )
    return path.with_name(name)


def unpack(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    """Unpack header and voxels, one behind the other, into one file.

    Examples
    --------
    >>> from io import BytesIO
    >>> header = b"NDims = 3\\nDimSize = 2 2 2\\nElementType = MET_UCHAR\\nElementDataFile = case-7.raw\\n"
    >>> unpack(BytesIO(header + bytes(7)), BytesIO(), 1000)
    Traceback (most recent call last):
        ...
    ValueError: it holds 7 of 8 bytes
    """
    mha.unpack_behind(stream, sink, most, local=False)


FORMAT = Format({".mhd": unpack}, ".mha", itk.read, itk.read_grid, data_file=data_file)
