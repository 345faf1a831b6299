"""What every strategy is: a function that says where the training of a model starts and how long it goes on."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from voxledger.models.cohort import Member
from voxledger.models.model import Model
from voxledger.models.start import Start
from voxledger.params import ModelParams, RetrainParams

Strategy = Callable[[ModelParams, RetrainParams, Model | None, list[str], Sequence[Member]], Start]
"""The function `start` of a file in `retrain/strategies/`, whose name `retrain.strategy` gives.

It gets the model to train, the parameters of the stage, the base model of the same name if there is one, the classes
to learn in the order of the schema, and the cases to learn from with their rows of the ledger.
"""
