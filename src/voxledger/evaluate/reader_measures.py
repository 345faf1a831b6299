"""What is measured of the readings of one case: every two masks of a class, and the contours that were drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path

import numpy as np

from voxledger.bundles.merge import LabelMap, Mask
from voxledger.bundles.part import Part
from voxledger.casemap.job import Job, content, place
from voxledger.errors import BundleRefused
from voxledger.evaluate.comparison import Comparison, compare
from voxledger.evaluate.metrics.dice import METRIC as DICE
from voxledger.evaluate.metrics.hd95_mm import METRIC as HD95
from voxledger.imaging.orientation import acquisition_axis
from voxledger.imaging.path_length import added_path_length
from voxledger.imaging.volume import Grid, read_grid, read_label
from voxledger.params import EvaluateParams, Outside
from voxledger.records.bundle import MANIFEST, read_manifest
from voxledger.records.decisions import Decision
from voxledger.schema import LabelSchema

THRESHOLD = 0.5
"""Probability above which a model says that a voxel is of a class."""


@dataclass(frozen=True)
class Returned:
    """What one person said of a case."""

    reader: str
    bundle: str
    """SHA-256 of the returned bundle."""
    decisions: Mapping[str, Decision]
    """By class."""
    compared: tuple[str, ...]
    """Classes that others read, too, without knowing of one another."""
    folder: Path = place()
    """Where it is kept; the hash says what is in it."""


@dataclass(frozen=True)
class Pair:
    """How far two masks of one class agree; distances are NaN where both are empty, and infinite where one is."""

    class_name: str
    reader: str
    other: str
    """Another reader, or a model."""
    kind: str
    """What the other one is: `reader` or `model`."""
    dice: float
    mean_surface_mm: float
    hd95_mm: float


@dataclass(frozen=True)
class Contour:
    """The contour of one class that a reader handed in, and how much of it is new."""

    class_name: str
    bundle: str
    added_mm: float
    """0 where the reader did not revise the class."""
    mm: float
    """0 where the class was rejected."""
    classes: int
    """Classes that are in the case, as the reader handed it in."""


@dataclass(frozen=True)
class Measured:
    """All of a case."""

    pairs: tuple[Pair, ...]
    drawn: tuple[Contour, ...]


class MeasureReaders(Job[Measured]):
    """Reads the returns of a case again and measures them."""

    stage, algorithms = "readers", ("readers",)
    image_sha256: str = content()
    shown: Path = content()
    """The label that all of them were sent."""
    sent: Path = place()
    """Folder of a bundle that it lies in."""
    returned: tuple[Returned, ...] = content()
    predictions: Mapping[str, Path] = content()
    """By model."""
    outside: Outside = content()
    tolerance_mm: float = content()
    """Of the path length: a contour that near to the old one was not drawn for a reason."""
    label_schema: LabelSchema = content()

    def compute(self, folder: Path) -> Measured:
        from voxledger.imaging.soft import open_soft

        schema, grid = self.label_schema, read_grid(self.shown)
        proposal = read_label(self.shown)
        labels = {one.bundle: self._labels(one) for one in self.returned}
        models = {name: open_soft(path) for name, path in self.predictions.items()}
        pairs: list[Pair] = []
        for name in schema.names:
            masks = {
                one.reader: _mask(schema, name, one.decisions[name], proposal, labels[one.bundle])
                for one in self.returned
                if name in one.compared and one.decisions[name] is not Decision.REJECT
            }
            said = {m: soft.read(name) > THRESHOLD for m, soft in models.items() if soft.looked_for(name)}
            pairs += [_pair(name, a, b, "reader", masks[a], masks[b], grid) for a, b in combinations(masks, 2)]
            pairs += [_pair(name, a, m, "model", masks[a], said[m], grid) for a in masks for m in said]
        axis = acquisition_axis(grid)
        drawn = [
            self._contour(name, one, proposal, labels[one.bundle], grid, axis)
            for one in self.returned
            for name in schema.names
            if name in one.decisions
        ]
        return Measured(tuple(pairs), tuple(drawn))

    def _labels(self, one: Returned) -> LabelMap:
        """The label of a return, on the grid of the image."""
        if Decision.REVISE not in one.decisions.values():
            return read_label(self.shown)
        content = (one.folder / MANIFEST).read_bytes()
        manifest = read_manifest(content, str(one.folder / MANIFEST))
        part = Part.of(manifest, one.folder, self.outside)
        found = part.read(self.name, self.sent) if part is not None else None
        if found is None:
            raise BundleRefused(
                f"the label of case {self.name} in {one.folder} cannot be read again", "run `dvc repro -f import`"
            )
        return found.labels

    def _contour(self, name: str, one: Returned, before: LabelMap, after: LabelMap, grid: Grid, axis: int) -> Contour:
        schema, decision, added, whole = self.label_schema, one.decisions[name], 0.0, 0.0
        old = schema.mask(before, name)
        new = _mask(schema, name, decision, before, after)
        if decision is Decision.REVISE:
            added = added_path_length(old, new, grid.spacing, self.tolerance_mm, axis).mm
        if decision is not Decision.REJECT:
            whole = added_path_length(np.zeros_like(new), new, grid.spacing, axis=axis).mm
        classes = sum(bool(schema.mask(after, other).any()) for other in schema.names)
        return Contour(name, one.bundle, added, whole, classes)


def _mask(schema: LabelSchema, name: str, decision: Decision, proposal: LabelMap, own: LabelMap) -> Mask:
    return schema.mask(own if decision is Decision.REVISE else proposal, name)


def _pair(name: str, reader: str, other: str, kind: str, a: Mask, b: Mask, grid: Grid) -> Pair:
    masks, params = compare(a, b, grid.spacing), EvaluateParams()
    dice = 1.0 if masks.both_empty else DICE.measure(masks, params)
    return Pair(name, reader, other, kind, dice, mean_surface_mm(masks), HD95.measure(masks, params))


def mean_surface_mm(masks: Comparison) -> float:
    """Mean distance in mm of two surfaces, over the area of both: the average symmetric surface distance.

    NaN where both masks are empty, infinite where one is.

    Examples
    --------
    >>> one = np.zeros((4, 4, 4), bool)
    >>> one[1, 1, 1] = True
    >>> mean_surface_mm(compare(one, one, (2.0, 1.0, 1.0)))
    0.0
    """
    if masks.both_empty:
        return math.nan
    s = masks.surfaces
    area = s.reference_mm2.sum() + s.prediction_mm2.sum()
    total: float = (s.reference_mm * s.reference_mm2).sum() + (s.prediction_mm * s.prediction_mm2).sum()
    return float(total / area) if area else math.nan
