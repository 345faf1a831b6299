"""zip: the bundle as a zip in a folder that both reach; the reviewer puts a zip of the return into `return`.

`zip:/media/stick` puts it into `/media/stick/alice/bundle/bundle-r01-alice.zip`.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from voxledger.disk import naming
from voxledger.imaging.volume import file_sha256
from voxledger.review.carrier import Lines, Where
from voxledger.review.pack import packed
from voxledger.review.shared import SharedFolder


class _Zips(SharedFolder):
    def send(self, folder: Path, reviewer: str) -> Lines:
        place, back = self.prepare(reviewer)
        target = place / f"{folder.name}.zip"
        with packed(folder) as archive:
            if not target.exists():
                partial = place / f".{target.name}.{os.getpid()}"
                try:
                    with naming(target):
                        shutil.copyfile(archive, partial)
                        os.replace(partial, target)
                finally:
                    partial.unlink(missing_ok=True)
            elif file_sha256(archive) != file_sha256(target):
                raise self.occupied(target, back)
        return Lines(f'unpack "{target}"', f'when you are done, put a zip of the folder into "{back}"')


@contextmanager
def connect(where: Where) -> Iterator[_Zips]:
    """Open the place.

    Raises
    ------
    Misuse
        There is no such folder.

    Examples
    --------
    >>> from voxledger.review.carrier import example
    >>> example("zip")
    ['alice/bundle/bundle-r01-alice.zip']
    """
    yield _Zips(where)
