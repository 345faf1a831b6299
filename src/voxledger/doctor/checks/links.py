"""Links: whether DVC's cache and the working tree can hold a file once."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from voxledger.doctor.check import Check, Finding, note, ok
from voxledger.repository import dvc_cache, dvc_settings

BY_DEFAULT = "reflink,copy"
REMEDY = "`dvc config cache.type reflink,hardlink,symlink,copy`"


def look() -> Iterator[Finding]:
    """Hard links from the cache to here, and whether DVC may make any."""
    types = dvc_settings().get("cache.type", BY_DEFAULT).split(",")
    cache = dvc_cache()
    if not cache.is_dir():
        return
    if not {"hardlink", "symlink"} & set(types):
        yield note("DVC makes no hard links: where the disk has no reflinks, data lies here twice", REMEDY)
    elif _linked(cache) or "symlink" in types:
        yield ok(f"DVC links data ({','.join(types)})")
    else:
        yield note(f"{cache} and {Path.cwd()} share no hard links, as on two disks: data lies here twice", REMEDY)


def _linked(cache: Path) -> bool:
    with tempfile.NamedTemporaryFile(dir=cache) as probe:
        link = Path(f".doctor.{os.getpid()}")
        try:
            os.link(probe.name, link)
        except OSError:
            return False
        link.unlink()
    return True


CHECK = Check(look, in_repository=True)
