"""Readers that know the reference and draw: one looks at everything, one only where attention points.

Both judge class by class, outer ones before inner ones, accept what is good enough where they look, and else correct
it there. Minutes are looks and drawing (`voxledger.minutes`), of what they changed and no more.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxledger.bundles.checks.swallowed import SHARE as SWALLOWED
from voxledger.bundles.merge import LabelMap, Mask
from voxledger.imaging.boxes import bounding_box
from voxledger.imaging.components import connected_components
from voxledger.imaging.orientation import acquisition_axis
from voxledger.imaging.path_length import added_path_length
from voxledger.imaging.visible_change import visible_change
from voxledger.imaging.volume import Grid
from voxledger.minutes import drawing
from voxledger.params import Params
from voxledger.records.decisions import Decision, Row
from voxledger.records.emulated import Emulated, EmulatedMask, Looks, write_emulated
from voxledger.records.error_kind import ErrorKind
from voxledger.review.emulate import Read, Shown, dice, error_type, name_exchanged
from voxledger.schema import LabelSchema

Decided = dict[str, tuple[Decision, ErrorKind]]


@dataclass(frozen=True)
class Sight:
    """What of one class of a case a reader sees."""

    slices: slice | Sequence[int]
    """Along the axis of the acquisition."""
    pointed: Mask | None
    """Attention (z, y, x); None where he looks at everything."""
    looks: float
    """Share of a look at everything that it takes."""


EVERYTHING = Sight(slice(None), None, 1.0)


@dataclass
class ByReference:
    """Corrects what it does not accept, as the reference says."""

    bound: float
    """Dice from which a class is accepted, where it is looked at."""
    reject_below: float = 0.0
    """Dice below which it is rejected."""
    looks: Looks = Looks.EVERYWHERE
    sees_mm: float = 0.0
    """Errors that reach no farther are left, as nobody sees them; 0 = it corrects every voxel."""
    params: Params = field(default_factory=Params)
    """What minutes, path lengths and visible errors go by."""
    masks: list[EmulatedMask] = field(default_factory=list)
    """What it has read."""

    def read(self, shown: Shown) -> Read:
        """Judge and correct one case."""
        schema, grid = shown.schema, shown.proposal.grid
        sights = {name: self._sight(shown, name) for name in shown.asked}
        proposal, reference = shown.proposal.array, shown.reference
        bounds = self.bound, self.reject_below, self.sees_mm
        labels, decided = correct(schema, proposal, reference, grid, sights, *bounds)
        name_exchanged(schema, proposal, labels, decided)
        classes = sum(bool(schema.mask(labels, name).any()) for name in schema.names)
        masks = [
            self._measured(shown, name, labels, classes, sights[name].looks, decided[name][0]) for name in shown.asked
        ]
        self.masks += masks
        looking = self.params.evaluate.looking_minutes
        minutes = {mask.class_name: round(looking * mask.looks + mask.drawing_minutes, 2) for mask in masks}
        # The reference is right, whatever looks wrong about the way from the proposal to it.
        rows = [Row(shown.case_id, n, decided[n][0], minutes[n], decided[n][1], confirmed=True) for n in shown.asked]
        return Read(labels, rows)

    def note(self, folder: Path) -> None:
        """Write `emulated.json`."""
        write_emulated(folder, self.noted)

    @property
    def noted(self) -> Emulated:
        """What it has read, and by what."""
        evaluate = self.params.evaluate
        return Emulated(
            looks=self.looks,
            sees_mm=self.sees_mm,
            looking_minutes=evaluate.looking_minutes,
            scratch_minutes=self.params.score.scratch_minutes,
            path_tolerance_mm=evaluate.path_tolerance_mm,
            error_tolerance_mm=evaluate.error_tolerance_mm,
            masks=tuple(self.masks),
        )

    def _sight(self, shown: Shown, name: str) -> Sight:
        if self.looks is Looks.EVERYWHERE or shown.attention is None or name in shown.unknown:
            return EVERYTHING
        pointed, proposed = (shown.schema.mask(m, name) for m in (shown.attention, shown.proposal.array))
        return pointed_at(pointed, proposed, acquisition_axis(shown.proposal.grid))

    def _measured(
        self, shown: Shown, name: str, labels: LabelMap, classes: int, looks: float, decision: Decision
    ) -> EmulatedMask:
        schema, grid, evaluate = shown.schema, shown.proposal.grid, self.params.evaluate
        before, after, truth = (schema.mask(m, name) for m in (shown.proposal.array, labels, shown.reference))
        axis, nothing = acquisition_axis(grid), np.zeros_like(before)
        added = 0.0
        if decision is Decision.REVISE:
            added = added_path_length(before, after, grid.spacing, evaluate.path_tolerance_mm, axis).mm
        whole = added_path_length(nothing, after, grid.spacing, axis=axis).mm
        return EmulatedMask(
            case_id=shown.case_id,
            class_name=name,
            looks=round(looks, 4),
            drawing_minutes=round(drawing(self.params.score.scratch_minutes, classes, added, whole), 4),
            added_path_mm=round(added, 3),
            path_mm=round(whole, 3),
            errors=_errors(before, truth, grid, evaluate.error_tolerance_mm),
            errors_left=_errors(after, truth, grid, evaluate.error_tolerance_mm),
            error_ml=round(int(np.count_nonzero(before != truth)) * grid.voxel_ml, 4),
            error_ml_left=round(int(np.count_nonzero(after != truth)) * grid.voxel_ml, 4),
            dice=round(dice(after, truth), 4),
        )


def _errors(mask: Mask, truth: Mask, grid: Grid, tolerance_mm: float) -> int:
    """Visible errors of a mask."""
    return connected_components(visible_change(mask, truth, grid.spacing, tolerance_mm))[1]


def pointed_at(pointed: Mask, proposed: Mask, axis: int) -> Sight:
    """What is seen of a class by looking at its attention alone.

    Its slices are looked at, and going to each region costs a slice more; a look at everything goes through all slices
    that have attention or proposal. Never more than that; nothing where there is no attention.

    Parameters
    ----------
    pointed, proposed
        Attention and proposal of the class (z, y, x).
    axis
        The array axis across the slices.
    """
    others = tuple(a for a in range(3) if a != axis)
    slices = np.flatnonzero(pointed.any(axis=others))
    every = np.count_nonzero((pointed | proposed).any(axis=others))
    regions = connected_components(pointed)[1]
    return Sight(slices.tolist(), pointed, min(1.0, (len(slices) + regions) / every) if every else 0.0)


def correct(
    schema: LabelSchema,
    proposal: LabelMap,
    reference: LabelMap,
    grid: Grid,
    sights: Mapping[str, Sight],
    bound: float,
    reject_below: float = 0.0,
    sees_mm: float = 0.0,
) -> tuple[LabelMap, Decided]:
    """Judge and correct the classes of one case; gives the label map and what was decided of each.

    Corrections are painted on the whole label map. A voxel taken from a class becomes what the reference says there, or
    falls back to the class around it. A class that was good enough where it was seen, and loses half of its voxels or
    more to corrections of others, is revised, too.

    Parameters
    ----------
    proposal, reference
        Label maps of innermost ids (z, y, x).
    grid
        Theirs.
    sights
        What is seen of each class asked.
    bound
        Dice from which a class is accepted, in the slices that are seen.
    reject_below
        Dice there below which a class is rejected, and not corrected, as in the pipeline of Tartu.
    sees_mm
        Errors that reach no farther are left; a class without others is accepted.
    """
    axis = acquisition_axis(grid)

    def wrong(mask: Mask, truth: Mask, sight: Sight) -> Mask:
        return _in_sight(visible_change(mask, truth, grid.spacing, sees_mm), sight, axis)

    largest = max(int(proposal.max()), *(c.id for c in schema.classes))
    labels = proposal.astype(np.min_scalar_type(largest))
    decided: Decided = {}
    for name in sorted(sights, key=lambda n: (len(schema.chain(n)), schema[n].id)):
        before, truth = schema.mask(proposal, name), schema.mask(reference, name)
        seen = (slice(None),) * axis + (sights[name].slices,)
        good = dice(before[seen], truth[seen])
        region = wrong(before, truth, sights[name])
        if good >= bound or not region.any():
            decided[name] = Decision.ACCEPT, ErrorKind.NONE
        elif good < reject_below:
            decided[name] = Decision.REJECT, error_type(schema, name, proposal, reference)
        else:
            now = wrong(schema.mask(labels, name), truth, sights[name])
            _paint(schema, name, labels, reference, truth, region | now)
            decided[name] = Decision.REVISE, error_type(schema, name, proposal, reference)
    for name, (decision, _) in decided.items():
        if decision is Decision.ACCEPT and _is_swallowed(schema.mask(proposal, name), schema.mask(labels, name)):
            decided[name] = Decision.REVISE, error_type(schema, name, proposal, reference)
    return labels, decided


def _is_swallowed(before: Mask, after: Mask) -> bool:
    """Whether so much of a mask went with corrections of others that the gate takes nobody's word that it was right."""
    lost = np.count_nonzero(before & ~after)
    return bool(lost and lost >= SWALLOWED * np.count_nonzero(before))


def _in_sight(wrong: Mask, sight: Sight, axis: int) -> Mask:
    """Wrong voxels that a reader sees: all of them, or, in the slices of attention, what hangs together with it."""
    if sight.pointed is None:
        return wrong
    seen = np.zeros_like(wrong)
    field = bounding_box(sight.pointed)
    if field is None:
        return seen
    errors, into, pointed = (np.moveaxis(m, axis, 0) for m in (wrong, seen, sight.pointed))
    for index in range(field[axis].start, field[axis].stop):
        if pointed[index].any():
            pieces, _ = connected_components(errors[index][None])
            met = np.setdiff1d(np.unique(pieces[0][pointed[index]]), [0])
            into[index] = np.isin(pieces[0], met)
    return seen


def _paint(schema: LabelSchema, name: str, labels: LabelMap, reference: LabelMap, truth: Mask, region: Mask) -> None:
    has = schema.mask(labels, name)
    labels[region & truth & ~has] = schema[name].id
    wrong = region & has & ~truth
    outer = schema[name].inside
    fallback = schema[outer].id if outer is not None else 0
    labels[wrong] = np.where(reference[wrong] != 0, reference[wrong], fallback)
