"""folder: the unpacked bundle in a folder that both reach; the reviewer moves it to `return` once it is done.

`folder:/media/share` puts it into `/media/share/alice/bundle/bundle-r01-alice`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxledger.disk import naming
from voxledger.imaging.volume import file_sha256
from voxledger.records.bundle import list_files
from voxledger.review.carrier import Lines, Where
from voxledger.review.shared import SharedFolder


class _Folders(SharedFolder):
    def send(self, folder: Path, reviewer: str) -> Lines:
        place, back = self.prepare(reviewer)
        target = place / folder.name
        if target.exists() and not _is_same(folder, target):
            raise self.occupied(target, back)
        if not target.exists():
            partial = place / f".{folder.name}.{os.getpid()}"
            try:
                with naming(target):
                    for name in list_files(folder):
                        (partial / name).parent.mkdir(parents=True, exist_ok=True)
                        shutil.copyfile(folder / name, partial / name)
                    os.replace(partial, target)
            finally:
                shutil.rmtree(partial, ignore_errors=True)
        return Lines(f'open the folder "{target}"', f'when you are done, move the folder into "{back}"')


@contextmanager
def connect(where: Where) -> Iterator[_Folders]:
    """Open the place.

    Raises
    ------
    Misuse
        There is no such folder.

    Examples
    --------
    >>> from voxledger.review.carrier import example
    >>> example("folder")
    ['alice/bundle/bundle-r01-alice/bundle.json']
    """
    yield _Folders(where)


def _is_same(folder: Path, target: Path) -> bool:
    """Whether what lies there is the bundle as it is sent: somebody may have worked in it."""
    names = list_files(folder)
    return names == list_files(target) and all(file_sha256(folder / n) == file_sha256(target / n) for n in names)
