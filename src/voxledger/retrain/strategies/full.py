"""`full`: train from nothing on the whole cohort."""

from __future__ import annotations

from voxledger.models.start import Base, Start
from voxledger.params import ModelParams, RetrainParams


def start(model: ModelParams, params: RetrainParams, base: Base | None, classes: list[str]) -> Start:
    """New plans, random weights, all iterations."""
    return Start("full", model.iterations)
