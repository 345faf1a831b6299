"""The cases that the models of a round get most wrong, as pictures."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxledger.casemap.job import Job, content, place
from voxledger.evaluate.case_metrics import THRESHOLD, Generation
from voxledger.evaluate.overlay import overlay_png, worst_slice
from voxledger.evaluate.summary import TEST, Row
from voxledger.evaluate.view import grey_range, view_of
from voxledger.imaging.soft import ensemble_mean, open_soft
from voxledger.imaging.volume import read, read_label, require_same_grid
from voxledger.records.card import ENSEMBLE
from voxledger.records.cases import require_image
from voxledger.schema import LabelSchema

TEST_PICTURES = 6
EXTERNAL_PICTURES = 3
"""Pictures of the test split, and of each external source."""
PNG = "picture.png"


@dataclass(frozen=True)
class Drawn:
    """What a picture shows."""

    plane: str
    slice_number: int
    """Counted from 1 in the order of the file."""
    slices: int


@dataclass(frozen=True)
class Picture:
    """The worst class of one bad case: PNG bytes and what they show."""

    row: Row
    mean_dice: float
    """Over the classes of the case."""
    shown: Drawn
    png: bytes


def worst_rows(rows: Sequence[Row]) -> list[tuple[Row, float]]:
    """The worst class of each of the worst cases by mean Dice, set by set, with that mean.

    Judged is the ensemble of the next generation, or its only model.
    """
    judged = [r for r in rows if r.generation is Generation.NEXT and math.isfinite(r.values["dice"])]
    found = []
    for set_name in sorted({r.set_name for r in judged}, key=lambda s: (s != TEST, s)):
        mine = [r for r in judged if r.set_name == set_name]
        names = {r.model for r in mine}
        model = ENSEMBLE if ENSEMBLE in names else min(names)
        by_case: dict[str, list[Row]] = {}
        for r in mine:
            if r.model == model:
                by_case.setdefault(r.case_id, []).append(r)
        means = {case: float(np.mean([r.values["dice"] for r in listed])) for case, listed in by_case.items()}
        limit = TEST_PICTURES if set_name == TEST else EXTERNAL_PICTURES
        for case in sorted(means, key=lambda c: (means[c], c))[:limit]:
            found.append((min(by_case[case], key=lambda r: r.values["dice"]), means[case]))
    return found


class Draw(Job[Drawn]):
    """The slice of a case in which the mean of models differs most from the reference in a class, as `PNG`."""

    stage, algorithms = "pictures", ("pictures",)
    class_name: str = content()
    image: Path = place()
    image_sha256: str = content()
    modality: str = content()
    label: Path = content()
    predictions: tuple[Path, ...] = content()
    """Of one model, or of those whose mean is drawn."""
    schema: LabelSchema = content()

    def compute(self, folder: Path) -> Drawn:
        require_image(self.image, self.image_sha256)
        image, models = read(self.image), [open_soft(path) for path in self.predictions]
        require_same_grid(models[0].grid, image.grid, f"prediction of {self.name}")
        reference = self.schema.mask(read_label(self.label, image.grid), self.class_name)
        prediction = ensemble_mean(models, self.class_name) > THRESHOLD
        view = view_of(image.grid)
        index = worst_slice(reference, prediction, view.axis)
        grey = grey_range(image.array, self.modality)
        (folder / PNG).write_bytes(overlay_png(image.array, reference, prediction, index, view, grey))
        return Drawn(view.plane, index + 1, image.grid.shape[view.axis])
