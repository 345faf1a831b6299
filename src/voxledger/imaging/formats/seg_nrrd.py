"""Segmentations of 3D Slicer: NRRD files whose numbers and extent are not those of a label map. They are refused.

Their name ends in `.seg.nrrd`, or their header has segments under any name.
"""

from __future__ import annotations

from pathlib import Path
from typing import IO

from voxledger.imaging.format import Format
from voxledger.imaging.unpack import HEADER_LIMIT

PROBLEM = "is a 3D Slicer segmentation, whose numbers and extent are not those of the label map"
REMEDY = "in 3D Slicer, Segmentations, Export to files"


def is_segmentation(path: Path) -> bool:
    """Whether a file is a segmentation of 3D Slicer, by its name, or by its header if it is a readable NRRD file.

    Examples
    --------
    >>> is_segmentation(Path("Segmentation.seg.nrrd"))
    True
    """
    if path.name.lower().endswith(".seg.nrrd"):
        return True
    if not path.name.lower().endswith(".nrrd") or not path.is_file():
        return False
    with open(path, "rb") as stream:
        return b"\nSegment0_" in stream.read(HEADER_LIMIT).partition(b"\n\n")[0]


def unpack(stream: IO[bytes], sink: IO[bytes], most_bytes: int) -> None:
    """Never called: files of a refused format are not opened."""
    raise ValueError(f"it {PROBLEM}")


FORMAT = Format({".seg.nrrd": unpack}, claims=is_segmentation, refused=(PROBLEM, REMEDY))
