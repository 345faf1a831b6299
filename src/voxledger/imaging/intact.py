"""Whether an image file from outside is whole and stands alone.

ITK pads a truncated or damaged NIfTI file with zeros, and reads MHA and NRRD files whose compressed data is
damaged, without a word. A label that lost its last slices that way would be taken for a person's decision. So
files from outside are unpacked here, with their checksums verified, and ITK reads the plain copy. A header may
also name another file that holds the data, have ITK begin within the header or behind the first voxels, or name a
scale that ITK applies as no other reader does: such files are refused.
"""

from __future__ import annotations

import gzip
import math
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any, cast

import numpy.typing as npt

from voxledger.disk import disk_failure
from voxledger.errors import UnreadableImage, VoxledgerError
from voxledger.imaging.volume import Grid, Volume, read, read_label

MOST_BYTES = 32 << 30
"""A file that unpacks to more is refused: a whole-body CT at 0.5 mm in float32 is a tenth of this."""

_CHUNK = 1 << 20
_HEADER_LIMIT = 1 << 20
_NIFTI_HEADER = 352
"""Bytes of a NIfTI-1 header with the four that say whether extensions follow; voxels lie behind them."""
_NIFTI_BITS = {2: 8, 4: 16, 8: 32, 16: 32, 32: 64, 64: 64, 128: 24, 256: 8, 512: 16, 768: 32, 1024: 64, 1280: 64}
"""Bits a voxel by datatype, of those that ITK reads."""
_ITK_ZERO = 2.0**-52
"""ITK takes slopes and intercepts up to this for none."""
_NRRD_STEMS = {
    1: ("char", "int8"),
    2: ("short", "short int", "int16"),
    4: ("int", "int32"),
    8: ("long long", "long long int", "longlong", "int64"),
}
_NRRD_BYTES = {
    name: size
    for size, stems in _NRRD_STEMS.items()
    for stem in stems
    for name in (stem, f"unsigned {stem}", f"signed {stem}", f"{stem}_t", f"u{stem}", f"u{stem}_t")
} | {"float": 4, "double": 8}
_NRRD_SKIPS = ("byte skip", "byteskip", "line skip", "lineskip")
_META_BYTES = {
    f"MET_{prefix}{name}": size
    for name, size in {"CHAR": 1, "SHORT": 2, "INT": 4, "LONG": 8, "LONG_LONG": 8}.items()
    for prefix in ("", "U")
} | {"MET_ULONG_LONG": 8, "MET_FLOAT": 4, "MET_DOUBLE": 8}


@contextmanager
def intact(path: Path | str, most_bytes: int) -> Iterator[Path]:
    """Give a plain, uncompressed copy of a `.nii.gz`, `.nii`, `.nrrd` or `.mha` file that was found whole.

    Parameters
    ----------
    most_bytes
        Bound on the uncompressed size, so that a small file cannot fill the machine.

    Raises
    ------
    UnreadableImage
        The file is truncated, damaged, larger than the bound, or keeps its data elsewhere.
    OSError
        The machine is to blame, as for a full disk.
    """
    with _unpacked(Path(path), most_bytes, whole=True) as plain:
        yield plain


@contextmanager
def beginning(path: Path | str) -> Iterator[Path]:
    """Give a plain copy of a file's header and first voxels, enough to read the grid of a file of any size.

    Raises
    ------
    UnreadableImage
        As `intact`, but for files that are too large, and without looking at their rest.
    """
    with _unpacked(Path(path), _CHUNK, whole=False) as plain:
        yield plain


def read_whole(path: Path | str) -> Volume:
    """Read an image from outside: `volume.read` of a file that was found whole."""
    with intact(path, MOST_BYTES) as plain, _named(path, plain):
        return read(plain)


def read_whole_label(path: Path | str, image: Grid) -> npt.NDArray[Any]:
    """Read a label map from outside: `volume.read_label` of a file that was found whole."""
    with intact(path, MOST_BYTES) as plain, _named(path, plain):
        return read_label(plain, image)


@contextmanager
def _named(path: Path | str, plain: Path) -> Iterator[None]:
    """Let errors about the plain copy of a file name the file."""
    try:
        yield
    except VoxledgerError as error:
        raise type(error)(error.problem.replace(str(plain), str(path)), error.remedy) from None


class _TooLarge(ValueError):
    """More bytes than were allowed; those that were lie in the sink."""


class _Unsupported(ValueError):
    """Not damaged, but nothing that is read here; what it is, and the remedy."""


@contextmanager
def _unpacked(path: Path, most_bytes: int, whole: bool) -> Iterator[Path]:
    name = path.name.lower()
    kind = next((k for k in _UNPACK if name.endswith(k)), None)
    if kind is None:
        raise UnreadableImage(f"{path} is none of {', '.join(_UNPACK)}", "save it as one of these")
    with tempfile.TemporaryDirectory(prefix="voxledger-") as folder:
        plain = Path(folder) / f"plain{kind.removesuffix('.gz')}"
        try:
            with open(path, "rb") as stream, open(plain, "wb") as sink:
                _UNPACK[kind](stream, sink, most_bytes)
        except (OSError, EOFError, zlib.error, ValueError, KeyError, struct.error, ArithmeticError) as error:
            if isinstance(error, OSError) and disk_failure(error) is not None:
                raise OSError(error.errno, error.strerror, error.filename or folder) from None
            if isinstance(error, _Unsupported):
                raise UnreadableImage(f"{path} {error.args[0]}", error.args[1]) from None
            if whole or not isinstance(error, _TooLarge):
                raise UnreadableImage(
                    f"{path} is damaged or incomplete: {error or type(error).__name__}",
                    "save it again, and send or copy it once more",
                ) from None
        yield plain


