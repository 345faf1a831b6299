"""nifti: label maps with a few slices, in every format that labels are read in; kept as NIfTI."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy.typing as npt

from voxledger.errors import CaseRefused
from voxledger.imaging.format import other_suffixes, suffixes
from voxledger.imaging.intact import read_whole_label
from voxledger.imaging.volume import Grid, smallest_unsigned
from voxledger.schema import LabelSchema
from voxledger.weak.reader import Given, Reader


def recognises(path: Path) -> bool:
    """Whether it is called like an image, also like one that is refused with a reason when it is read.

    Examples
    --------
    >>> [recognises(Path(name)) for name in ("case-7.nii.gz", "case-7.nrrd", "case-7.json")]
    [True, True, False]
    """
    return path.name.endswith((*other_suffixes(), *suffixes()))


def read(given: Given, case_id: str, grid: Grid, schema: LabelSchema) -> npt.NDArray[Any]:
    """The label map (z, y, x), on the grid of its image and with ids of the schema alone."""
    assert given.file is not None
    labels = read_whole_label(given.file, grid)
    schema.check(labels, given.what)
    if not labels.any():
        raise CaseRefused(f"{given.what} marks nothing: every voxel is 0", "leave it out")
    return smallest_unsigned(labels)


READER = Reader(recognises, read)
