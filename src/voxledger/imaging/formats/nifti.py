"""NIfTI-1 in one file, `.nii` and `.nii.gz`: what the repository itself stores.

ITK pads a truncated file with zeros, and turns NaN into 0, both without a word. A header may also have it begin within
the header, or name a scale that it applies as no other reader does.
"""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import IO, cast

import numpy as np

from voxledger.errors import UnreadableImage
from voxledger.imaging import itk
from voxledger.imaging.format import Format
from voxledger.imaging.unpack import Unsupported, copy, require_size
from voxledger.imaging.volume import Volume

_HEADER = 352
"""Bytes of a NIfTI-1 header with the four that say whether extensions follow; voxels lie behind them."""
_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64}
"""Bits a voxel by datatype, of those that ITK reads."""
_ITK_ZERO = 2.0**-52
"""ITK takes slopes and intercepts up to this for none."""


def unpack_gz(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    """Unpack `.nii.gz`; gzip verifies its checksum at the end."""
    with gzip.open(stream, "rb") as unpacked:
        unpack(cast(IO[bytes], unpacked), sink, most)


def unpack(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    """Copy NIfTI-1 in one file.

    Examples
    --------
    >>> from io import BytesIO
    >>> unpack(BytesIO(b"no image"), BytesIO(), 1000)
    Traceback (most recent call last):
        ...
    ValueError: it is not NIfTI
    """
    unpack_behind(stream.read(_HEADER), stream, sink, most)


def unpack_behind(header: bytes, stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    """Copy a header of NIfTI-1 in one file, 352 bytes, and the stream of what lies behind it."""
    sizes = {order: struct.unpack(f"{order}i", header[:4])[0] for order in "<>" if len(header) >= 4}
    if 540 in sizes.values():
        raise Unsupported("is NIfTI-2, which is not read here", "save it as NIfTI-1, .nii.gz")
    order = next((o for o, size in sizes.items() if size == 348), None)
    if order is None or len(header) < _HEADER:
        raise ValueError("it is not NIfTI")
    if not header[344:348].startswith(b"n+1"):
        raise ValueError("its voxels lie in another file")
    dims = struct.unpack(f"{order}8h", header[40:56])
    if not 0 < dims[0] <= 7 or any(d < 0 for d in dims[1 : dims[0] + 1]):
        raise ValueError(f"its dimensions are {dims}")
    datatype, bits = struct.unpack(f"{order}2h", header[70:74])
    if _BITS.get(datatype) != bits:
        raise ValueError(f"its header says datatype {datatype} and {bits} bits a voxel (bitpix)")
    offset, slope, inter = struct.unpack(f"{order}3f", header[108:120])
    if not (offset >= _HEADER and offset.is_integer()):
        raise ValueError(f"its header says that voxels begin at byte {offset:g} (vox_offset), within the header itself")
    _require_plain_scale(slope, inter)
    sink.write(header)
    found = len(header) + copy(stream, sink, most)
    require_size(found, int(offset) + math.prod(dims[1 : dims[0] + 1]) * bits // 8)


def _require_plain_scale(slope: float, inter: float) -> None:
    """Refuse a scale that ITK does not apply as the format says; a slope of 0, or of NaN, stands for none."""
    scaled = slope != 0 and not math.isnan(slope)
    if scaled and not (math.isfinite(slope) and abs(slope) > _ITK_ZERO):
        raise ValueError(f"its header says to multiply values by {slope:g} (scl_slope), which readers do not do alike")
    plain = inter == 0 or (math.isfinite(inter) and abs(inter) > _ITK_ZERO if scaled else math.isnan(inter))
    if not plain:
        raise ValueError(
            f"its header says to multiply values by {slope:g} (scl_slope) and add {inter:g} (scl_inter), which readers "
            "do not do alike"
        )


def read(path: Path) -> Volume:
    """Read a volume; refuses NaN and infinite values."""
    volume = itk.read(path)
    if volume.array.dtype.kind == "f":
        _require_finite(path)
    return volume


def _require_finite(path: Path) -> None:
    import nibabel

    values = np.asarray(nibabel.load(path).dataobj)  # type: ignore[attr-defined]
    if not np.isfinite(values).all():
        raise UnreadableImage(f"{path} holds NaN or infinite values", "mend the image and export it again")


FORMAT = Format({".nii.gz": unpack_gz, ".nii": unpack}, ".nii", read, itk.read_grid)
