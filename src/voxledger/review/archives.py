"""Archives other than zip in which a return may come: unpacked into a folder, bounded, plain files alone.

What an archive says of itself is not believed: bytes are counted as they come.
"""

from __future__ import annotations

import lzma
import tarfile
import zlib
from pathlib import Path
from typing import Any

from voxledger.disk import disk_failure
from voxledger.errors import BundleRefused, Misuse
from voxledger.records.bundle import is_junk, is_safe

MOST_FILES = 100_000
"""More entries in one archive are an attack or a mistake."""
_CHUNK = 1 << 20
_AGAIN = "ask for the bundle again, zipped as the folder it was"


class _Bounded:
    """Writes files into a folder until there are too many bytes or files."""

    def __init__(self, folder: Path, most_bytes: int, source: Path) -> None:
        self.folder, self.left, self.source, self.files = folder, most_bytes, source, 0

    def open(self, name: str) -> Any:
        """A new file of a safe name."""
        if not is_safe(name):
            raise BundleRefused(f"{self.source}: {name!r} is not a safe path; nothing was unpacked", _AGAIN)
        self.files += 1
        if self.files > MOST_FILES:
            raise BundleRefused(f"{self.source} holds more than {MOST_FILES} files", "send back the bundle alone")
        target = self.folder / name
        target.parent.mkdir(parents=True, exist_ok=True)
        return open(target, "xb")

    def count(self, size: int) -> None:
        self.left -= size
        if self.left < 0:
            raise BundleRefused(
                f"{self.source} unpacks to more bytes than all bundles of the round may have; nothing was unpacked",
                _AGAIN,
            )


def unpack(source: Path, folder: Path, most_bytes: int) -> None:
    """Unpack a `.tar`, compressed or not, or a `.7z` into an empty folder.

    Raises
    ------
    BundleRefused
        It is damaged, unsafe, or holds more than `most_bytes`.
    Misuse
        It is a `.7z`, and py7zr is not installed.
    """
    sink = _Bounded(folder, most_bytes, source)
    try:
        _unpack_7z(source, sink) if source.suffix.lower() == ".7z" else _unpack_tar(source, sink)
    except (BundleRefused, Misuse):
        raise
    except (tarfile.TarError, EOFError, zlib.error, lzma.LZMAError, OSError, ValueError, ArithmeticError) as error:
        if disk_failure(error) is not None:
            raise
        raise BundleRefused(f"{source} is not a whole archive: {error}", "ask for it once more, as .zip") from None


def _unpack_tar(source: Path, sink: _Bounded) -> None:
    with tarfile.open(source, "r|*") as archive:
        for entry in archive:
            name = entry.name.removeprefix("./")
            if is_junk(name) or entry.isdir():
                continue
            if not entry.isreg() or entry.issparse():
                raise BundleRefused(f"{source}: {name!r} is a link or no plain file; nothing was unpacked", _AGAIN)
            stream = archive.extractfile(entry)
            assert stream is not None  # plain files have one
            with sink.open(name) as target:
                while block := stream.read(_CHUNK):
                    sink.count(len(block))
                    target.write(block)


def _unpack_7z(source: Path, sink: _Bounded) -> None:
    try:
        import py7zr
    except ImportError:
        raise Misuse(
            f"{source}: py7zr, which opens .7z, is not installed",
            "`pip install 'voxledger[7z]'`, or unpack it yourself and receive the folder",
        ) from None

    class Writer(py7zr.io.Py7zIO):  # type: ignore[misc]
        """A file of the archive, counted as it is written."""

        def __init__(self, name: str) -> None:
            self._target, self._size = sink.open(name), 0

        def write(self, block: Any) -> int:
            sink.count(len(block))
            self._size += len(block)
            written: int = self._target.write(block)
            return written

        def read(self, size: int | None = None) -> bytes:
            return b""

        def seek(self, offset: int, whence: int = 0) -> int:
            return 0

        def flush(self) -> None:
            self._target.flush()

        def close(self) -> None:
            self._target.close()

        def size(self) -> int:
            return self._size

    class Factory(py7zr.io.WriterFactory):  # type: ignore[misc]
        def create(self, filename: str) -> Writer:
            return Writer(filename)

    try:
        with py7zr.SevenZipFile(source) as archive:
            if archive.needs_password():
                raise BundleRefused(f"{source} is encrypted", "unpack it with its password, and receive the folder")
            entries = [e for e in archive.list() if not e.is_directory and not is_junk(e.filename)]
            if linked := [e.filename for e in entries if e.is_symlink or not e.is_file]:
                raise BundleRefused(f"{source}: {linked[0]!r} is a link or no plain file; nothing was unpacked", _AGAIN)
            archive.extract(targets=[e.filename for e in entries], factory=Factory())
    except py7zr.exceptions.ArchiveError as error:
        raise ValueError(str(error) or type(error).__name__) from None
