"""A model folder of the round, its files checked against its id."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from voxledger.models.channels import named_today
from voxledger.models.dataset import channels, heads, untaught
from voxledger.models.region import Region, read_region
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
        """Classes it knows, in the order of its output channels, then of its heads, as they are called today."""
        dataset = read_json(self.folder / DATASET)
        return list(dict.fromkeys(self.schema.renamed(n) or n for n in (*channels(dataset), *heads(dataset))))

    @property
    def taught(self) -> list[str]:
        """Classes that it was taught, as they are called today, in the order of the schema."""
        dataset = read_json(self.folder / DATASET)
        return named_today(channels(dataset).keys() - untaught(dataset) | heads(dataset).keys(), self.schema)

    @property
    def region(self) -> Region | None:
        """What of an image it looks at; None for the whole."""
        return read_region(self.folder)


def open_models(models: Path, schema: LabelSchema) -> list[Model]:
    """All models of a folder such as `models/base`, sorted by name.

    Raises
    ------
    VoxledgerError
        The files of one do not fit its id.
    """
    return [Model(models / card.name, check_model(models / card.name), schema) for card in list_models(models)]
