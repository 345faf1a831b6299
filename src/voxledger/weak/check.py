"""What every check of a predicted object against its weak label is: a number, and the bounds that it has to lie in."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import Box, bounding_box
from voxledger.imaging.components import connected_components
from voxledger.imaging.volume import Grid
from voxledger.params import BoundsParams
from voxledger.registry import WEAK_CHECKS
from voxledger.weak.geometry import line, planes
from voxledger.weak.label import KINDS, Kind, WeakLabel
from voxledger.weak.prompts import prompts_of

Mask = npt.NDArray[np.bool_]


@dataclass(frozen=True)
class Marked:
    """One object as it was predicted, beside the weak label that it was predicted from.

    Parameters
    ----------
    weak
        What was given.
    mask
        The object, as a mask of the whole image (z, y, x).
    grid
        Grid of the image.
    crop
        The box of the image that the network looked at; None where that is all that it needed.
    probability
        What the network said of every voxel of the image (z, y, x); None where the mask is all that there is.
    """

    weak: WeakLabel
    mask: Mask
    grid: Grid
    crop: Box | None = None
    probability: npt.NDArray[Any] | None = None

    @cached_property
    def prompted(self) -> Mask:
        """The voxels (z, y, x) that the network was told of: what is but a guess left out."""
        told = np.zeros(self.mask.shape, np.bool_)
        for prompt in prompts_of(self.weak, self.grid):
            if prompt.kind == "guess":
                continue
            told[_box(prompt.start, prompt.mask.shape)] |= prompt.mask
        return told

    @cached_property
    def marked(self) -> npt.NDArray[np.int64]:
        """The voxels (n, 3) of what was drawn or measured: lines one voxel wide; of a box none."""
        if self.weak.mask.size:
            return np.argwhere(self.weak.mask) + self.weak.start
        if self.weak.kind != "recist":
            return np.zeros((0, 3), np.int64)
        ends = self.weak.points
        return np.unique(
            np.concatenate([line(ends[a : a + 2], self.grid.shape) for a in range(0, len(ends), 2)]), axis=0
        )

    @cached_property
    def components(self) -> tuple[npt.NDArray[Any], int]:
        """The pieces of the object, numbered from 1, and how many."""
        return connected_components(self.mask)

    @cached_property
    def plane(self) -> tuple[int, int]:
        """Axis and index of the plane that the mark lies in; of a box of several slices, the one that was told."""
        told = bounding_box(self.prompted)
        assert told is not None  # there is a prompt
        if self.weak.kind in ("slice_mask", "slices"):
            axis, index = next(planes(self.weak.mask))
            return axis, index + self.weak.start[axis]
        axis = next(a for a in range(3) if told[a].stop - told[a].start == 1)
        return axis, told[axis].start

    def in_plane(self, mask: Mask) -> tuple[Mask, tuple[float, float]]:
        """What of a mask (z, y, x) lies in that plane, and the spacing there in mm."""
        axis, index = self.plane
        a, b = (self.grid.spacing[other] for other in range(3) if other != axis)
        return np.take(mask, index, axis), (a, b)

    @cached_property
    def touching(self) -> Mask:
        """The pieces (z, y, x) of the object that touch what was told."""
        labels, _ = self.components
        hit = np.unique(labels[self.prompted])
        return np.isin(labels, hit[hit > 0])


@dataclass(frozen=True)
class WeakCheck:
    """One check; its module in `weak/checks/` holds it as `CHECK`.

    Parameters
    ----------
    kinds
        Weak labels that can be checked so.
    measure
        The number; where nothing was predicted it has to lie outside of the bounds of at least one check of each kind.
    low, high
        Bounds, both inside; `infer.bounds` in `params.yaml` replaces them under the name of the check.
    """

    measure: Callable[[Marked], float]
    low: float = -math.inf
    high: float = math.inf
    kinds: tuple[Kind, ...] = KINDS


@dataclass(frozen=True)
class Bounds:
    """The numbers that are in order, both ends inside; None is no bound."""

    low: float | None
    high: float | None

    def __str__(self) -> str:
        low = [] if self.low is None else [f">={self.low:g}"]
        return " ".join([*low, *([] if self.high is None else [f"<={self.high:g}"])])

    def hold(self, measured: float) -> bool:
        """Whether a number lies in them; one that is no number does not.

        >>> [Bounds(0.7, None).hold(value) for value in (0.7, 0.6, float("nan"))]
        [True, False, False]
        """
        return (self.low is None or measured >= self.low) and (self.high is None or measured <= self.high)


def bounds_of(chosen: Mapping[str, BoundsParams]) -> dict[str, Bounds]:
    """The bounds of every check: those of its file, or what `infer.bounds` says instead under its name."""
    found = {}
    for name, check in WEAK_CHECKS.all().items():
        both = {"low": check.low if math.isfinite(check.low) else None}
        both["high"] = check.high if math.isfinite(check.high) else None
        said = chosen[name].model_dump(exclude_unset=True) if name in chosen else {}
        found[name] = Bounds(**{**both, **said})
    return found


def checked(marked: Marked, bounds: Mapping[str, Bounds]) -> Iterator[tuple[str, float, Bounds, bool]]:
    """By check that the kind of weak label has: name, what was measured, its bounds, and whether it lies in them."""
    for name, within in bounds.items():
        check: WeakCheck = WEAK_CHECKS.get(name)
        if marked.weak.kind in check.kinds:
            measured = float(check.measure(marked))
            yield name, measured, within, within.hold(measured)


def own_parts(mask: Mask, labels: Sequence[WeakLabel], grid: Grid) -> list[Mask]:
    """The mask of a class (z, y, x) by its weak labels: to each the pieces that touch it, and those that touch none."""
    pieces, count = connected_components(mask)
    empty = np.zeros(grid.shape, np.bool_)
    touched = []
    for weak in labels:
        hit = np.zeros(count + 1, np.bool_)
        hit[np.unique(pieces[Marked(weak, empty, grid).prompted])] = True
        touched.append(hit)
    stray = ~np.logical_or.reduce(touched)
    found = []
    for hit in touched:
        mine = hit | stray
        mine[0] = False
        found.append(mine[pieces])
    return found


def _box(start: tuple[int, int, int], shape: tuple[int, ...]) -> Box:
    z, y, x = (slice(a, a + n) for a, n in zip(start, shape, strict=True))
    return z, y, x
