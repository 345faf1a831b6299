"""The stage `retrain`: the cohort, one training a model, and the cards of everything that labels may name."""

from __future__ import annotations

import shutil
import sys
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType

from voxledger import layout
from voxledger.casemap.run import casemap
from voxledger.casemap.used import note_used
from voxledger.errors import Misuse, VoxledgerError
from voxledger.models.backend import backend_of
from voxledger.models.cohort import Member, build_cohort, cohort_sha256, to_csv, write_cohort
from voxledger.models.model import Model, open_models
from voxledger.models.region import learned_schema
from voxledger.models.start import HeadStart, PretrainedStart
from voxledger.models.training import Training, TrainingCase
from voxledger.models.trunk import RunTrunk, forget_others, kept_of
from voxledger.params import UNSPECIFIED, MachineParams, RetrainParams
from voxledger.records.card import FORMAT, ModelCard, list_models, read_cards, require_name, to_json
from voxledger.records.cases import Case
from voxledger.records.formats import numbered
from voxledger.records.ledger import Ledger
from voxledger.records.readings import Reading
from voxledger.registry import BACKENDS, STRATEGIES
from voxledger.retrain import pretrained
from voxledger.retrain.strategy import Strategy
from voxledger.retrain.train_model import TrainModel
from voxledger.schema import LabelSchema
from voxledger.textfile import read_text_if_there, replace_text


def retrain_round(
    cases: list[Case],
    schema: LabelSchema,
    ledger: Ledger,
    round_number: int,
    params: RetrainParams,
    machine: MachineParams,
    order: Mapping[str, Mapping[str, int]] = MappingProxyType({}),
    readings: Sequence[Reading] = (),
) -> None:
    """Train the next models on what people stand behind.

    Base models that are not trained anew go on unchanged. Without any trusted case nothing can be trained: then all
    base models go on, so that a round of predictions alone is possible. Writes the models, the table of what they
    learned from, and the cards of the next models and of every model before them, which the ledger names.

    Parameters
    ----------
    cases
        The case table; cases of the pool are learned from.
    ledger
        That of the released labels.
    round_number
        The round that the cards name.
    order, readings
        Places of cases in the order in which older ones are learned from again, by class, see `score/replay.py`; and
        what readers said in all rounds so far, by which it is known when a case did not teach.

    Raises
    ------
    VoxledgerError
        There is neither a trusted case nor a base model, a label is not the mask that the ledger names, or a base
        model was altered.
    """
    before = {model.card.name: model for model in open_models(layout.BASE_MODELS, schema)}
    _require_names(params, {name for name, model in before.items() if backend_of(model.card).made_elsewhere})
    cohort = [_placed(member, order) for member in build_cohort(cases, ledger, schema, readings)]
    table = to_csv(cohort)
    write_cohort(layout.COHORT, table)
    if not before:
        _require_cohort(cohort)
    shutil.rmtree(layout.NEXT_MODELS, ignore_errors=True)
    layout.NEXT_MODELS.mkdir(parents=True)
    if not cohort:
        print(f"retrain: no trusted case yet, so the models of {layout.BASE_MODELS} go on unchanged", file=sys.stderr)
    for name, model in before.items():
        if not cohort or name not in params.models:
            _go_on(model)
    learned_from = tuple(TrainingCase.of(member, layout.RELEASE_LABELS, schema, params.hybrid) for member in cohort)
    trainings = list(_trainings(cohort, learned_from, schema, before, params, machine.device)) if cohort else []
    trained = [training for training in trainings if training.start.iterations]
    for training in trainings:
        if not training.start.iterations:
            _go_on(before[training.name])
    jobs = [_job(training, cohort_sha256(table), params, round_number, machine) for training in trained]
    casemap(jobs, layout.NEXT_MODELS, machine.for_networks)
    _leave_features(params.models.keys() - {t.name for t in trained if not isinstance(t.start, HeadStart)})
    if not list_models(layout.NEXT_MODELS):
        raise Misuse("retrain.models names no model to train", f"name at least one in {layout.PARAMS}")
    replace_text(layout.NEXT_CARDS, to_json([numbered(c.model_dump(), FORMAT) for c in _genealogy()]))


def _leave_features(models: Collection[str]) -> None:
    """Leave features of networks to models that may go on from them, and remove all others."""
    features = {key for name in models for key in kept_of(name)}
    note_used(RunTrunk.stage, features)
    forget_others(features)


