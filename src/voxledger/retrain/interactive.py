"""The first interactive model of a repository, trained by a command on what people stand behind when a round begins."""

from __future__ import annotations

from collections.abc import Sequence

from voxledger import layout
from voxledger.casemap.run import casemap
from voxledger.errors import Misuse
from voxledger.models.cohort import build_cohort, cohort_sha256, to_csv
from voxledger.models.region import learned_schema
from voxledger.models.training import Training, TrainingCase
from voxledger.params import MachineParams, ModelParams, RetrainParams
from voxledger.records.card import ModelCard, list_models, read_card, require_name
from voxledger.records.cases import Case
from voxledger.records.ledger import Ledger
from voxledger.retrain.strategies import full
from voxledger.retrain.train_model import TrainModel
from voxledger.schema import LabelSchema


def train_interactive(
    name: str,
    model: ModelParams,
    cases: Sequence[Case],
    schema: LabelSchema,
    ledger: Ledger,
    round_number: int,
    params: RetrainParams,
    machine: MachineParams,
) -> ModelCard:
    """Train into `models/base/<name>/`, the same bytes every time on the same kind of CPU; returns its card.

    A training that was finished before is remembered; one that was killed begins anew, and leaves nothing there.

    Parameters
    ----------
    ledger
        That of the base labels: objects of classes that it trusts, in cases of the pool, are learned from.
    params
        Seed, and licence of the model.

    Raises
    ------
    Misuse
        The name is taken or unusable.
    VoxledgerError
        No class that people stand behind has an object, or a label is not the mask that the ledger names.
    """
    require_name(name)
    if any(other.name == name for other in list_models(layout.BASE_MODELS)):
        raise Misuse(f"there is a model {name} already", f"choose another name, or `voxledger models remove {name}`")
    cohort = build_cohort(cases, ledger, schema)
    training = Training(
        name=name,
        model=model,
        start=full.start(model, params, None, [], cohort),
        cases=tuple(TrainingCase.of(member, layout.BASE_LABELS, schema) for member in cohort),
        schema=learned_schema(model, schema, name),
        labels=schema,
        seed=params.seed,
        device=machine.device,
    )
    job = TrainModel(
        name=name,
        training=training,
        cohort=cohort_sha256(to_csv(cohort)),
        licence=params.licence,
        round=round_number,
        packages=("", ""),
        portable=machine.portable,
    )
    layout.BASE_MODELS.mkdir(parents=True, exist_ok=True)
    casemap([job], layout.BASE_MODELS, machine.for_networks)
    return read_card(layout.BASE_MODELS / name)
