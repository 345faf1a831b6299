"""`continual`: leave the base model as it is, and train a head for each class that people revised (Continual Tuning).

Where heads are not enough, `retrain.continual` asks for an added decoder or low-rank adapters beside the network.

Of the other classes the next model says what the base model says, bit by bit. A class is revised since where a person
corrected it, or labels of a source came, in a round after that of the base model, or in one before in which another
class of the case was rejected, so that the case taught nothing yet; of a model from elsewhere, in any.
A class that the base model was never taught gets a head once a case shows it. A head that is there already goes on.

A head learns from all cases in which people decided on its class since, and from a share of the older ones. With
`hybrid`, also from cases that teach other classes, where its own was only predicted, as the models drew it. If nothing
was revised, the base model goes on unchanged. Where there is no base model, or it has another network, the model is
trained in full instead; fine-tuned, where heads cannot be put on its network.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from voxledger.knowledge import Knowledge, knowledge_of
from voxledger.models.backend import backend_of
from voxledger.models.cohort import Member
from voxledger.models.home import could_learn
from voxledger.models.learn_branch import ADAPTERS, DECODER
from voxledger.models.learn_heads import HEADS
from voxledger.models.model import Model
from voxledger.models.start import HeadStart, Lesson, Start
from voxledger.params import ModelParams, RetrainParams
from voxledger.records.ledger import Entry, Origin
from voxledger.retrain.embeddings import embedding_of
from voxledger.retrain.replay import replayed
from voxledger.retrain.strategies import finetune


def start(
    model: ModelParams, params: RetrainParams, base: Model | None, classes: list[str], cohort: Sequence[Member]
) -> Start:
    """Start with the base model's network, which stays, and spend a share of the iterations on each head.

    Parameters
    ----------
    model
        The model to train, as `retrain.models` describes it.
    params
        Those that begin with `continual`, `grown_iterations`, `replay`, `hybrid` and `features_gb` of it are used.
    base
        The model of this name that the round began with.
    classes
        Those that may have a head.
    cohort
        Cases to learn from: their rows of the ledger say what was revised when.

    Examples
    --------
    >>> model = ModelParams(backend="monai", network="unet", iterations=240)
    >>> start(model, RetrainParams(strategy="continual"), None, ["liver"], []).note
    'trained in full: models/base has no model of this name'
    """
    other = finetune.start(model, params, base, classes, cohort)
    if base is None or other.parent is None:
        return other
    if obstacle := backend_of(base.card).no_trunk(base.folder):
        return replace(other, note=f"fine-tuned: {obstacle}")
    margin = params.continual_margin if params.continual == "auto" else None
    lessons = tuple(_lessons(params, base, classes, cohort))
    if margin is not None:
        patients = {member.case.case_id: member.case.patient for member in cohort}
        lessons = tuple(_holding_out(one, patients, params.seed) for one in lessons)
    if not lessons:
        return HeadStart("continual", 0, base, "goes on unchanged: no class was revised since it was trained")
    return HeadStart(
        "continual",
        model.budget(params.continual_iterations),
        base,
        lessons=lessons,
        room=round(params.features_gb * 1e9),
        rungs=_RUNGS[params.continual],
        margin=margin,
        grown=model.budget(params.grown_iterations),
    )


_RUNGS = {
    "heads": (HEADS,),
    "decoder": (DECODER,),
    "adapters": (ADAPTERS,),
    "auto": (HEADS, DECODER, ADAPTERS),
}
"""What is tried."""
_HELD_OUT = 5
"""One of so many patients in whose cases people decided on a class is held out where steps are chosen by what came of
them."""


def _lessons(params: RetrainParams, base: Model, classes: Sequence[str], cohort: Sequence[Member]) -> Iterator[Lesson]:
    """What the head of every class learns from that has to be trained."""
    taught = set(base.taught)
    rows = {member.case.case_id: {e.class_name: e for e in member.entries} for member in cohort}
    unlearned = {(m.case.case_id, e.class_name) for m in cohort for e in m.entries if not could_learn(base.card, m, e)}
    since = {i for i, found in rows.items() if any((i, n) in unlearned for n, e in found.items() if _is_trusted(e))}
    for name in classes:
        people = {i: found[name] for i, found in rows.items() if _is_trusted(found.get(name))}
        recent = {i for i in people if (i, name) in unlearned or name not in taught}
        if not any(_is_news(people[i], name in taught) for i in recent):
            continue
        again = replayed(cohort, people.keys() - recent, params, name, name)
        asked = since - people.keys() if params.hybrid else set()
        predicted = (i for i in asked if knowledge_of(rows[i].get(name)) is Knowledge.PREDICTED)
        vector = embedding_of(name, params.head_embeddings)
        yield Lesson(name, tuple(sorted({*recent, *again})), tuple(sorted(predicted)), vector)


def _holding_out(lesson: Lesson, patients: Mapping[str, str], seed: int) -> Lesson:
    """A lesson that learns nothing of a share of the patients whose cases people decided on: it is judged by those.

    Parameters
    ----------
    patients
        By case id.
    """
    decided = sorted({patients[case_id] for case_id in lesson.people})
    rng = np.random.default_rng([seed, *lesson.class_name.encode()])
    drawn = set(rng.choice(decided, len(decided) // _HELD_OUT, replace=False).tolist())
    return replace(
        lesson,
        people=tuple(i for i in lesson.people if patients[i] not in drawn),
        model=tuple(i for i in lesson.model if patients[i] not in drawn),
        held_out=tuple(i for i in lesson.people if patients[i] in drawn),
    )


def _is_trusted(entry: Entry | None) -> bool:
    return knowledge_of(entry) is Knowledge.TRUSTED


def _is_news(entry: Entry, is_taught: bool) -> bool:
    """Whether a mask that people stand behind says what the base model does not: not where they accepted it."""
    return entry.origin in (Origin.REVISED, Origin.SOURCE) if is_taught else entry.ml > 0
