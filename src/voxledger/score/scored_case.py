"""A case as the score stage reads it: what models predict, and the label map that people are shown."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from voxledger.bundles.shown import read_sources
from voxledger.casemap.job import content
from voxledger.errors import VoxledgerError
from voxledger.params import ScoreParams
from voxledger.records.ledger import Entry
from voxledger.schema import LabelSchema

if TYPE_CHECKING:
    from voxledger.imaging.soft import SoftPrediction
    from voxledger.score.attention import Attention
    from voxledger.score.cells import CaseCells


def criteria_of(params: ScoreParams) -> dict[str, object]:
    """What published attention depends on; the rest of the parameters chooses cases."""
    return params.model_dump(mode="json", include={"inconsistency", "uncertainty", "entropy", "opening", "classes"})


@dataclass(frozen=True, kw_only=True)
class ScoredCase:
    """Where all of it lies."""

    image_sha256: str
    predictions: dict[str, Path]
    """By model."""
    schema: LabelSchema
    params: ScoreParams = content(by=criteria_of)
    image: Path
    base: Path | None
    """Label map of the base version."""
    pseudo: Path | None
    """Label map of the models."""
    entries: tuple[Entry, ...]
    """Rows of the base ledger about the case."""
    predicted: tuple[str, ...]
    """Classes that models predict."""
    version: int

    def read(self) -> tuple[CaseCells, Attention]:
        """Its cells, and its attention by the published criteria."""
        from voxledger.imaging import volume
        from voxledger.score.cells import CaseCells

        opened, attention = published(self.predictions, self.image_sha256, self.schema, self.params)
        entries, predicted = {entry.class_name: entry for entry in self.entries}, frozenset(self.predicted)
        shown = read_sources(self.schema, self.image, self.base, self.pseudo, entries, predicted, self.version)
        labels = shown.proposal(self.schema)
        return CaseCells(opened, labels, volume.read(self.image).array, self.schema), attention


def published(
    predictions: Mapping[str, Path], image_sha256: str, schema: LabelSchema, params: ScoreParams
) -> tuple[list[SoftPrediction], Attention]:
    """The predictions of a case, and its attention by the published criteria."""
    from voxledger.imaging.soft import open_soft
    from voxledger.score.attention import Attention

    opened = [open_soft(path) for path in predictions.values()]
    for path, prediction in zip(predictions.values(), opened, strict=True):
        if prediction.image_sha256 != image_sha256:
            raise VoxledgerError(f"{path} was predicted from another image", "run `dvc repro -f infer`")
    return opened, Attention(opened, schema, params)
