"""Packing a bundle for sending."""

from __future__ import annotations

import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from io import BytesIO
from pathlib import Path
from types import MappingProxyType
from typing import IO

from voxledger.disk import naming
from voxledger.errors import Misuse
from voxledger.records.bundle import list_files, sent_bundles

_EPOCH = (1980, 1, 1, 0, 0, 0)
_STORED = (".gz", ".nrrd", ".mha")


def find_bundle(bundles: Path, reviewer: str, round_number: int) -> Path:
    """The exported folder of a reviewer in a round."""
    found = {manifest.reviewer: folder for folder, manifest in sent_bundles(bundles, round_number).items()}
    if reviewer not in found:
        raise Misuse(
            f"there is no bundle for {reviewer} in {bundles}",
            f"name one of {', '.join(sorted(found))}" if found else "run `voxledger round run` first",
        )
    return found[reviewer]


def pack(folder: Path, target: Path, instead: Mapping[str, bytes] = MappingProxyType({})) -> None:
    """Zip a bundle folder under its own name; the same folder always makes the same bytes.

    Files of `instead` come in the place of those of the folder, or beside them.
    """
    files = {path: opening(folder / path) for path in list_files(folder)}
    files |= {path: partial(BytesIO, content) for path, content in instead.items()}
    write_zip(target, {f"{folder.name}/{path}": opener for path, opener in files.items()})


def opening(path: Path) -> Callable[[], IO[bytes]]:
    """What opens a file once it is needed."""
    return lambda: open(path, "rb")


@contextmanager
def packed(folder: Path, instead: Mapping[str, bytes] = MappingProxyType({})) -> Iterator[Path]:
    """The same in a place of its own, for as long as it is needed."""
    with tempfile.TemporaryDirectory(prefix="voxledger-") as place:
        target = Path(place) / f"{folder.name}.zip"
        pack(folder, target, instead)
        yield target


def write_zip(target: Path, files: Mapping[str, Callable[[], IO[bytes]]]) -> None:
    """Zip files in the order given, by their paths in the zip; the same files always make the same bytes."""
    partial_file = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with naming(target), zipfile.ZipFile(partial_file, "w") as archive:
            for path, opener in files.items():
                info = zipfile.ZipInfo(path, _EPOCH)
                info.external_attr = 0o644 << 16
                info.compress_type = zipfile.ZIP_STORED if path.endswith(_STORED) else zipfile.ZIP_DEFLATED
                with opener() as source, archive.open(info, "w", force_zip64=True) as sink:
                    while block := source.read(1 << 20):
                        sink.write(block)
        os.replace(partial_file, target)
    finally:
        partial_file.unlink(missing_ok=True)
