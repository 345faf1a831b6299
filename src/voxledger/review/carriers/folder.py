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
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import file_sha256
from voxledger.records.bundle import list_files
from voxledger.review.carrier import Lines, Where
from voxledger.review.shared import SharedFolder


class _Folders(SharedFolder):
    def send(self, folder: Path, reviewer: str) -> Lines:
        place, back = self.prepare(reviewer)
        target = place / folder.name
        if target.exists():
            _require_same(folder, target, back)
        else:
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


def _require_same(folder: Path, target: Path, back: Path) -> None:
    """Raise if what lies there is not the bundle as it is sent: somebody may have worked in it."""
    names = list_files(folder)
    if names != list_files(target) or any(file_sha256(folder / n) != file_sha256(target / n) for n in names):
        raise VoxledgerError(
            f"{target} is there already, and is not what is sent: somebody may have worked in it",
            f"if it is a review, move it into {back} and fetch it; else move it away; then send again",
        )
