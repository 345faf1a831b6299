"""Which networks of its `plans.json` a model is, and how it predicts.

nnU-Net keeps that in names of folders and in checkpoints. Here it stands in `plans.json`, under one key that
nnU-Net does not look at, so that the id of the model covers it. Models of the recipe `small` have no such key.
"""

from __future__ import annotations

from typing import Any

from pydantic import BaseModel, ConfigDict, Field

KEY = "voxledger"
FULLRES = "3d_fullres"
LOWRES = "3d_lowres"
CASCADE = "3d_cascade_fullres"
ADOPTED = "adopted"
"""Recipe of a model that was trained elsewhere."""


class Stages(BaseModel):
    """The networks of a model in the order in which they predict."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    recipe: str = "small"
    trainer: str = "BudgetTrainer"
    """The class of nnU-Net's trainer, for its result folders."""
    configurations: tuple[str, ...] = Field(default=(FULLRES,), min_length=1)
    """Of the plans; one after the first gets what the one before it found."""
    folds: tuple[str, ...] = Field(default=("all",), min_length=1)
    """Of every configuration; the logits of their networks are averaged."""
    mirror_axes: tuple[int, ...] = ()
    """Axes along which predictions are mirrored and averaged, after the transposition of the plans."""

    def prefix(self, configuration: str, fold: str) -> str:
        """What the names of the weights of one network begin with; nothing where there is one alone.

        Examples
        --------
        >>> Stages().prefix("3d_fullres", "all")
        ''
        >>> Stages(folds=("0", "1")).prefix("3d_fullres", "1")
        '3d_fullres/fold_1/'
        """
        alone = len(self.configurations) == len(self.folds) == 1
        return "" if alone else f"{configuration}/fold_{fold}/"


def stages_of(plans: dict[str, Any]) -> Stages:
    """The networks of a model, by its plans."""
    return Stages.model_validate(plans.get(KEY, {}))


def planned(plans: dict[str, Any]) -> tuple[str, ...]:
    """What nnU-Net's recipe trains: a cascade where its planner found one to be needed, else the full resolution."""
    return (LOWRES, CASCADE) if LOWRES in plans["configurations"] else (FULLRES,)
