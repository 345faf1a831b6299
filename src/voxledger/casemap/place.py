"""Putting remembered files where a stage writes: as hard links; as clones or copies where the file system wants it.

What lies there is unlinked and never written into: it may be a link of DVC's cache, or of the memo itself.
"""

from __future__ import annotations

import errno
import fcntl
import os
import shutil
import time
from collections.abc import Collection
from contextlib import suppress
from pathlib import Path
from stat import S_ISREG
from typing import Any

from voxledger.casemap.hashes import note_sha256, trusted_sha256
from voxledger.casemap.job import Job
from voxledger.casemap.memo import Record, Seal, folder_of, remembered, seal
from voxledger.disk import naming
from voxledger.errors import VoxledgerError

_NO_LINK = (errno.EXDEV, errno.EPERM, errno.EMLINK, errno.ENOSYS, errno.EOPNOTSUPP, errno.EINVAL)
"""Another file system, one without hard links, another owner where the system minds, or too many links."""
_FICLONE = 0x40049409
"""Of Linux: a file that shares the blocks of another until either is written to."""
_SECONDS_UNTIL_SEEN = (0.0, 0.1, 0.5, 2.0, 10.0)


def place_outputs(job: Job[Any], record: Record, out: Path | str, anew: bool = False) -> None:
    """Put the remembered files of a job into a folder. What is there already and unchanged stays as it is.

    Parameters
    ----------
    anew
        Whether only links of the memo itself stay, and not what merely looks unchanged.

    Raises
    ------
    VoxledgerError
        Somebody is writing into the memo.
    """
    try:
        _place_all(folder_of(job), record, out, anew)
    except _Altered as altered:
        again = remembered(job)  # as when another process has just put there what it computed
        if again != record:
            raise VoxledgerError(f"{altered} was altered while a stage used it", "run this again") from None
        _place_all(folder_of(job), again, out, anew)


def remove_others(folder: Path | str, kept: Collection[str]) -> None:
    """Remove every file below a folder whose path is not one of `kept`."""
    with os.scandir(folder) as entries:
        for entry in entries:
            if entry.is_dir(follow_symlinks=False):
                remove_others(entry.path, kept)
            elif entry.path not in kept:
                os.unlink(entry.path)


class _Altered(Exception):
    """A file of the memo that is not what it was when it was looked at."""


def _place_all(folder: str, record: Record, out: Path | str, anew: bool) -> None:
    for name, digest in record.outputs.items():
        target, wanted = f"{out}/{name}", record.seals[name]
        status = _status(target)
        if status is None or (seal(status) != wanted and (anew or not _holds(target, status, wanted, digest))):
            try:
                status = _place(f"{folder}/{name}", target, wanted)
            except OSError as error:
                with naming(target):
                    raise error
        note_sha256(target, status, digest)


def _holds(path: str, status: os.stat_result, wanted: Seal, digest: str) -> bool:
    """Whether a file of its own holds what is wanted: DVC leaves such ones, and would make another of a link."""
    with suppress(OSError):
        return S_ISREG(status.st_mode) and status.st_size == wanted[0] and trusted_sha256(path) == digest
    return False


def _status(path: str) -> os.stat_result | None:
    """None of a file that is not there, and of a symbolic link that leads nowhere."""
    try:
        return os.stat(path)
    except FileNotFoundError:
        return None
    except OSError as error:
        if error.errno == errno.ELOOP:
            return None
        raise


def _place(source: str, target: str, wanted: Seal) -> os.stat_result:
    try:
        os.link(source, target)
        status = origin = os.stat(target)
    except FileExistsError:
        if os.path.isdir(target) and not os.path.islink(target):
            raise VoxledgerError(
                f"{target} is a folder where a file belongs", "remove it, and run this again"
            ) from None
        os.unlink(target)
        return _place(source, target, wanted)
    except FileNotFoundError:
        if not _appears(source):
            raise _Altered(source) from None
        os.makedirs(os.path.dirname(target), exist_ok=True)
        return _place(source, target, wanted)
    except OSError as error:
        if error.errno not in _NO_LINK:
            raise
        origin = _copy(source, target)
        status = os.stat(target)
    if seal(origin) != wanted:
        os.unlink(target)
        raise _Altered(source)
    return status


def _copy(source: str, target: str) -> os.stat_result:
    """Make a clone or a copy, read-only and of the same time; returns how the file is that was copied."""
    try:
        with open(source, "rb") as read, open(target, "xb") as written:
            try:
                fcntl.ioctl(written.fileno(), _FICLONE, read.fileno())
            except OSError:
                shutil.copyfileobj(read, written, 1 << 20)
            status = os.fstat(read.fileno())
        os.utime(target, ns=(status.st_atime_ns, status.st_mtime_ns))
        os.chmod(target, status.st_mode & 0o444)
        return status
    except OSError:
        with suppress(FileNotFoundError):
            os.unlink(target)
        raise


def _appears(source: str) -> bool:
    """Wait for what another machine renamed: NFS shows it late, but looks anew when the folder is listed."""
    for seconds in _SECONDS_UNTIL_SEEN:
        time.sleep(seconds)
        if os.path.exists(source):
            return True
        with suppress(FileNotFoundError):
            os.listdir(os.path.dirname(os.path.dirname(source)))
    return False
