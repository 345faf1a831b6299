"""How nnU-Net's readers of images, which plans name, turn the array before anything else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxledger.errors import VoxledgerError
from voxledger.imaging.orientation import Turn
from voxledger.imaging.volume import Grid

_READERS = {
    "SimpleITKIO": None,
    "NibabelIO": None,
    "NibabelIOWithReorient": "RAS",
    "SimpleITKIOWithReorient": "RAS",
}
"""By reader, where the axes x, y, z of the array that it hands over point to; None: as they are stored."""


def require_reader(path: Path, plans: dict[str, Any]) -> None:
    """Raise `VoxledgerError`, which names the plans, unless their reader is one of volumes."""
    if (name := plans.get("image_reader_writer", "SimpleITKIO")) not in _READERS:
        raise VoxledgerError(
            f"{path}: images were read by {name}, which is not for volumes with a geometry",
            f"adopt a model whose reader is one of {', '.join(_READERS)}",
        )


def turn_of(plans: dict[str, Any], grid: Grid) -> Turn:
    """How the array of an image (z, y, x) on a grid is turned before such a network sees it."""
    codes = _READERS[plans.get("image_reader_writer", "SimpleITKIO")]
    return Turn.to(codes, grid) if codes else Turn((0, 1, 2), (False, False, False))
