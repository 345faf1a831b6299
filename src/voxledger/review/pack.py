"""Packing a bundle for sending."""

from __future__ import annotations

import os
import zipfile
from pathlib import Path

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


def pack(folder: Path, target: Path) -> None:
    """Zip a bundle folder under its own name; the same folder always makes the same bytes."""
    partial = target.with_name(f".{target.name}.{os.getpid()}")
    try:
        with naming(target), zipfile.ZipFile(partial, "w") as archive:
            for path in list_files(folder):
                info = zipfile.ZipInfo(f"{folder.name}/{path}", _EPOCH)
                info.external_attr = 0o644 << 16
                kind = zipfile.ZIP_STORED if path.endswith(_STORED) else zipfile.ZIP_DEFLATED
                info.compress_type = kind
                with open(folder / path, "rb") as source, archive.open(info, "w", force_zip64=True) as sink:
                    while block := source.read(1 << 20):
                        sink.write(block)
        os.replace(partial, target)
    finally:
        partial.unlink(missing_ok=True)
