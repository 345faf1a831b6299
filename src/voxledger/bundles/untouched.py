"""What a person changed in the bundles that went out: it is named, and nothing touches it."""

from __future__ import annotations

from pathlib import Path

from voxledger import layout
from voxledger.errors import BundleRefused
from voxledger.imaging.volume import file_sha256
from voxledger.records.bundle import MANIFEST, is_junk, is_returned, list_files, read_manifest


def touched(bundles: Path, *, every_byte: bool = False) -> list[Path]:
    """Files under a folder of exported bundles that are not what export wrote: changed or added since.

    Parameters
    ----------
    every_byte
        Hash images and attention too; by default only their sizes are compared.
    """
    found = []
    for item in sorted(bundles.iterdir()) if bundles.is_dir() else []:
        if is_junk(item.name):
            continue
        manifest_file = item / MANIFEST
        try:
            sent = read_manifest(manifest_file.read_bytes(), str(manifest_file))
        except (OSError, BundleRefused):
            found.append(manifest_file if manifest_file.exists() else item)
            continue
        for path in list_files(item):
            file, exported = item / path, sent.files.get(path)
            if path == MANIFEST:
                continue
            if (
                exported is None
                or not file.is_file()
                or file.stat().st_size != exported.bytes
                or ((every_byte or is_returned(path)) and file_sha256(file) != exported.sha256)
            ):
                found.append(file)
    return found


def in_words(files: list[Path]) -> str:
    """Which files were touched."""
    shown = ", ".join(f.as_posix() for f in files[:5]) + (f" and {len(files) - 5} more" if len(files) > 5 else "")
    return f"changed or added since it went out: {shown}"


def remedy(bundles: Path, name: str) -> str:
    """How work that was done where a bundle went out comes in, and the bundle becomes what it was."""
    return (
        f"nothing there is touched. If it is somebody's review, `voxledger round run` keeps it in {layout.INBOX}, "
        "takes it in as `voxledger review receive` does, and brings back what went out; if nobody wants it, "
        f"`dvc checkout --force {bundles}` removes it"
    )


def require_untouched(bundles: Path, *, every_byte: bool = False) -> None:
    """Raise if a person has worked in the bundles that went out.

    Raises
    ------
    BundleRefused
        Names the files, and how the work comes in.
    """
    files = touched(bundles, every_byte=every_byte)
    if files:
        name = files[0].relative_to(bundles).parts[0]
        raise BundleRefused(f"{bundles / name} was {in_words(files)}", remedy(bundles, name))
