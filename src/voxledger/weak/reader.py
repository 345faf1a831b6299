"""What every reader of weak labels is: it turns what people mark objects in into what is kept in `data/weak`."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt

from voxledger.casemap.job import content, place
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema
from voxledger.weak.marks import Marks


@dataclass(frozen=True)
class Given:
    """What somebody gave for one case."""

    reader: str = content()
    """Name of the reader."""
    what: str = place()
    """What it is called in errors."""
    file: Path | None = content()
    """A file of this case; None where a table of all cases was given."""
    rows: str = content()
    """What a table says of this case, as its reader wants it; empty where there is a file."""
    class_name: str = content()
    """Class of what does not name its own; empty where that was not said."""


Kept = Marks | npt.NDArray[Any]
"""What is kept of a case: marks, or a label map (z, y, x) on the grid of its image."""


@dataclass(frozen=True)
class Reader:
    """One reader; its module in `weak/readers/` holds it as `READER`.

    Parameters
    ----------
    recognises
        Whether a file is for it, by its name.
    read
        Turns what was given for a case into what is kept of it. Raises `CaseRefused` or another error of
        `voxledger.errors` where it does not fit the image or the schema.
    rows
        Of a table of all cases: what it says of each of some cases, as text for `read`; cases that it does not name are
        left out. None where every case has a file of its own.
    names_classes
        Whether it says of what class a mark is; otherwise a person has to.
    """

    recognises: Callable[[Path], bool]
    read: Callable[[Given, str, Grid, LabelSchema], Kept]
    rows: Callable[[Path, Collection[str]], Mapping[str, str]] | None = None
    names_classes: bool = True
