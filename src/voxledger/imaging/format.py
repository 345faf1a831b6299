"""What every format of images and labels is: how a file is found whole, and how it is read."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

from voxledger.errors import UnreadableImage
from voxledger.registry import FORMATS
from voxledger.schema import LabelSchema

if TYPE_CHECKING:
    import numpy.typing as npt

    from voxledger.imaging.segments import Segmentation
    from voxledger.imaging.volume import Grid, Volume


@dataclass(frozen=True)
class Origin:
    """What a written label is of, for formats that refer to the image that it was drawn on."""

    name: str
    """Dataset, version and case: UIDs derive from it where no source is known, so that bytes repeat."""
    source: Source | None = None


@dataclass(frozen=True)
class Source:
    """The DICOM series that an image was made from."""

    study: str
    """Study Instance UID."""
    series: str
    """Series Instance UID."""
    frame_of_reference: str
    sop_class: str
    instances: tuple[str, ...]
    """SOP Instance UIDs, slice by slice of the image."""


Unpack = Callable[[IO[bytes], IO[bytes], int], None]
"""Copies a file from outside, unpacked, from the first stream to the second: at most so many bytes, checksums verified.

Raises `ValueError` with the reason where the file is not whole, keeps its voxels in another file, or has libraries
read others than it seems. Libraries read
what is missing as zeros, so that a label would lose its last slices without a word.
`voxledger.imaging.unpack` has what all need.
"""

WriteLabels = Callable[[Path, "npt.NDArray[Any]", "Grid", LabelSchema, Origin], None]


@dataclass(frozen=True)
class Format:
    """One format; the file that holds it, as `FORMAT`, has its name.

    Parameters
    ----------
    unpack
        By suffix, in small letters. Keep the suffix in mind by which the plain copy is read: `plain`.
    plain
        Suffix of the unpacked copy, one of those above.
    read
        Reads an unpacked file that is there: voxels (z, y, x) and the grid they lie on.
    read_grid
        Reads the grid of such a file, of which voxels may be missing.
    claims
        Whether a file with the suffix of another format is really one of this.
    data_file
        Of a format whose header and voxels are two files: where those of a header lie. `unpack` gets both, one after
        the other.
    header_bytes
        Of such a format: how many bytes of the file of the header count; 0 are all.
    read_segments
        Of a format that holds named masks and no label map: reads an unpacked file that belongs to an image on a grid.
    write_labels
        Writes a label map (z, y, x) of innermost ids on a grid, with names, codes and colours of its classes.
    refused
        Of a format that cannot be read as an image: what is wrong with it there, and what to do.
    """

    unpack: Mapping[str, Unpack]
    plain: str = ""
    read: Callable[[Path], Volume] | None = None
    read_grid: Callable[[Path], Grid] | None = None
    claims: Callable[[Path], bool] | None = None
    data_file: Callable[[Path], Path] | None = None
    header_bytes: int = 0
    read_segments: Callable[[Path, Grid], Segmentation] | None = None
    write_labels: WriteLabels | None = None
    refused: tuple[str, str] | None = None

    def suffix(self, path: Path) -> str:
        """The suffix that a file has of this format; empty where it has none."""
        return max((s for s in self.unpack if path.name.lower().endswith(s)), key=len, default="")


def format_of(path: Path) -> Format:
    """The format of a file, by what is in it and by its name.

    Raises
    ------
    UnreadableImage
        It has none that is known, or one that is only known to be refused.

    Examples
    --------
    >>> format_of(Path("case-7.nii.gz")).plain
    '.nii'
    >>> format_of(Path("case-7.seg.nrrd")).plain
    '.seg.nrrd'
    """
    known, broken = _formats()
    fitting = [f for f in known if f.claims is not None and f.claims(path)]
    fitting += sorted((f for f in known if f.suffix(path)), key=lambda f: -len(f.suffix(path)))
    if not fitting and broken:
        raise broken[0]
    if not fitting:
        raise UnreadableImage(f"{path} is none of {', '.join(suffixes())}", "save it as one of these")
    if fitting[0].read is None and fitting[0].read_segments is None:
        raise not_an_image(path, fitting[0])
    return fitting[0]


def parts_of(path: Path) -> list[Path]:
    """A file, and the one that its voxels lie in where that is another."""
    try:
        data_file = format_of(path).data_file
        parts = [path] if data_file is None else [path, data_file(path)]
    except (UnreadableImage, ValueError):
        return [path]  # said when it is read
    return [part for part in parts if part.is_file()]


def not_an_image(path: Path, form: Format) -> UnreadableImage:
    """Of a file that cannot be read as an image: why, and what to do."""
    problem, remedy = form.refused or ("is no image", "save it as one")
    return UnreadableImage(f"{path} {problem}", remedy)


def suffixes() -> tuple[str, ...]:
    """Suffixes of all files that can be read as images, those of NIfTI first.

    Examples
    --------
    >>> suffixes()
    ('.nii.gz', '.nii', '.mgz', '.mgh', '.mha', '.mhd', '.hdr', '.nrrd')
    """
    return tuple(suffix for f in _formats()[0] if f.read for suffix in f.unpack)


def other_suffixes() -> tuple[str, ...]:
    """Suffixes of files that hold named masks, or are refused with a reason.

    Examples
    --------
    >>> other_suffixes()
    ('.dcm', '.seg.nrrd')
    """
    return tuple(dict.fromkeys(suffix for f in _formats()[0] if not f.read for suffix in f.unpack))


def _formats() -> tuple[list[Format], list[Exception]]:
    """Formats, NIfTI first and those of other packages last, and why some of other packages do not work.

    Those are named once on standard error: their files would be passed over in a folder.
    """
    found, broken = FORMATS.load()
    for error in broken:
        _warn(str(error))
    names = sorted(found, key=lambda name: (name != "nifti", FORMATS.origin(name), name))
    return [found[name] for name in names], list(broken)


@cache
def _warn(text: str) -> None:
    print(text, file=sys.stderr, flush=True)