def _nifti_gz(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    with gzip.open(stream, "rb") as unpacked:
        _nifti(cast(IO[bytes], unpacked), sink, most)


def _nifti(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    header = stream.read(_NIFTI_HEADER)
    sizes = {order: struct.unpack(f"{order}i", header[:4])[0] for order in "<>" if len(header) >= 4}
    if 540 in sizes.values():
        raise _Unsupported("is NIfTI-2, which is not read here", "save it as NIfTI-1, .nii.gz")
    order = next((o for o, size in sizes.items() if size == 348), None)
    if order is None or len(header) < _NIFTI_HEADER:
        raise ValueError("it is not NIfTI")
    if not header[344:348].startswith(b"n+1"):
        raise ValueError("its voxels lie in another file")
    dims = struct.unpack(f"{order}8h", header[40:56])
    if not 0 < dims[0] <= 7 or any(d < 0 for d in dims[1 : dims[0] + 1]):
        raise ValueError(f"its dimensions are {dims}")
    datatype, bits = struct.unpack(f"{order}2h", header[70:74])
    if _NIFTI_BITS.get(datatype) != bits:
        raise ValueError(f"its header says datatype {datatype} and {bits} bits a voxel (bitpix)")
    offset, slope, inter = struct.unpack(f"{order}3f", header[108:120])
    if not (offset >= _NIFTI_HEADER and offset.is_integer()):
        raise ValueError(f"its header says that voxels begin at byte {offset:g} (vox_offset), within the header itself")
    _require_plain_scale(slope, inter)
    sink.write(header)
    found = len(header) + _copy(stream, sink, most)
    _require_size(found, int(offset) + math.prod(dims[1 : dims[0] + 1]) * bits // 8)


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


def _nrrd(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    fields: dict[str, str] = {}
    if not stream.readline(_HEADER_LIMIT).startswith(b"NRRD"):
        raise ValueError("it is not NRRD")
    sink.write(b"NRRD0005\n")
    while (line := stream.readline(_HEADER_LIMIT)).strip():
        if stream.tell() > _HEADER_LIMIT:
            raise ValueError("its header is too long")
        key, _, value = line.decode("utf-8", "replace").partition(":")
        fields[key.strip().lower()] = value.strip()
        sink.write(b"encoding: raw\n" if key.strip().lower() == "encoding" else line)
    sink.write(b"\n")
    if "data file" in fields or "datafile" in fields:
        raise ValueError("its voxels lie in another file")
    if skips := [f"{key}: {fields[key]}" for key in _NRRD_SKIPS if fields.get(key, "0") != "0"]:
        raise ValueError(f"its header says to skip a part of the voxels ({', '.join(skips)})")
    wanted = math.prod(int(n) for n in fields["sizes"].split()) * _NRRD_BYTES[fields["type"].lower()]
    if fields["encoding"].lower() in ("gzip", "gz"):
        with gzip.open(stream, "rb") as unpacked:
            _require_size(_copy(cast(IO[bytes], unpacked), sink, most), wanted)
    elif fields["encoding"].lower() == "raw":
        _require_size(_copy(stream, sink, most), wanted)
    else:
        raise ValueError(f"its encoding is {fields['encoding']}")


def _mha(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    fields: dict[str, str] = {}
    while "elementdatafile" not in fields:
        line = stream.readline(_HEADER_LIMIT)
        if not line or stream.tell() > _HEADER_LIMIT:
            raise ValueError("its header is cut off")
        key, _, value = line.decode("utf-8", "replace").partition("=")
        fields[key.strip().lower()] = value.strip()
        if not key.strip().lower().startswith("compresseddata"):
            sink.write(line)
    if fields["elementdatafile"].upper() != "LOCAL":
        raise ValueError("its voxels lie in another file")
    if fields.get("headersize", "0") != "0":
        raise ValueError(f"its header says to skip a part of the voxels (HeaderSize = {fields['headersize']})")
    wanted = math.prod(int(n) for n in fields["dimsize"].split()) * _META_BYTES[fields["elementtype"].upper()]
    if fields.get("compresseddata", "").lower() != "true":
        _require_size(_copy(stream, sink, most), wanted)
        return
    unpack, total = zlib.decompressobj(), 0
    while block := stream.read(_CHUNK):
        while block:
            plain = unpack.decompress(block, _CHUNK)
            sink.write(plain)
            total += len(plain)
            block = unpack.unconsumed_tail
            if total > most:
                raise _TooLarge(f"it holds more than {most} bytes")
    rest = unpack.flush()
    sink.write(rest)
    if not unpack.eof:
        raise ValueError("its compressed data is cut off")
    _require_size(total + len(rest), wanted)


def _copy(stream: IO[bytes], sink: IO[bytes], most: int) -> int:
    total = 0
    while block := stream.read(_CHUNK):
        total += len(block)
        if total > most:
            raise _TooLarge(f"it holds more than {most} bytes")
        sink.write(block)
    return total


def _require_size(found: int, wanted: int) -> None:
    if found < wanted:
        raise ValueError(f"it holds {found} of {wanted} bytes")


_UNPACK = {".nii.gz": _nifti_gz, ".nii": _nifti, ".nrrd": _nrrd, ".mha": _mha}
