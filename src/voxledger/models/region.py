"""Models of one organ: what of an image they look at, in training and in prediction.

Such a model learns on the box around its organ, grown by a margin, and predicts only there. In training the organ is
that of the label map. In prediction it is where the models without a region say so: their mean above a half. Of its
pieces those count that have at least `PIECE` of the volume of the largest, so that an organ of two pieces is covered
whole and stray voxels do not pull the box over the whole body. Pieces that together have less than `LEAST` of the
volume of the smallest organ that the model learned from are not taken for it: the organ is not found.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, ConfigDict, Field

from voxledger.errors import VoxledgerError
from voxledger.imaging.boxes import Box, absolute, bounding_box, grown
from voxledger.imaging.components import connected_components
from voxledger.imaging.soft import SoftPrediction, ensemble_box, ensemble_mean
from voxledger.imaging.volume import Grid
from voxledger.params import ModelParams
from voxledger.records.card import REGION, to_json
from voxledger.records.predicted import Predicted
from voxledger.schema import LabelSchema
from voxledger.textfile import read_json, replace_text, restoring

PIECE = 0.1
"""Share of the largest piece of an organ that another one needs to count."""
LEAST = 0.1
"""Share of the smallest organ that was learned from, that what is found needs to be the organ."""
FOUND = 0.5
"""Mean probability above which a voxel is of the organ."""


class Region(BaseModel):
    """What a trained model looks at; `region.json` beside its weights."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    inside: str
    """Class of the organ, as it was called when the model was trained."""
    margin_mm: float = Field(ge=0)
    smallest_ml: float = Field(ge=0)
    """Volume of the smallest organ that it learned from."""

    def name(self, schema: LabelSchema) -> str:
        """What the organ is called today."""
        return schema.renamed(self.inside) or self.inside

    def box(self, organ: Box, grid: Grid) -> Box:
        """The box around an organ, grown by the margin on every side as far as the image goes.

        Examples
        --------
        >>> region = Region(inside="pancreas", margin_mm=10, smallest_ml=20)
        >>> region.box((slice(2, 4), slice(30, 40), slice(5, 8)), Grid.plain((9, 90, 90), (5.0, 2.5, 2.0)))
        (slice(0, 6, None), slice(26, 44, None), slice(0, 13, None))
        """
        return grown(organ, [math.ceil(self.margin_mm / s - 1e-6) for s in grid.spacing], grid.shape)

    def find(self, predictions: Sequence[SoftPrediction], schema: LabelSchema) -> Box | None:
        """The box to look at in a case; None where the organ is not found.

        Parameters
        ----------
        predictions
            Of the models without a region.
        """
        name = self.name(schema)
        around = ensemble_box(predictions, name)
        if around is None:
            return None
        grid = predictions[0].grid
        organ = organ_box(ensemble_mean(predictions, name, around) > FOUND, LEAST * self.smallest_ml / grid.voxel_ml)
        return None if organ is None else self.box(absolute(organ, around), grid)


def organ_box(mask: npt.NDArray[np.bool_], least_voxels: float = 0.0) -> Box | None:
    """The box around the pieces of an organ; None where there are none, or of too few voxels together.

    Parameters
    ----------
    mask
        Voxels (z, y, x) that are taken for the organ.
    least_voxels
        How many the pieces need to have together.
    """
    pieces, count = connected_components(mask)
    voxels = np.bincount(pieces.ravel(), minlength=count + 1)[1:]
    large = np.flatnonzero(voxels >= PIECE * voxels.max(initial=0)) + 1
    if count == 0 or voxels[large - 1].sum() < least_voxels:
        return None
    return bounding_box(np.isin(pieces, large))


def organs_not_found(rows: Iterable[Predicted], models: Path, schema: LabelSchema) -> dict[str, list[str]]:
    """Organs that models of a region did not find, by case, in the order of the cases.

    Parameters
    ----------
    rows
        What was predicted.
    models
        Folder of the models that did it.
    """
    found: dict[str, set[str]] = {}
    for row in rows:
        region = read_region(models / row.model) if not row.classes else None
        if region is not None:
            found.setdefault(row.case_id, set()).add(region.name(schema))
    return {case_id: sorted(found[case_id]) for case_id in sorted(found)}


def learned_schema(model: ModelParams, schema: LabelSchema, name: str) -> LabelSchema:
    """The classes that a model learns; `name` is the model's.

    Raises
    ------
    Misuse
        The parameters of the model name what is no class.
    """
    where = f"retrain.models.{name}"
    schema.require(model.classes or (), f"{where}.classes")
    if model.region is None:
        return schema.only(model.classes or schema.names)
    schema.require([model.region.inside], f"{where}.region.inside")
    return schema.only(model.classes or schema.within(model.region.inside))


def write_region(folder: Path, region: Region) -> None:
    """Write `region.json` beside the weights to be."""
    replace_text(folder / REGION, to_json(region.model_dump()))


def read_region(folder: Path) -> Region | None:
    """What the model in a folder looks at, its files checked against its id; None for the whole image."""
    path = folder / REGION
    if not path.is_file():
        return None
    try:
        return Region.model_validate(read_json(path))
    except ValueError as error:
        raise VoxledgerError(f"{path} does not say what the model looks at: {error}", restoring(path)) from None
