"""Counting lesions found and false alarms in one case, and rates over cases with bootstrap intervals.

Two tests decide, both by `overlap` (a share in [0, 1]; 0 asks for a single voxel):

* a true lesion is *hit* when at least that share of its voxels is predicted, by components of which the lesion would
  be at least that share: at 0.1 they are no larger than ten times the lesion. Else one component that fills the organ
  would find everything in it.
* a predicted component is *true* when at least that share of its voxels lies in lesions, else *false*.

A patient is positive when anything is predicted.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.components import connected_components
from voxledger.textfile import read_text_if_there, table, write_table

CONNECTIVITY = 26
"""Voxels that share a corner belong to one lesion."""
LEVEL = 0.95
"""Coverage of the intervals."""
ROUNDING = 1e-9
"""Voxels; a share that is met exactly must not fail for the rounding of a product."""


@dataclass(frozen=True)
class Detection:
    """What was found in one case: predicted components, and true lesions with their sizes."""

    components: int
    true_components: int
    lesion_ml: tuple[float, ...]
    """Volume of every true lesion."""
    hit: tuple[bool, ...]
    """Whether each was found, in the same order."""

    @property
    def false_components(self) -> int:
        return self.components - self.true_components

    @property
    def lesions(self) -> int:
        return len(self.hit)

    @property
    def hits(self) -> int:
        return sum(self.hit)

    def of_at_least(self, ml: float) -> tuple[int, int]:
        """Hits and lesions of those that have a volume."""
        hit = [found for found, volume in zip(self.hit, self.lesion_ml, strict=True) if volume >= ml]
        return sum(hit), len(hit)


def ball_ml(diameter_mm: float) -> float:
    """Volume of a ball.

    >>> round(ball_ml(10), 3)
    0.524
    """
    return math.pi * diameter_mm**3 / 6000


def label_lesions(mask: npt.NDArray[Any], connectivity: int = CONNECTIVITY) -> tuple[npt.NDArray[Any], list[int]]:
    """Number the components of a mask (z, y, x) from 1; returns the numbers and the voxels of each."""
    labels, count = connected_components(mask, connectivity)
    return labels, np.bincount(labels.ravel(), minlength=count + 1)[1:].tolist()


def detect(
    predicted: npt.NDArray[np.bool_],
    truth: npt.NDArray[np.bool_],
    voxel_ml: float,
    overlap: float = 0.0,
    connectivity: int = CONNECTIVITY,
) -> Detection:
    """Match a predicted mask (z, y, x) with the true one, on the same grid.

    Empty masks are allowed: without true lesions every component is false, without a prediction nothing is hit.
    """
    if predicted.shape != truth.shape:
        raise ValueError(f"prediction of shape {predicted.shape} and truth of shape {truth.shape}")
    lesions, lesion_voxels = label_lesions(truth, connectivity)
    components, component_voxels = label_lesions(predicted, connectivity)
    lesion_sizes, component_sizes = np.array([0, *lesion_voxels], float), np.array([0, *component_voxels], float)
    both = predicted & truth
    lesion, component = lesions[both], components[both]
    near = overlap * component_sizes[component] <= lesion_sizes[lesion] + ROUNDING
    covered = np.bincount(lesion[near], minlength=lesion_sizes.size)
    inside = np.bincount(component, minlength=component_sizes.size)
    hit = ((covered > 0) & (covered >= overlap * lesion_sizes - ROUNDING))[1:]
    true = ((inside > 0) & (inside >= overlap * component_sizes - ROUNDING))[1:]
    return Detection(
        len(component_voxels),
        int(true.sum()),
        tuple(v * voxel_ml for v in lesion_voxels),
        tuple(hit.tolist()),
    )


@dataclass(frozen=True)
class Step:
    """What is found of one class in one labelled case after a step of the filter; step 0 is the bare threshold."""

    case_id: str
    split: str
    class_name: str
    """A lesion class, or `ANY` for all of them together."""
    step: int
    rule: str
    components: int
    true_components: int
    true_voxels: int
    """Predicted voxels that are truly of the class."""
    lesion_ml: tuple[float, ...]
    hit: tuple[bool, ...]

    @property
    def detection(self) -> Detection:
        return Detection(self.components, self.true_components, self.lesion_ml, self.hit)


ANY = "any"
"""All lesion classes together: is there a lesion at all, and where."""


def apart_or_together(classes: Sequence[str], together: bool) -> list[str]:
    """What lesions are told by: their class, or `ANY` for all of them; nothing where there is no class."""
    return [ANY] if together and classes else list(classes)


STEP_COLUMNS = [f.name for f in fields(Step)]


def write_steps(path: Path | str, steps: Sequence[Step]) -> None:
    """Write steps as CSV, in the order given."""
    write_table(path, STEP_COLUMNS, map(step_to_row, steps))


def read_steps(path: Path | str) -> list[Step]:
    """Read steps from CSV; a file that is not there holds none."""
    text = read_text_if_there(path)
    if text is None:
        return []
    with table(text, path, STEP_COLUMNS) as rows:
        return [step_from_row(row) for row in rows]


@dataclass(frozen=True)
class Taken:
    """A component of a true lesion that a rule removed."""

    case_id: str
    split: str
    class_name: str
    step: int
    rule: str
    component: int
    ml: float
    measured: float
    bound: str
    needed: float
    """What the rule's bound would have had to allow."""


@dataclass(frozen=True)
class Advice:
    """What one rule took of the true lesions of one class, and the parameters with which they would have stayed."""

    step: int
    rule: str
    class_name: str
    taken: tuple[Taken, ...]
    keeps: str
    """As in `params.yaml`; empty where no bound of the rule keeps them."""


def as_written(step: Step) -> Step:
    """A step with volumes of as many digits as its text has."""
    return replace(step, lesion_ml=tuple(round(ml, 4) for ml in step.lesion_ml))


def step_to_row(step: Step) -> dict[str, str]:
    """A step as text."""
    values = {name: str(getattr(step, name)) for name in STEP_COLUMNS}
    return values | {
        "lesion_ml": ";".join(f"{ml:.4f}" for ml in step.lesion_ml),
        "hit": ";".join(str(int(h)) for h in step.hit),
    }


def step_from_row(row: dict[str, str]) -> Step:
    """A step from its text."""
    return Step(
        row["case_id"],
        row["split"],
        row["class_name"],
        int(row["step"]),
        row["rule"],
        int(row["components"]),
        int(row["true_components"]),
        int(row["true_voxels"]),
        tuple(float(ml) for ml in row["lesion_ml"].split(";") if ml),
        tuple(h == "1" for h in row["hit"].split(";") if h),
    )
