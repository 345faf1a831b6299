"""Failures of the machine and not of the data: a full disk, a read-only file system, missing rights.

Nothing is wrong with a case, a return or a record then, and the remedy is another one. Libraries say so poorly or not
at all (ITK cuts NIfTI files off on a full disk without a word), so what they write goes through `replacing`.
"""

from __future__ import annotations

import errno
import os
import re
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from voxledger import layout
from voxledger.errors import DiskFailed, VoxledgerError

_FREE = (
    f"free some (`df -h` shows how much there is; `{layout.MEMO}` may be deleted, it is made again), "
    "then run this again"
)
_RIGHTS = "give yourself the right to it (`ls -ld {where}` shows whose it is), then run this again"
_REASONS = {
    errno.ENOSPC: ("no space left on the disk", _FREE),
    errno.EDQUOT: ("your share of the disk is used up", _FREE),
    errno.EFBIG: ("larger than files may be here", "raise `ulimit -f`, or use another disk; then run this again"),
    errno.EROFS: ("the file system is read-only", "mount it for writing, or use another folder; then run this again"),
    errno.EACCES: ("permission denied", _RIGHTS),
    errno.EPERM: ("operation not permitted", _RIGHTS),
    errno.EIO: ("the disk reports an error", "check the disk and its cable or network, then run this again"),
    errno.EMFILE: ("too many files are open", "raise `ulimit -n`, or lower machine.workers; then run this again"),
    errno.ENFILE: ("too many files are open", "close other programs, or lower machine.workers; then run this again"),
}

_WITHOUT_REASON = re.compile(
    r"Out of diskspace|[Cc]ould(n't| not) write '[^']+\.lock'|unable to write new index file|"
    r"^\d+ requested and \d+ written$"
)
"""What git, and last NumPy, say on a full disk where they do not pass on what the system said."""


def disk_failure(error: BaseException) -> DiskFailed | None:
    """The error with its reason and remedy, if the machine is to blame; None for every other."""
    if isinstance(error, DiskFailed):
        return error
    if isinstance(error, VoxledgerError):
        return None
    if isinstance(error, OSError) and error.errno is not None:
        return _failed(error.errno, str(error.filename2 or error.filename or ""))
    return failure_said(str(error))


def failure_said(text: str) -> DiskFailed | None:
    """The same for what a program or a library printed in English."""
    said = next((_failed(number, "") for number in _REASONS if os.strerror(number) in text), None)
    if said is None and _WITHOUT_REASON.search(text):
        return DiskFailed("there is probably no space left on the disk", _FREE)
    return said


@contextmanager
def naming(path: Path | str) -> Iterator[None]:
    """Let failures to write name the file: the system names it only where it was opened."""
    try:
        yield
    except OSError as error:
        if error.errno in _REASONS:
            error.filename, error.filename2 = str(path), None
        raise


@contextmanager
def replacing(path: Path, partial: Path, size: int) -> Iterator[None]:
    """Let a library write `partial`, and put it in the place of `path`; if that fails, nothing of it stays.

    Parameters
    ----------
    size
        Bytes that are written at most. Where the library does not say why it failed, as many are tried.

    Raises
    ------
    OSError
        The reason, if the machine is to blame; otherwise what the library raised.
    """
    with naming(path):
        try:
            yield
            os.replace(partial, path)
        except RuntimeError:
            partial.unlink(missing_ok=True)
            _try(partial, size)
            raise
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)


def replace_bytes(path: Path, content: bytes) -> None:
    """Write a file whole or not at all."""
    partial = path.with_name(f".{path.name}.{os.getpid()}")
    with replacing(path, partial, len(content)):
        path.parent.mkdir(parents=True, exist_ok=True)
        partial.write_bytes(content)


def _try(path: Path, size: int) -> None:
    with open(path, "wb", buffering=0) as stream:
        left = size
        while left > 0:
            left -= stream.write(bytes(min(left, 1 << 20)))
        os.fsync(stream.fileno())


def _failed(number: int, where: str) -> DiskFailed | None:
    if number not in _REASONS:
        return None
    problem, remedy = _REASONS[number]
    return DiskFailed(f"{where}: {problem}" if where else problem, remedy.format(where=where or "."))
