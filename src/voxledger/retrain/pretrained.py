"""Pre-train, then fine-tune: the first training of a model starts from another one, as `start` of it says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.licences import KEPT, lost
from voxledger.models.backend import backend_of
from voxledger.models.cohort import Member
from voxledger.models.dataset import HEADS
from voxledger.models.home import learned_from
from voxledger.models.model import Model
from voxledger.models.start import PretrainedStart
from voxledger.params import UNSPECIFIED, ModelParams, RetrainParams
from voxledger.retrain.replay import replayed
from voxledger.retrain.strategies.finetune import BUDGET

STRATEGY = "pretrained"
"""What the card of such a model names as its strategy."""
OUTPUTS_FIRST = 0.2
"""Share of the iterations in which outputs of new classes learn before the rest."""
_FREE = BUDGET | {"classes", "region"}
"""Parameters of a model that its start may have otherwise: weights do not depend on them."""


def start_from(
    name: str,
    model: ModelParams,
    params: RetrainParams,
    models: Mapping[str, Model],
    classes: Sequence[str],
    cohort: Sequence[Member],
) -> PretrainedStart:
    """Start with the plans and weights of another base model, and spend all iterations.

    Output channels go by the names of the classes. It learns from the cases that did not teach that model, and from
    `replay` of those that did, as `replay_by` chooses them; from all, where all did.

    Parameters
    ----------
    name, model
        The model to train, whose `start` names the other one.
    models
        Base models by name.
    classes
        Those to learn.
    cohort
        Cases that teach.

    Raises
    ------
    Misuse
        There is no such model, it is of another network, has no class of the schema, or a licence that the next model
        may not have.
    """
    parent = _parent(name, model, models)
    _require_same_network(name, model, parent)
    _require_classes(name, parent)
    _require_licence(name, parent, params.licence)
    total, new = model.budget(), [c for c in classes if c not in parent.taught]
    first = model.budget(OUTPUTS_FIRST) if new else 0
    target = [m.case.case_id for m in cohort if not learned_from(parent, m)]
    home = [m.case.case_id for m in cohort if learned_from(parent, m)]
    again = replayed(cohort, home, params, name) if target else home
    told = f"starts from {parent.card.name} ({parent.card.architecture}): {len(target or home)} cases"
    told += f", and {len(again)} of {len(home)} that taught it again" if target and home else ""
    told += f"; it was not taught {', '.join(new)}" if new else ""
    left = ", ".join(parent_heads(parent))
    told += f"; heads of {left} stay behind" if left else ""
    return PretrainedStart(
        STRATEGY,
        total,
        parent,
        told,
        outputs_first=first if first < total else 0,
        cases=tuple(sorted([*target, *again])),
    )


def parent_heads(parent: Model) -> list[str]:
    """Classes whose heads do not go on: only the network does."""
    dataset = PretrainedStart(STRATEGY, 0, parent).dataset or {}
    return list(dataset.get(HEADS, ()))


def _parent(name: str, model: ModelParams, models: Mapping[str, Model]) -> Model:
    asked = f"retrain.models.{name}.start: {model.start}"
    if model.start == name:
        raise Misuse(f"{asked} is the model itself", "to go on from round to round, say `strategy: finetune` instead")
    if model.start not in models:
        listed = ", ".join(sorted(models)) or "none"
        raise Misuse(
            f"{asked} is no model in {layout.BASE_MODELS}, which has {listed}",
            f"name one of these, take one in with `voxledger models adopt {model.start} FOLDER`, or train it in a "
            "round of its own first",
        )
    return models[model.start]


def _require_same_network(name: str, model: ModelParams, parent: Model) -> None:
    """Raise unless the weights fit the network that is asked for; one from elsewhere keeps its own."""
    card, asked = parent.card, f"retrain.models.{name}.start: {parent.card.name}"
    if backend_of(card).made_elsewhere:
        raise Misuse(
            f"{asked} is known by its predictions alone, not its weights", "adopt it with `voxledger models adopt`"
        )
    if card.backend != model.backend:
        raise Misuse(
            f"{asked} is of the backend {card.backend}", f"say `backend: {card.backend}`, or name another model"
        )
    if card.source is not None:
        return
    made = {"recipe": "small", **card.params}  # cards of before 0.4 name none
    differ = [n for n, value in model.record().items() if n not in _FREE and made.get(n) != value]
    if differ:
        theirs = ", ".join(f"{n}: {made.get(n)}" for n in differ)
        raise Misuse(
            f"{asked} has another network than {name}: {', '.join(differ)} differ",
            f"give {name} those that {card.name} was made with in {layout.PARAMS} ({theirs}), or leave out `start`",
        )


def _require_classes(name: str, parent: Model) -> None:
    if not set(parent.classes) & set(parent.schema.names):
        raise Misuse(
            f"retrain.models.{name}.start: {parent.card.name} knows no class by a name of {layout.SCHEMA}",
            "take it in again with `voxledger models adopt --map`, which says what its classes are called here",
        )


def _require_licence(name: str, parent: Model, given: str) -> None:
    """Raise where the licence that the next model gets does not keep what that of its start asks for."""
    theirs = parent.card.licence
    if given != UNSPECIFIED and (left := lost(theirs, given)):
        raise Misuse(
            f"retrain.licence {given} does not fit retrain.models.{name}.start: the weights of {parent.card.name} are "
            f"under {theirs}, which asks for {', '.join(KEPT[letters] for letters in left)}",
            f"remove retrain.licence in {layout.PARAMS}, and {name} has the licence of {parent.card.name}, or say one "
            "that keeps this",
        )
