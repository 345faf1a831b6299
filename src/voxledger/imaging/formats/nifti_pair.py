"""NIfTI-1 in two files, `.hdr` and `.img`, as programs write it that call it Analyze.

Analyze 7.5 itself does not say which side is left, and programs read it both ways: it is refused.
"""

from __future__ import annotations

import struct
from pathlib import Path
from typing import IO

from voxledger.imaging import itk
from voxledger.imaging.format import Format
from voxledger.imaging.formats import nifti
from voxledger.imaging.unpack import Unsupported

_HEADER = 348


def data_file(path: Path) -> Path:
    """The file beside a header in which its voxels lie."""
    return path.with_suffix(".IMG" if path.suffix == ".HDR" else ".img")


def unpack(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    """Unpack header and voxels, one behind the other, into NIfTI in one file.

    Examples
    --------
    >>> from io import BytesIO
    >>> unpack(BytesIO((348).to_bytes(4, "little") + bytes(344)), BytesIO(), 1000)
    Traceback (most recent call last):
        ...
    voxledger.imaging.unpack.Unsupported: ('is Analyze 7.5, which does not say which side is left', ...)
    """
    header = bytearray(stream.read(_HEADER))
    if len(header) < _HEADER:
        raise ValueError("it is not NIfTI")
    if not header[344:348].startswith((b"ni1", b"n+1")):
        raise Unsupported("is Analyze 7.5, which does not say which side is left", "save it as NIfTI-1, .nii.gz")
    order = "<" if header[:4] == struct.pack("<i", _HEADER) else ">"
    (offset,) = struct.unpack(f"{order}f", header[108:112])
    if header[344:348].startswith(b"n+1") or offset != 0:
        raise ValueError(f"its header says that voxels begin at byte {offset:g} (vox_offset) of another file")
    header[344:348] = b"n+1\0"
    header[108:112] = struct.pack(f"{order}f", _HEADER + 4)
    nifti.unpack_behind(bytes(header) + bytes(4), stream, sink, most)


FORMAT = Format({".hdr": unpack}, ".nii", nifti.read, itk.read_grid, data_file=data_file, header_bytes=_HEADER)
