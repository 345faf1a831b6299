"""`finetune`: go on from the base model of the same name, with its plans, on the whole cohort.

Output channels go by the names of the classes: one that the base model knows keeps its weights, another begins anew.
Where there is no such model, or it has another network, the model is trained in full instead. A model from elsewhere
keeps its own network, whatever the parameters say of that.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from voxledger import layout
from voxledger.models.cohort import Member
from voxledger.models.dataset import HEADS
from voxledger.models.model import Model
from voxledger.models.start import Start
from voxledger.params import OPTIONS, ModelParams, RetrainParams
from voxledger.retrain.strategies import full

BUDGET = {"batch", "epochs", "iterations", "learning_rate", "start", *OPTIONS}
"""Parameters that may change between a model and its fine-tuning; the others decide what the network is."""


def start(
    model: ModelParams, params: RetrainParams, base: Model | None, classes: list[str], cohort: Sequence[Member]
) -> Start:
    """Start with the base model's plans and weights, and spend a share of the iterations.

    Parameters
    ----------
    model
        The model to train, as `retrain.models` describes it.
    params
        `finetune_iterations` is the share of the model's iterations.
    base
        The model of this name that the round began with.
    classes, cohort
        Not used: what the base model does not know begins anew.

    Examples
    --------
    >>> model = ModelParams(backend="monai", network="unet", iterations=240)
    >>> start(model, RetrainParams(strategy="finetune"), None, ["liver"], [])
    Start(strategy='full', iterations=240, parent=None, note='trained in full: models/base has no model of this name')
    """
    obstacle = _obstacle(model, base)
    if base is None or obstacle:
        scratch = full.start(model, params, base, classes, cohort)
        return Start(scratch.strategy, scratch.iterations, note=f"trained in full: {obstacle}")
    found = Start("finetune", model.budget(params.finetune_iterations), base)
    left = ", ".join(found.dataset[HEADS]) if found.dataset else ""
    return replace(found, note=f"leaves the heads of {left} behind: only the network goes on") if left else found


def _obstacle(model: ModelParams, base: Model | None) -> str:
    if base is None:
        return f"{layout.BASE_MODELS} has no model of this name"
    if base.card.source is not None:
        same = base.card.backend == model.backend
        return "" if same else f"the base model is of the backend {base.card.backend}"
    wanted = {name: value for name, value in model.record().items() if name not in BUDGET}
    made = {"recipe": "small", **base.card.params}  # cards of before 0.4 name none
    if base.card.backend != model.backend or any(made.get(name) != value for name, value in wanted.items()):
        return "the base model was made with other parameters"
    return ""
