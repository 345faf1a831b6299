"""Ways to get the next model, by name; each is a file of the same shape.

A strategy is told of the model to train and of the base model of the same name, and says where training starts
and how long it goes on.
"""

from __future__ import annotations

from collections.abc import Callable

from voxledger.errors import Misuse
from voxledger.models.start import Base, Start
from voxledger.params import ModelParams, RetrainParams
from voxledger.retrain.strategies import finetune, full

Strategy = Callable[[ModelParams, RetrainParams, Base | None, list[str]], Start]
"""Gets the model, the stage's parameters, the base model of the same name, and the classes to learn."""

STRATEGIES: dict[str, Strategy] = {"full": full.start, "finetune": finetune.start}


def strategy(name: str) -> Strategy:
    """The strategy of a name."""
    try:
        return STRATEGIES[name]
    except KeyError:
        raise Misuse(
            f"retrain.strategy {name} is unknown", f"choose one of {', '.join(sorted(STRATEGIES))} in params.yaml"
        ) from None
