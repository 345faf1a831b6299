"""Whether an image file from outside is whole and stands alone.

ITK pads a truncated or damaged NIfTI file with zeros, and reads MHA and NRRD files whose compressed data is
damaged, without a word. A label that lost its last slices that way would be taken for a person's decision. So
files from outside are unpacked here, with their checksums verified, and ITK reads the plain copy. A header may
also name another file that holds the data, have ITK begin within the header or behind the first voxels, or name a
scale that ITK applies as no other reader does: such files are refused.
"""

from __future__ import annotations

import shutil
import struct
import tempfile
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

import numpy.typing as npt

from voxledger.disk import disk_failure
from voxledger.errors import UnreadableImage, VoxledgerError
from voxledger.imaging.format import Format, format_of
from voxledger.imaging.unpack import CHUNK, HEADER_LIMIT, TooLarge, Unsupported
from voxledger.imaging.volume import Grid, Volume, read, read_label

MOST_BYTES = 32 << 30
"""A file that unpacks to more is refused: a whole-body CT at 0.5 mm in float32 is a tenth of this."""


@contextmanager
def intact(path: Path | str, most_bytes: int) -> Iterator[Path]:
    """Give a plain, uncompressed copy of a file that was found whole.

    Parameters
    ----------
    most_bytes
        Bound on the uncompressed size, so that a small file cannot fill the machine.

    Raises
    ------
    UnreadableImage
        The file is truncated, damaged, larger than the bound, keeps its data elsewhere, or has a format that is not
        known or refused.
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
    with _unpacked(Path(path), CHUNK, whole=False) as plain:
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


@contextmanager
def _unpacked(path: Path, most_bytes: int, whole: bool) -> Iterator[Path]:
    form = format_of(path)
    with tempfile.TemporaryDirectory(prefix="voxledger-") as folder:
        plain = Path(folder) / f"plain{form.plain}"
        try:
            with _opened(path, form, Path(folder)) as stream, open(plain, "wb") as sink:
                # One that is told by its content may have the suffix of another format.
                unpack = form.unpack.get(form.suffix(path)) or next(iter(form.unpack.values()))
                unpack(stream, sink, most_bytes)
        except (OSError, EOFError, zlib.error, ValueError, KeyError, struct.error, ArithmeticError) as error:
            if isinstance(error, OSError) and disk_failure(error) is not None:
                raise OSError(error.errno, error.strerror, error.filename or folder) from None
            if isinstance(error, Unsupported):
                raise UnreadableImage(f"{path} {error.args[0]}", error.args[1]) from None
            if whole or not isinstance(error, TooLarge):
                raise UnreadableImage(
                    f"{path} is damaged or incomplete: {error or type(error).__name__}",
                    "save it again, and send or copy it once more",
                ) from None
        yield plain


@contextmanager
def _opened(path: Path, form: Format, folder: Path) -> Iterator[IO[bytes]]:
    """A file, with what lies in its data file behind it where the format has one."""
    if form.data_file is None:
        with open(path, "rb") as stream:
            yield stream
        return
    both = folder / "both"
    with open(both, "wb") as sink:
        with open(path, "rb") as header:
            sink.write(header.read(form.header_bytes or HEADER_LIMIT))
        part = form.data_file(path)
        if not part.is_file():
            raise ValueError(f"{part.name}, which holds its voxels, is missing")
        with open(part, "rb") as voxels:
            shutil.copyfileobj(voxels, sink)
    with open(both, "rb") as stream:
        yield stream
