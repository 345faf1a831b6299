"""Inotify: whether a program here may be told of files that change."""

from __future__ import annotations

import ctypes
import errno
import os
import sys
from collections.abc import Iterator

from voxledger.doctor.check import Check, Finding, note, ok

IN_CREATE = 0x100
_LIMITS = {errno.EMFILE: "max_user_instances", errno.ENOSPC: "max_user_watches"}


def look() -> Iterator[Finding]:
    """One watch on this folder; voxledger itself does without, editors and `tail -f` do not."""
    if sys.platform != "linux":
        return
    libc = ctypes.CDLL(None, use_errno=True)
    handle = libc.inotify_init1(os.O_CLOEXEC)
    watched = handle >= 0 and libc.inotify_add_watch(handle, b".", IN_CREATE) >= 0
    number = ctypes.get_errno()
    if handle >= 0:
        os.close(handle)
    if watched:
        yield ok("files can be watched for changes")
        return
    limit = _LIMITS.get(number)
    yield note(
        f"files cannot be watched for changes: {os.strerror(number)}",
        f"raise `sysctl fs.inotify.{limit}` or `ulimit -n`, or end what watches" if limit else "use a local disk",
    )


CHECK = Check(look)
