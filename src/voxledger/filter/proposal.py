"""What the models propose for one case: a mask a class, in its bounding box, that rules look at and change.

Nothing here is as large as the image but the image itself: masks live in the bounding box of their class, and
probabilities are read again from the soft predictions where they are needed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import Box, absolute, bounding_box, intersection, union, view
from voxledger.imaging.components import connected_components
from voxledger.imaging.soft import SoftPrediction, ensemble_box, ensemble_mean, is_marked
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema

CONNECTIVITY = 26
"""Voxels that share a corner belong to one component."""
HU_LIMITS = (-1000.0, 1000.0)
"""CT values are clipped to this range before they are averaged (Efficient Human-in-the-Loop Pancreatic Tumor
Annotation)."""

MARKED = 0.5
"""Threshold of a class that was predicted from what somebody marked: the others are made for models that search."""

Mask = npt.NDArray[np.bool_]


class Outcome(StrEnum):
    """What happened to a component."""

    KEPT = "kept"
    REMOVED = "removed"
    """Its voxels become background: the classes around it lose them too, but for those of another class inside."""
    TO_ORGAN = "to_organ"
    """Its voxels stay what the organ around it is."""
    TO_PARTNER = "to_partner"
    """Its voxels join the other organ of a pair."""
    FILLED = "filled"
    """A hole was added to the class."""


@dataclass(frozen=True, eq=False)
class Component:
    """A connected component of one class: `mask` (z, y, x) inside `box` of the image."""

    number: int
    """From 1 in the order of the first voxel (z, y, x); kept while other components come and go."""
    box: Box
    mask: Mask
    voxels: int
    peak_p: float
    """Largest mean probability of the models inside."""
    mean_hu: float
    """Mean intensity, of CT after clipping to `HU_LIMITS`."""


@dataclass(frozen=True, eq=False)
class Verdict:
    """What a rule found about a component: measured value, the bound as text, and what follows."""

    component: Component
    measured: float
    bound: str
    outcome: Outcome
    partner: str = ""
    """Class that the voxels join, for `Outcome.TO_PARTNER`."""


@dataclass(frozen=True, eq=False)
class Region:
    """The mask of a class (z, y, x) inside `box` of the image, outside of which it is empty."""

    box: Box
    mask: Mask

    def read(self, box: Box) -> Mask:
        """The mask inside any other box of the image."""
        window = np.zeros(tuple(s.stop - s.start for s in box), np.bool_)
        shared = intersection(self.box, box)
        if shared is not None:
            view(window, box, shared)[:] = view(self.mask, self.box, shared)
        return window


class Proposal:
    """The masks that the models propose for one case, the image under them, and the label schema.

    Parameters
    ----------
    predictions
        Soft predictions of the models, at least one unless `grid` is given.
    image
        Intensities (z, y, x).
    is_ct
        Whether intensities are Hounsfield units, so that clipping and HU ranges mean something.
    thresholds
        A class is where the mean of the models lies above its threshold, or above `MARKED` where it was predicted from
        what somebody marked; classes not named are not proposed.
    """

    def __init__(
        self,
        predictions: Sequence[SoftPrediction],
        image: npt.NDArray[Any],
        is_ct: bool,
        schema: LabelSchema,
        thresholds: Mapping[str, float],
        grid: Grid | None = None,
    ) -> None:
        self.predictions = predictions
        self.image = image
        self.is_ct = is_ct
        self.schema = schema
        self.thresholds = thresholds
        self.grid = grid or predictions[0].grid
        self._regions: dict[str, Region] = {}
        self._components: dict[str, dict[int, Component]] = {}
        for name in thresholds:
            self._propose(name)

    def at(self, names: Sequence[str], threshold: float) -> Proposal:
        """A proposal as this one was before any rule, but for the threshold of some classes."""
        thresholds = {**self.thresholds, **dict.fromkeys(names, threshold)}
        return Proposal(self.predictions, self.image, self.is_ct, self.schema, thresholds, self.grid)

    @cached_property
    def spacing(self) -> npt.NDArray[np.float64]:
        """Spacing in mm (z, y, x)."""
        return np.asarray(self.grid.spacing)

    def _propose(self, name: str) -> None:
        box = ensemble_box(self.predictions, name)
        if box is not None:
            threshold = MARKED if is_marked(self.predictions, name) else self.thresholds[name]
            self._set(name, box, ensemble_mean(self.predictions, name, box) > np.float32(threshold))

    def _set(self, name: str, box: Box, mask: Mask) -> None:
        tight = bounding_box(mask)
        if tight is None:
            self._regions.pop(name, None)
        else:
            self._regions[name] = Region(absolute(tight, box), np.ascontiguousarray(mask[tight]))

    @property
    def names(self) -> list[str]:
        """Classes that have voxels, in the order of the schema."""
        return [name for name in self.schema.names if name in self._regions]

    def knows(self, name: str) -> bool:
        """Whether any model looked for a class: if none did, that it is not there means nothing."""
        return any(p.looked_for(name) for p in self.predictions)

    def sought(self, name: str) -> bool:
        """Whether any model was to look for a class; that of a region may not have found where."""
        return any(name in p.classes for p in self.predictions)

    def region(self, name: str) -> Region | None:
        """The mask of a class in its box; None where it is empty."""
        return self._regions.get(name)

    def mask(self, name: str, box: Box) -> Mask:
        """The mask of a class inside a box of the image."""
        region = self._regions.get(name)
        return region.read(box) if region else np.zeros(tuple(s.stop - s.start for s in box), np.bool_)

    def voxels(self, name: str) -> int:
        """Number of voxels of a class."""
        region = self._regions.get(name)
        return int(np.count_nonzero(region.mask)) if region else 0

    def probability(self, name: str, box: Box) -> npt.NDArray[np.float32]:
        """Mean probability of the models inside a box."""
        return ensemble_mean(self.predictions, name, box)

    def components(self, name: str) -> list[Component]:
        """The connected components of a class by ascending number; empty for an empty class."""
        region = self._regions.get(name)
        if region is None:
            return []
        if name not in self._components:
            found = label_components(region, self.image, self.probability(name, region.box), self.is_ct)
            self._components[name] = {c.number: c for c in found}
        return list(self._components[name].values())

    def holes(self, name: str) -> list[Component]:
        """What a class encloses (6-connected, closed on all sides) without being it, as components."""
        region = self._regions.get(name)
        if region is None:
            return []
        rest = Region(region.box, ~region.mask)
        probability = self.probability(name, region.box)
        return label_components(rest, self.image, probability, self.is_ct, connectivity=6, enclosed=True)

    def carry_out(self, name: str, verdict: Verdict) -> list[tuple[str, Verdict]]:
        """Do to the masks what a verdict on a component of class `name` says.

        The classes inside it go where it goes: left behind, they would count as the class around them and bring it
        back. What lies in nothing that is left of that class, or of those between, goes whole, else what lay in what
        went. Returns class and verdict of each component that went along.
        """
        match verdict.outcome:
            case Outcome.KEPT:
                return []
            case Outcome.FILLED:
                self._join(name, verdict.component)
                return []
        self._take(name, verdict)
        inside = [n for n in self.schema.names if name in self.schema.chain(n)[1:]]
        along: list[tuple[str, Verdict]] = []
        for inner in sorted(inside, key=lambda n: len(self.schema.chain(n))):
            gone = [verdict.component, *(v.component for n, v in along if n in self.schema.chain(inner))]
            for component in self._met(inner, gone):
                part = self._share(inner, component, gone, name)
                share = part.voxels / component.voxels
                bound = f"with {name} {verdict.component.number}"
                along.append((inner, Verdict(part, share, bound, verdict.outcome, verdict.partner)))
                self._take(inner, along[-1][1])
        return along

    def _met(self, name: str, gone: Sequence[Component]) -> list[Component]:
        """The components of a class that have voxels in what was taken from the classes around it."""
        if not any((self.mask(name, g.box) & g.mask).any() for g in gone):
            return []
        return [c for c in self.components(name) if any(_overlap(c, g).any() for g in gone)]

    def _share(self, name: str, component: Component, gone: Sequence[Component], outermost: str) -> Component:
        """What of a component goes along: all of it, unless it also lies in what is left of a class around it.

        Looked at are the classes around it up to `outermost`, a component of which was taken first.
        """
        chain = self.schema.chain(name)
        around = chain[1 : chain.index(outermost) + 1]
        if not any((self.mask(n, component.box) & component.mask).any() for n in around):
            return component
        mask = np.logical_or.reduce([_overlap(component, g) for g in gone])
        values = self.image[component.box][mask].astype(np.float64)
        return Component(
            component.number,
            component.box,
            mask,
            int(np.count_nonzero(mask)),
            float(self.probability(name, component.box)[mask].max()),
            float((np.clip(values, *HU_LIMITS) if self.is_ct else values).mean()),
        )

    def _take(self, name: str, verdict: Verdict) -> None:
        """Take the voxels of a component away from a class, and bring them where its outcome says."""
        component = verdict.component
        numbers = self._components.get(name, {})
        known = numbers.get(component.number)
        self._cut(name, component)
        if known is component and name in self._regions:
            del numbers[component.number]
            self._components[name] = numbers
        if verdict.outcome is Outcome.TO_PARTNER:
            self._join(verdict.partner, component)
        elif verdict.outcome is Outcome.REMOVED:
            for around in self.schema.chain(name)[1:]:
                inner = [n for n in self.names if around in self.schema.chain(n)[1:]]
                kept = [self.mask(n, component.box) for n in inner]
                mask = component.mask & ~np.logical_or.reduce([np.zeros_like(component.mask), *kept])
                self._cut(around, replace(component, mask=mask))

    def _cut(self, name: str, component: Component) -> None:
        region = self._regions.get(name)
        shared = intersection(region.box, component.box) if region else None
        if region is None or shared is None:
            return
        window, cut = view(region.mask, region.box, shared), view(component.mask, component.box, shared)
        if not (window & cut).any():
            return
        window &= ~cut
        self._components.pop(name, None)
        if not region.mask.any():
            del self._regions[name]

    def _join(self, name: str, component: Component) -> None:
        region = self._regions.get(name)
        box = union([region.box if region else None, component.box]) or component.box
        mask = self.mask(name, box)
        view(mask, box, component.box)[:] |= component.mask
        self._regions[name] = Region(box, mask)
        self._components.pop(name, None)

    def label_map(self) -> npt.NDArray[Any]:
        """One label map (z, y, x) of innermost ids.

        Classes are drawn from the outer to the inner ones. Where classes of the same depth claim a voxel, the one
        with the higher mean probability gets it; of equals the first in the schema.
        """
        depths = {c.name: len(self.schema.chain(c.name)) for c in self.schema.classes}
        kind = np.min_scalar_type(self.schema.classes[-1].id)
        depth_of = np.zeros(self.schema.classes[-1].id + 1, np.uint8)
        for c in self.schema.classes:
            depth_of[c.id] = depths[c.name]
        labels = np.zeros(self.grid.shape, kind)
        for name in sorted(self.names, key=lambda n: depths[n]):
            region = self._regions[name]
            window = labels[region.box]
            contested = region.mask & (depth_of[window] == depths[name])
            free = region.mask & ~contested
            window[free] = self.schema[name].id
            box = bounding_box(contested)
            if box is None:
                continue
            part, claimed = window[box], contested[box]
            mine = self.probability(name, absolute(box, region.box))
            for rival in np.unique(part[claimed]).tolist():
                holder = next(c.name for c in self.schema.classes if c.id == rival)
                theirs = self.probability(holder, absolute(box, region.box))
                part[claimed & (part == rival) & (mine > theirs)] = self.schema[name].id
        return labels


def _overlap(component: Component, other: Component) -> Mask:
    """Where a component shares voxels with another, in its own box."""
    return component.mask & Region(other.box, other.mask).read(component.box)


class Reference(Proposal):
    """A label map seen as a proposal of certainty, so that rules can measure true lesions.

    Parameters
    ----------
    labels
        Label map (z, y, x) of innermost ids.
    """

    def __init__(
        self, labels: npt.NDArray[Any], image: npt.NDArray[Any], grid: Grid, is_ct: bool, schema: LabelSchema
    ) -> None:
        super().__init__((), image, is_ct, schema, {}, grid)
        whole = (slice(0, grid.shape[0]), slice(0, grid.shape[1]), slice(0, grid.shape[2]))
        for name in schema.names:
            self._set(name, whole, schema.mask(labels, name))

    def knows(self, name: str) -> bool:
        return True

    def probability(self, name: str, box: Box) -> npt.NDArray[np.float32]:
        return self.mask(name, box).astype(np.float32)


def label_components(
    region: Region,
    image: npt.NDArray[Any],
    probability: npt.NDArray[np.float32],
    is_ct: bool,
    connectivity: int = CONNECTIVITY,
    enclosed: bool = False,
) -> list[Component]:
    """Label the components of a region and measure them; `probability` covers the region's box.

    With `enclosed`, components that touch a face of the box are left out.
    """
    from voxledger.filter.statistics import component_statistics

    labels, count = connected_components(region.mask, connectivity)
    limits = HU_LIMITS if is_ct else (-np.inf, np.inf)
    voxels, peak, mean, bounds = component_statistics(labels, image[region.box], probability, count, *limits)
    found: list[Component] = []
    for k in range(1, count + 1):
        if enclosed and (bounds[k, :, 0].min() == 0 or (bounds[k, :, 1] == labels.shape).any()):
            continue
        box = (slice(*bounds[k, 0].tolist()), slice(*bounds[k, 1].tolist()), slice(*bounds[k, 2].tolist()))
        mask = labels[box] == k
        found.append(
            Component(len(found) + 1, absolute(box, region.box), mask, int(voxels[k]), float(peak[k]), float(mean[k]))
        )
    return found
