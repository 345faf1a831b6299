"""Reading a label that a reviewer saved, in whatever format, as a label map on the grid of its image; or why not.

What a viewer did to the grid is undone where no voxel changes by it: flips, other orders of axes, crops, pads. A grid
of other voxels is refused, or resampled where the curator said so.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxledger.bundles.merge import LabelMap
from voxledger.errors import GridMismatch, UnknownLabel, UnreadableImage
from voxledger.imaging.format import format_of
from voxledger.imaging.intact import beginning, intact
from voxledger.imaging.placement import Placement, mismatch, placement, resampled
from voxledger.imaging.segments import Segment, Segmentation, classes_of, draw, placed, require_inside
from voxledger.imaging.volume import Grid, Volume, differences, read_grid, read_label, smallest_unsigned
from voxledger.params import Outside
from voxledger.schema import LabelSchema

MOST_PADDING = 8
"""A label of more voxels than so many times those of its image was not padded by a viewer."""
SAVE_AS = "save it as labels/<case>.nii.gz with the image as reference volume, as README.md of the bundle says"

RESAMPLING = "; or the curator takes the nearest voxels with `voxledger review receive --resample`"


@dataclass(frozen=True)
class Expected:
    """What a returned label has to fit, and what is done where it does not quite."""

    schema: LabelSchema
    shown: Volume
    """The proposal, on the grid of the image."""
    most_bytes: int
    """Bound on the uncompressed size of one file."""
    outside: Outside | None = None
    """What voxels are outside the extent of a label map that was cropped; None: it is refused."""
    resample: bool = False
    """Whether a label on other voxels gets the nearest one of each."""
    save_as: str = SAVE_AS
    """What is said of a label that does not fit."""


@dataclass(frozen=True)
class ReturnedLabel:
    """A label as it counts."""

    labels: LabelMap
    """Innermost ids (z, y, x) on the grid of the image."""
    notes: tuple[str, ...] = ()
    """What was undone or decided to get there, for people."""
    resampled: bool = False


def read_returned_label(paths: Sequence[Path], by_class: bool, expected: Expected) -> ReturnedLabel:
    """Read the label of one case: a label map or a segmentation; `by_class`: one binary file a class, named as that.

    Raises
    ------
    UnreadableImage
        A file is damaged, larger than `most_bytes`, or no label; or its classes overlap.
    UnknownLabel
        It holds ids or segments that are no class.
    GridMismatch
        Its voxels are not those of the image: the message says whether it was resampled, turned or shifted. Or it has
        some outside of the image.
    """
    if by_class:
        return _from_files(paths, expected)
    (first,) = paths
    with _named(first, first, expected):
        form = format_of(first)
    if form.read_segments is None:
        return _from_map(first, expected)
    with intact(first, expected.most_bytes) as plain, _named(first, plain, expected):
        segmentation = form.read_segments(plain, expected.shown.grid)
        return _from_segments(segmentation, str(first), expected)


def _from_map(path: Path, expected: Expected) -> ReturnedLabel:
    labels, grid, at = _read_map(path, expected)
    expected.schema.check(labels, str(path))
    if at is None:
        outside = resampled(np.ones(labels.shape, np.uint8), grid, expected.shown.grid) == 0
        found = resampled(labels, grid, expected.shown.grid)
        note = _nearest(grid, expected.shown.grid)
        return _outside(found, outside, expected, (note,), True)
    require_inside(at.beyond(labels), str(path))
    if not at.is_cropped:
        return ReturnedLabel(smallest_unsigned(np.ascontiguousarray(at.cut(labels))), _undone(at))
    if expected.outside is None:
        raise GridMismatch(
            f"{path} was cropped, and says nothing of the rest of its image", f"{expected.save_as}, in its whole extent"
        )
    found, outside = np.zeros(at.image, labels.dtype), np.ones(at.image, np.bool_)
    found[at.inside], outside[at.inside] = at.cut(labels), False
    return _outside(found, outside, expected, _undone(at), False)


def _outside(
    labels: LabelMap, outside: npt.NDArray[np.bool_], expected: Expected, notes: tuple[str, ...], was_resampled: bool
) -> ReturnedLabel:
    """Fill what lies outside of a label as `review.outside` says."""
    shown = expected.shown.array
    concerned = int(np.count_nonzero(shown[outside]))
    if concerned:
        kept = expected.outside == "unchanged"
        if kept:
            labels = labels.astype(np.promote_types(labels.dtype, shown.dtype))
            labels[outside] = shown[outside]
        became = "are as they were sent" if kept else "are empty now"
        notes += (f"{concerned} labelled voxels outside of its extent {became} (review.outside: {expected.outside})",)
    return ReturnedLabel(smallest_unsigned(labels), notes, was_resampled)


def _from_segments(segmentation: Segmentation, what: str, expected: Expected) -> ReturnedLabel:
    grid, image = segmentation.grid, expected.shown.grid
    segments = classes_of(segmentation.segments, expected.schema, what)
    at = placement(grid, image)
    if at is not None:
        segments = placed(segments, at, what)
        notes = _turned(at)
    else:
        _require_resampling(what, grid, expected)
        segments = {name: _resampled(segment, grid, image) for name, segment in segments.items()}
        notes = (_nearest(grid, image),)
    drawn = draw(expected.schema, segments, expected.shown.array, what)
    return ReturnedLabel(drawn.labels, (*notes, *drawn.notes), at is None)


def _from_files(paths: Sequence[Path], expected: Expected) -> ReturnedLabel:
    """One binary file a class; classes without a file are as they were sent."""
    image, notes, segments, any_resampled = expected.shown.grid, [], [], False
    for path in paths:
        labels, grid, at = _read_map(path, expected)
        if len(np.unique(labels[labels != 0])) > 1:
            raise UnreadableImage(f"{path} is not the mask of one class: it holds several values", "give 0 and 1")
        name = path.name[: -len(format_of(path).suffix(path))]
        if at is None:
            any_resampled = True
            mask = resampled((labels != 0).astype(np.uint8), grid, image)
            notes.append(f"{name} {_nearest(grid, image)}")
            segments.append(Segment.of(name, mask))
            continue
        notes += [f"{name} {note}" for note in _turned(at)]
        segment = Segment.of(name, labels)
        segments.append(placed({name: segment}, at, str(path))[name])
    folder = paths[0].parent
    classes = classes_of(segments, expected.schema, str(folder))
    drawn = draw(expected.schema, classes, expected.shown.array, str(folder))
    return ReturnedLabel(drawn.labels, (*notes, *drawn.notes), any_resampled)


def _resampled(segment: Segment, grid: Grid, image: Grid) -> Segment:
    mask = np.zeros(grid.shape, np.uint8)
    mask[segment.box] = segment.mask
    return Segment.of(segment.name, resampled(mask, grid, image), segment.code)


def _read_map(path: Path, expected: Expected) -> tuple[LabelMap, Grid, Placement | None]:
    """A label map with its grid, and where it lies in the image; None where it is to be resampled."""
    # The grid first: a label on a much larger one exceeds `most_bytes`, and that would be no reason to act on.
    with beginning(path) as plain, _named(path, plain, expected):
        grid = read_grid(plain)
    at = placement(grid, expected.shown.grid)
    if at is None:
        _require_resampling(str(path), grid, expected)
    most = min(math.prod(grid.shape) * 8 + (1 << 20), expected.most_bytes * MOST_PADDING)
    with intact(path, most) as plain, _named(path, plain, expected):
        return read_label(plain), grid, at


def _require_resampling(what: str, grid: Grid, expected: Expected) -> None:
    if not expected.resample:
        image = expected.shown.grid
        raise GridMismatch(
            f"{what} {mismatch(grid, image)}: {'; '.join(_differences(grid, image))}",
            f"{expected.save_as}{'' if expected.outside is None else RESAMPLING}",
        )


def _nearest(grid: Grid, image: Grid) -> str:
    return f"{mismatch(grid, image)}: every voxel of the image has the label of the nearest one"


def _undone(at: Placement) -> tuple[str, ...]:
    return (f"{', '.join(at.steps)}: put back by its geometry, no voxel changed",) if at.steps else ()


def _turned(at: Placement) -> tuple[str, ...]:
    """What was undone of a mask: outside of its extent there is none of it, however far it goes."""
    return _undone(replace(at, start=(0, 0, 0), image=at.shape))


@contextmanager
def _named(path: Path, plain: Path, expected: Expected) -> Iterator[None]:
    """Let errors about the plain copy of a file name the file, and say how a label is saved."""
    try:
        yield
    except (UnreadableImage, UnknownLabel, GridMismatch) as error:
        problem = error.problem.replace(str(plain), str(path))
        remedy = error.remedy if isinstance(error, GridMismatch) else f"{error.remedy}; {expected.save_as}"
        raise type(error)(problem, remedy) from None


def _differences(grid: Grid, image: Grid) -> list[str]:
    """How two grids differ; size and spacing go together, as one needs both to see what a viewer did."""
    rest = differences(replace(grid, shape=image.shape, spacing=image.spacing), image)
    if len(differences(grid, image)) == len(rest):
        return rest
    return [f"it has {_extent(grid)}, its image {_extent(image)} (x × y × z)", *rest]


def _extent(grid: Grid) -> str:
    size, spacing = (" × ".join(f"{v:g}" for v in values[::-1]) for values in (grid.shape, grid.spacing))
    return f"{size} voxels of {spacing} mm"
