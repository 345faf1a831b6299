"""FreeSurfer's `.mgz` and `.mgh`."""

from __future__ import annotations

import gzip
import math
import struct
from pathlib import Path
from typing import IO, Any, cast

import numpy as np

from voxledger.errors import UnreadableImage
from voxledger.imaging.format import Format
from voxledger.imaging.unpack import copy, require_size
from voxledger.imaging.volume import Grid, Volume

_HEADER = 284
"""Bytes before the voxels."""
_BYTES = {0: 1, 1: 4, 3: 4, 4: 2, 10: 2}
"""Bytes a voxel, by number of the type."""


def unpack(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    """Copy `.mgh`.

    Examples
    --------
    >>> from io import BytesIO
    >>> unpack(BytesIO(bytes(284)), BytesIO(), 1000)
    Traceback (most recent call last):
        ...
    ValueError: it is not MGH
    """
    header = stream.read(_HEADER)
    if len(header) < _HEADER or header[:4] != b"\0\0\0\1":
        raise ValueError("it is not MGH")
    *size, kind = struct.unpack(">5i", header[4:24])
    if min(size) < 1:
        raise ValueError(f"its size is {tuple(size)}")
    if not struct.unpack(">h", header[28:30])[0]:
        raise ValueError("its header does not say where it lies in the patient")
    sink.write(header)
    require_size(copy(stream, sink, most), math.prod(size) * _BYTES[kind])


def unpack_gz(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    """Unpack `.mgz`; gzip verifies its checksum at the end."""
    with gzip.open(stream, "rb") as unpacked:
        unpack(cast(IO[bytes], unpacked), sink, most)


def read(path: Path) -> Volume:
    """Voxels (z, y, x) and their grid."""
    image = _load(path)
    voxels = np.asarray(image.dataobj).T
    return Volume(voxels.astype(voxels.dtype.newbyteorder("=")), _grid(image))


def read_grid(path: Path) -> Grid:
    """The grid alone."""
    return _grid(_load(path))


def _load(path: Path) -> Any:
    import nibabel

    image: Any = nibabel.load(path)
    if len(image.shape) != 3:
        raise UnreadableImage(f"{path} is not one 3-D volume: size {image.shape}", "export one volume a file")
    return image


def _grid(image: Any) -> Grid:
    """nibabel's affine leads from (x, y, z) to RAS; ours to LPS, from the centre of the first voxel."""
    lps = np.diag([-1.0, -1.0, 1.0, 1.0]) @ image.affine
    x, y, z = (float(v) for v in np.linalg.norm(lps[:3, :3], axis=0))
    directions = lps[:3, :3] / (x, y, z)
    i, j, k = image.shape
    origin = (float(lps[0, 3]), float(lps[1, 3]), float(lps[2, 3]))
    return Grid((k, j, i), (z, y, x), origin, tuple(float(v) for v in directions.ravel()))


FORMAT = Format({".mgz": unpack_gz, ".mgh": unpack}, ".mgh", read, read_grid)
