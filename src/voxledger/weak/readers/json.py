"""json: marks as voxledger keeps them, see `voxledger.weak.marks`; of version 0.3 and before, one diameter."""

from __future__ import annotations

from pathlib import Path

from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema
from voxledger.weak.marks import MOST_BYTES, Marks, parse_marks
from voxledger.weak.reader import Given, Reader


def recognises(path: Path) -> bool:
    """Whether it ends in `.json`.

    Examples
    --------
    >>> [recognises(Path(name)) for name in ("case-7.nii.gz", "case-7.json")]
    [False, True]
    """
    return path.suffix == ".json"


def read(given: Given, case_id: str, grid: Grid, schema: LabelSchema) -> Marks:
    """The marks, on the image and of classes of the schema alone."""
    assert given.file is not None
    with given.file.open("rb") as stream:
        return parse_marks(stream.read(MOST_BYTES + 1), given.what, case_id, grid, schema)


READER = Reader(recognises, read)
