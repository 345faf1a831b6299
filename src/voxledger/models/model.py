"""A model folder of the round, its files checked against its id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxledger.models.dataset import channels
from voxledger.records.card import DATASET, ModelCard, check_model, list_models
from voxledger.schema import LabelSchema
from voxledger.textfile import read_json


@dataclass(frozen=True)
class Model:
    """One model: its folder, its card, and the classes of today."""

    folder: Path
    card: ModelCard
    schema: LabelSchema

    @property
    def classes(self) -> list[str]:
        """Classes it knows, in the order of its output channels, as they are called today."""
        return [self.schema.renamed(name) or name for name in channels(read_json(self.folder / DATASET))]


def open_models(models: Path, schema: LabelSchema) -> list[Model]:
    """All models of a folder such as `models/base`, sorted by name.

    Raises
    ------
    VoxledgerError
        The files of one do not fit its id.
    """
    return [Model(models / card.name, check_model(models / card.name), schema) for card in list_models(models)]
