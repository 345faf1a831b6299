"""Files of the working tree that still name somebody who was withdrawn: no command removes them, a person has to look.

As what a reader wrote of another case, what was exported into the repository, or an archive that nobody received.
"""

from __future__ import annotations

import lzma
import os
import re
import struct
import zipfile
import zlib
from collections.abc import Collection, Iterator
from contextlib import suppress
from pathlib import Path

from voxledger import layout

MOST_BYTES = 16 << 20
"""Texts that are larger are told by their names alone."""
_UNREADABLE = (
    *(OSError, ValueError, RuntimeError, EOFError, OverflowError),
    *(zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error),
)
"""What zipfile raises where an archive, or something in it, is damaged or encrypted."""


def leftovers(names: Collection[str], known: Collection[str]) -> list[Path]:
    """Files that have one of some names in their path or text, or in those of what a zip holds; sorted.

    Left out are what the stages write, which the next run makes anew, and hidden folders.

    Parameters
    ----------
    names
        Ids of cases and pseudonyms of patients.
    known
        All that there are: `p1` is not named by what names `p1_heat`, where that is another one.
    """
    if not names:
        return []
    longer = {other for other in known if any(name in other for name in names)}
    alternatives = "|".join(map(re.escape, sorted({*names, *longer}, key=len, reverse=True)))
    pattern = re.compile(rf"(?<![A-Za-z0-9])(?:{alternatives})(?![A-Za-z0-9])".encode())
    wanted = {name.encode() for name in names}
    return [p for p in sorted(_files()) if any(wanted.intersection(pattern.findall(text)) for text in _texts(p))]


def _files() -> Iterator[Path]:
    for top, folders, files in os.walk("."):
        folder = Path(top)
        folders[:] = sorted(
            name for name in folders if name[0] != "." and not layout.is_written_by_stages(folder / name)
        )
        yield from (folder / name for name in sorted(files) if not layout.is_written_by_stages(folder / name))


def _texts(path: Path) -> Iterator[bytes]:
    """The path of a file, and what can be read in it as text."""
    yield path.as_posix().encode()
    with suppress(OSError):
        if not path.is_file():
            return
        if zipfile.is_zipfile(path):
            yield from _packed(path)
        elif path.stat().st_size <= MOST_BYTES and b"\0" not in (content := path.read_bytes()):
            yield content


def _packed(path: Path) -> Iterator[bytes]:
    """The names of all files of a zip, and what can be read of them."""
    with suppress(*_UNREADABLE), zipfile.ZipFile(path) as archive:
        yield from (info.filename.encode() for info in archive.infolist())
        for info in (one for one in archive.infolist() if one.file_size <= MOST_BYTES):
            with suppress(*_UNREADABLE), archive.open(info) as stream:
                yield stream.read(MOST_BYTES)
