"""What lies in `data/weak` of a case."""

from __future__ import annotations

from pathlib import Path

from voxledger import layout
from voxledger.imaging.volume import Grid, read_label
from voxledger.schema import LabelSchema
from voxledger.weak.label import WeakLabel
from voxledger.weak.marks import of_today, parse_marks, weak_labels
from voxledger.weak.objects import objects


def weak_files(case_id: str) -> tuple[Path, ...]:
    """The files in `data/weak` that hold weak labels of a case: none, or one."""
    candidates = layout.label_map(layout.WEAK, case_id), layout.weak_marks(case_id)
    return tuple(path for path in candidates if path.is_file())


def read_weak(case_id: str, grid: Grid, schema: LabelSchema) -> list[WeakLabel]:
    """The weak labels of a case, one an object; none where nothing was given.

    Files stay as they were given. A class that was renamed since has its name of today, and what marks a retired class
    marks nothing, but where it was drawn as a part of the class it lay in.

    Parameters
    ----------
    grid
        Grid of the image of the case.

    Raises
    ------
    CaseRefused, GridMismatch, UnknownLabel, UnreadableImage
        What lies there does not fit the case: another grid, outside of the image, a class that is not in the schema.
    """
    found = []
    for path in weak_files(case_id):
        if path.suffix == ".json":
            marks = parse_marks(path.read_bytes(), str(path), case_id, grid, schema, kept=True)
            found += weak_labels(of_today(marks, schema), case_id, grid)
            continue
        labels = read_label(path, grid)
        schema.check(schema.repaint_retired(labels), str(path))
        found += objects(labels, case_id, "nifti", grid, schema)
    return found