def _placed(member: Member, order: Mapping[str, Mapping[str, int]]) -> Member:
    """A member with its places in an order."""
    found = {name: places[member.case.case_id] for name, places in order.items() if member.case.case_id in places}
    return replace(member, places=found)


def train_from_nothing(
    cases: tuple[TrainingCase, ...],
    cohort: str,
    schema: LabelSchema,
    round_number: int,
    params: RetrainParams,
    machine: MachineParams,
    out: Path,
) -> None:
    """Train every model of the parameters in full into `<out>/<name>/`, through the memo.

    Parameters
    ----------
    cohort
        Hash of what is learned from, for the cards.
    """
    models = {name: model.model_copy(update={"start": ""}) for name, model in params.models.items()}
    scratch = params.model_copy(update={"strategy": "full", "models": models})
    trainings = _trainings((), cases, schema, {}, scratch, machine.device)
    casemap([_job(t, cohort, params, round_number, machine) for t in trainings], out, machine.for_networks)


def _go_on(model: Model) -> None:
    """Make a base model one of the next, byte for byte."""
    shutil.copytree(model.folder, layout.NEXT_MODELS / model.card.name, copy_function=shutil.copyfile)


def _require_cohort(cohort: Sequence[Member]) -> None:
    """Raise where there is nothing to begin with."""
    if not cohort:
        raise VoxledgerError(
            "no case of the pool has a label that a person stands behind, and there is no model in "
            f"{layout.BASE_MODELS}",
            "add labelled cases (`voxledger cases add FOLDER --labels FOLDER`) or a model (`voxledger models add`)",
        )


def _require_names(params: RetrainParams, elsewhere: Collection[str]) -> None:
    """Raise `Misuse` where a model to train has a name that it cannot have, or that one made elsewhere has."""
    for name in params.models:
        require_name(name)
        if name in elsewhere:
            raise Misuse(
                f"retrain.models.{name}: {layout.BASE_MODELS} has a model of this name, made elsewhere",
                "choose another name",
            )


def _trainings(
    cohort: Sequence[Member],
    cases: tuple[TrainingCase, ...],
    schema: LabelSchema,
    before: Mapping[str, Model],
    params: RetrainParams,
    device: str,
) -> Iterator[Training]:
    """What to train, by name; says where another strategy is followed than was asked for."""
    strategy: Strategy = STRATEGIES.get(params.strategy)
    for name, model in sorted(params.models.items()):
        learned = learned_schema(model, schema, name)
        start, learns = strategy(model, params, before.get(name), learned.names, cohort), cases
        if start.parent is None and model.start:
            start = pretrained.start_from(name, model, params, before, learned.names, cohort)
        if isinstance(start, PretrainedStart):
            learns = tuple(case for case in cases if case.case_id in start.cases)
        if start.note:
            print(f"retrain: {name} {start.note}", file=sys.stderr)
        yield Training(
            name=name,
            model=model,
            start=start,
            cases=learns,
            schema=learned,
            labels=schema,
            seed=params.seed,
            device=device,
        )


def _job(
    training: Training, cohort: str, params: RetrainParams, round_number: int, machine: MachineParams
) -> TrainModel:
    return TrainModel(
        name=training.name,
        training=training,
        cohort=cohort,
        licence=_licence(training, params.licence),
        round=round_number,
        packages=(BACKENDS.origin(training.model.backend), _origin(training.start.strategy)),
        portable=machine.portable,
    )


def _origin(strategy: str) -> str:
    return "" if strategy == pretrained.STRATEGY else STRATEGIES.origin(strategy)


def _licence(training: Training, given: str) -> str:
    """Licence of the trained model; where the parameters say none, that of the weights that it goes on from."""
    parent = training.start.parent
    return parent.card.licence if parent and given == UNSPECIFIED else given


def _genealogy() -> list[ModelCard]:
    """Cards of the next models and of all before them, by round and name; a model that goes on is listed once."""
    history = str(layout.BASE_CARDS)
    text = read_text_if_there(history)
    earlier = [] if text is None else read_cards(text, history)
    # The card beside the weights counts: older tables lost what a model was adopted from, and who taught it what.
    unique = {card.id: card for card in (*earlier, *list_models(layout.BASE_MODELS), *list_models(layout.NEXT_MODELS))}
    return sorted(unique.values(), key=lambda c: (c.round, c.name, c.id))
