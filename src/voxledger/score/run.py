"""The score stage: attention of every pool case that was predicted, and the worklist of the round."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from voxledger import layout
from voxledger.bundles.shown import require_proposed
from voxledger.casemap.job import Job, content
from voxledger.casemap.once import once
from voxledger.casemap.run import casemap
from voxledger.knowledge import trusted
from voxledger.params import Params, ScoreParams
from voxledger.records.card import ENSEMBLE
from voxledger.records.cases import Case, Split, in_split
from voxledger.records.decisions import Decision
from voxledger.records.errors import ErrorRow
from voxledger.records.ledger import Ledger, Origin, by_case, last_reviewed
from voxledger.records.mask_quality import JudgedMask
from voxledger.records.predicted import ensembles, read_predicted
from voxledger.records.readings import Reading, settled
from voxledger.records.worklist import AUDIT, DISAGREES, NOT_FOUND, REJECTED, WorkItem, write_worklist
from voxledger.registry import ACQUISITION
from voxledger.schema import LabelSchema
from voxledger.score.acquire import Acquisition
from voxledger.score.bias import agreement
from voxledger.score.drawn import AttentionCurve, TopCase
from voxledger.score.learned import Learned, described, learned_here
from voxledger.score.likely_error import experience
from voxledger.score.no_audit import no_audit_section
from voxledger.score.pictures import thermal_table
from voxledger.score.predicted import of_pool, predict_round, with_quality
from voxledger.score.quality import QualityModel
from voxledger.score.quality_section import quality_section
from voxledger.score.rank_cells import ranks_of_round
from voxledger.score.ranks import Ranks, write_ranks
from voxledger.score.scored_case import ScoredCase, criteria_of, published
from voxledger.score.section import score_section
from voxledger.score.stopping import UNJUDGED, Outlook, by_target, error_left, not_predicted, outlook
from voxledger.score.table import CaseScore, ClassScore, write_scores
from voxledger.score.worklist import choose, read_by_several, worklist
from voxledger.textfile import replace_text, write_table
from voxledger.weak.decisions import WeakDecision

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from voxledger.imaging.boxes import Box
    from voxledger.score.attention import Attention, ClassAttention

PICTURES = 4
"""Cases shown in the report."""


def score_round(
    cases: Sequence[Case],
    ledger: Ledger,
    errors: Sequence[ErrorRow],
    predictions: Path,
    schema: LabelSchema,
    params: Params,
    not_found: Mapping[str, Sequence[str]] = MappingProxyType({}),
    readings: Sequence[Reading] = (),
    weak: Sequence[WeakDecision] = (),
    judged: Sequence[JudgedMask] = (),
) -> list[WorkItem]:
    """Write attention, scores, agreement of the models, worklist and outlook of the round; returns the worklist.

    Parameters
    ----------
    cases
        The case table; cases of the pool are scored.
    ledger
        Which classes of which cases people stand behind.
    errors
        What reviewers changed in earlier rounds.
    predictions
        Folder with one folder a model, `<model>/<case>.b2nd`. Where there is none, people label from
        scratch: `budget` cases by chance, unless some case teaches models what is background, that is, people stand
        behind every class of it that lies in no other.
    not_found
        Organs that models of a region did not find, by case, of all that were predicted.
    readings
        What was said in earlier rounds.
    weak
        What was found of objects that were predicted from weak labels.
    judged
        Masks that people judged in earlier rounds; quality is learned from those of the pool.
    """
    pool = in_split(cases, Split.POOL)
    patients = {case.case_id: case.patient for case in pool}
    found, how = _attention(pool, ledger, predictions, schema, params)
    scores = [_class_score(c, name, ledger, found.get(c.case_id)) for c in pool for name in schema.names]
    write_scores(layout.SCORES, scores)
    model, masks = predict_round(judged := of_pool(judged, pool, schema), scores, patients, schema, params)
    unseen, unfit = _unseen(scores, not_found, schema), disagreeing(ledger, weak, schema)
    rejected = rejected_before(ledger, readings, schema) if params.score.rejected_first else ()
    flagged = dict.fromkeys(unfit, DISAGREES) | dict.fromkeys(rejected, REJECTED) | dict.fromkeys(unseen, NOT_FOUND)
    open_cases = with_quality(_by_case(scores), masks, schema, params)
    open_cases, chosen = _choose(pool, open_cases, scores, errors, found, schema, params, flagged)
    rows = _worklist(open_cases, chosen, len(schema.names), params)
    write_worklist(layout.WORKLIST, rows)
    reviewed = last_reviewed(ledger, {c.case_id for c in pool})
    view = _outlook(open_cases, chosen, reviewed, len(unseen), model, patients, params.score)
    replace_text(layout.OUTLOOK, json.dumps(asdict(view) | how, indent=2) + "\n")
    _write_agreement(pairs := _pairs(found))
    _write_plot(predicted := [c for c in open_cases if c.case_id in found])
    attention_ml = tuple(sorted(c.attention_ml for c in predicted))
    curve = AttentionCurve(name="curve", attention_ml=attention_ml, above_knee=view.above_knee, chosen=view.chosen)
    shown, bias = _pictures(pool, rows, found, schema), _mean_agreement(pairs, schema)
    quality = quality_section(model, masks, view.left, judged, patients) if params.score.quality else ""
    section = score_section(view, once(curve).png, shown, bias, not_found, unfit, how.get("attention"))
    replace_text(layout.SCORE_SECTION, section + no_audit_section(params.score) + quality)
    return rows


def _outlook(
    cases: Sequence[CaseScore],
    chosen: Mapping[str, str],
    reviewed: tuple[int, int],
    unseen: int,
    model: QualityModel | None,
    patients: Mapping[str, str],
    params: ScoreParams,
) -> Outlook:
    """Whether another round is worth it."""
    selected = sum(reason != AUDIT for reason in chosen.values())
    wanted = params.stop_error_ml, params.stop_dice
    asked, left = any(value is not None for value in wanted), error_left(cases, model, patients)
    target = by_target(left, *wanted)
    if asked and left is None and model is not None and model.correction.blind:
        target = False, not_predicted(sum(len(case.classes) for case in cases))
    view = outlook(cases, selected, *reviewed, unseen, left, target)
    return replace(view, why=f"{view.why}; {UNJUDGED}") if asked and cases and target is None else view


def _choose(
    pool: Sequence[Case],
    open_cases: list[CaseScore],
    scores: Sequence[ClassScore],
    errors: Sequence[ErrorRow],
    found: Mapping[str, Any],
    schema: LabelSchema,
    params: Params,
    flagged: Mapping[str, str],
) -> tuple[list[CaseScore], dict[str, str]]:
    """The cases with classes that nobody stands behind, and those of them that are chosen, with the reason."""
    seed = f"{params.score.seed}/{params.round}"
    acquisition: Acquisition = ACQUISITION.get(params.score.acquisition)
    count, known = len(schema.names), experience(errors)
    outermost = {c.name for c in schema.classes if c.inside is None}
    if found:
        if acquisition.features:
            open_cases = _with_features(open_cases, pool, params)
        predicted = [c for c in open_cases if c.case_id in found]
        readers = params.export.readers
        asked = predicted, count, params.score, seed, known
        return open_cases, choose(*asked, flagged=flagged, readers=readers)
    if any(outermost <= {s.class_name for s in of_case if s.trusted} for of_case in _grouped(scores)):
        return open_cases, {}
    return open_cases, choose(open_cases, count, params.score, seed, known, "random", readers=params.export.readers)


def _worklist(open_cases: Sequence[CaseScore], chosen: dict[str, str], classes: int, params: Params) -> list[WorkItem]:
    """Who looks at what, with the cases that several people read."""
    readers = params.export.readers
    several = read_by_several(chosen, readers, f"{params.score.seed}/{params.round}")
    return worklist(open_cases, chosen, params.export.reviewers, classes, params.score, readers.count, several)


def _unseen(
    scores: Sequence[ClassScore], not_found: Mapping[str, Sequence[str]], schema: LabelSchema
) -> frozenset[str]:
    """Cases in which nobody stands behind some class that lies in an organ which was not found."""
    return frozenset(
        s.case_id
        for s in scores
        if not s.trusted and any(organ in schema.chain(s.class_name) for organ in not_found.get(s.case_id, ()))
    )


def rejected_before(ledger: Ledger, readings: Sequence[Reading], schema: LabelSchema) -> frozenset[str]:
    """Cases with a class that was rejected when it was last decided on, and that nobody stands behind."""
    last = {(one.case_id, schema.renamed(one.class_name) or ""): one.decision for one in settled(readings)}
    return frozenset(
        entry.case_id
        for key, entry in ledger.items()
        if entry.origin is Origin.REJECTED or (not entry.origin.trusted and last.get(key) is Decision.REJECT)
    )


def disagreeing(ledger: Ledger, weak: Sequence[WeakDecision], schema: LabelSchema) -> dict[str, list[str]]:
    """Cases with a class that does not fit its weak label, or where the filter leaves nothing of it, and those classes.

    Classes that somebody stands behind are left out.
    """
    fits: dict[tuple[str, str], bool] = {}
    for one in weak:
        if not trusted(ledger, one.case_id, one.class_name):
            fits[one.case_id, one.class_name] = fits.get((one.case_id, one.class_name), True) and one.agrees
    left = {case_id: _left(case_id, schema) for case_id in dict.fromkeys(case_id for case_id, _ in fits)}
    found: dict[str, list[str]] = {}
    for (case_id, name), fit in fits.items():
        if not fit or name not in left[case_id]:
            found.setdefault(case_id, []).append(name)
    return found


def _left(case_id: str, schema: LabelSchema) -> set[str]:
    """Classes of which the filter leaves anything in a case, where each was marked, what lies inside them included."""
    from voxledger.imaging.volume import read
    from voxledger.weak.check import Marked
    from voxledger.weak.store import read_weak

    path = layout.label_map(layout.PSEUDO, case_id)
    if not path.is_file():
        return set(schema.names)
    labels = read(path)
    masks = {name: schema.mask(labels.array, name) for name in schema.names}
    found = [Marked(weak, masks[weak.class_name], labels.grid) for weak in read_weak(case_id, labels.grid, schema)]
    gone = {one.weak.class_name for one in found if not one.mask[one.prompted].any()}
    return {name for name, mask in masks.items() if mask.any()} - gone


def _write_agreement(pairs: Sequence[tuple[str, str, str, str, float]]) -> None:
    write_table(
        layout.AGREEMENT,
        ["case_id", "class_name", "model", "other", "dice"],
        ({"case_id": c, "class_name": n, "model": a, "other": b, "dice": f"{dice:.6f}"} for c, n, a, b, dice in pairs),
    )


def _write_plot(predicted: Sequence[CaseScore]) -> None:
    """Attention of every predicted case with an open class, falling."""
    ranked = sorted(predicted, key=lambda c: (-c.attention_ml, c.case_id))
    write_table(
        layout.ATTENTION_PLOT,
        ["rank", "case_id", "attention_ml"],
        (
            {"rank": i, "case_id": c.case_id, "attention_ml": f"{c.attention_ml:.4f}"}
            for i, c in enumerate(ranked, start=1)
        ),
    )


def _pictures(
    pool: Sequence[Case], rows: Sequence[WorkItem], found: Mapping[str, Any], schema: LabelSchema
) -> list[tuple[str, str, bytes]]:
    """The first cases of the worklist, at the slice with most heat, with the pseudo-label."""
    by_id = {c.case_id: c for c in pool}
    pictures = []
    for case_id in [c for c in dict.fromkeys(r.case_id for r in rows) if c in found][:PICTURES]:
        job = TopCase(
            name=case_id,
            image=Path(by_id[case_id].image),
            proposal=layout.label_map(layout.PSEUDO, case_id),
            heat=layout.heat(case_id),
            schema=schema,
        )
        drawn = once(job)
        top = max((r for r in rows if r.case_id == case_id), key=lambda r: r.attention_ml)
        caption = f"{top.priority:.1f} ml of attention, most in {top.class_name}; slice {drawn.slice}"
        pictures.append((case_id, caption, drawn.png))
    return pictures


def _mean_agreement(
    pairs: Sequence[tuple[str, str, str, str, float]], schema: LabelSchema
) -> list[tuple[str, str, str, float]]:
    groups: dict[tuple[str, str, str], list[float]] = {}
    for _, name, a, b, dice in pairs:
        groups.setdefault((name, a, b), []).append(dice)
    order = {name: i for i, name in enumerate(schema.names)}
    ordered = sorted(groups, key=lambda key: (order[key[0]], key[1:]))
    return [(*key, sum(groups[key]) / len(groups[key])) for key in ordered]


def _attention(
    pool: Sequence[Case], ledger: Ledger, predictions: Path, schema: LabelSchema, params: Params
) -> tuple[dict[str, dict[str, Counted]], dict[str, Any]]:
    """Attention files of every predicted case, and what was counted; where attention was to be learned, what it is."""
    how: dict[str, Any] = {}
    if params.score.attention != "learned":
        write_ranks(layout.CELL_RANKS, Ranks({}))
        found = attend(pool, predictions, schema, params)
    else:
        shown = scored_cases(pool, ledger, predictions, schema, params)
        write_ranks(layout.CELL_RANKS, ranks_of_round(shown, ledger, params))
        learned = learned_here(pool, schema, params.score.miss)
        model = learned if isinstance(learned, Learned) else None
        found = attend_by(model, shown, params) if model else attend(pool, predictions, schema, params)
        how["attention"] = described(learned, params.score.miss)
        if model is not None:
            replace_text(layout.ATTENTION_FROM, json.dumps(how["attention"], indent=2) + "\n")
    replace_text(layout.HEAT_COLORS, thermal_table())
    return found, how


def scored_cases(
    pool: Sequence[Case], ledger: Ledger, predictions: Path, schema: LabelSchema, params: Params
) -> dict[str, ScoredCase]:
    """Every predicted case by its id, with what people are shown, by the ledger of the base version and
    `layout.PREDICTED`."""
    predicted, entries = ensembles(read_predicted(layout.PREDICTED)), by_case(ledger)
    found = {}
    for case, by_model in _predicted(pool, predictions):
        base, pseudo = (layout.label_map(place, case.case_id) for place in (layout.BASE_LABELS, layout.PSEUDO))
        require_proposed(case.case_id, ensemble := predicted.get(case.case_id), pseudo)
        found[case.case_id] = ScoredCase(
            image_sha256=case.sha256,
            predictions=by_model,
            schema=schema,
            params=params.score,
            image=Path(case.image),
            base=base if base.is_file() else None,
            pseudo=pseudo if pseudo.is_file() else None,
            entries=tuple(entries.get(case.case_id, {}).values()),
            predicted=tuple(sorted(ensemble.classes)) if ensemble is not None else (),
            version=params.round,
        )
    return found


def attend(
    pool: Sequence[Case], predictions: Path, schema: LabelSchema, params: Params
) -> dict[str, dict[str, Counted]]:
    """Attention files of every predicted case by the published criteria; returns what was counted by case and class."""
    return _attended(
        [
            Attend(name=case.case_id, image_sha256=case.sha256, predictions=files, schema=schema, params=params.score)
            for case, files in _predicted(pool, predictions)
        ],
        params,
    )


def attend_by(learned: Learned, cases: Mapping[str, ScoredCase], params: Params) -> dict[str, dict[str, Counted]]:
    """The same by a model of errors, which goes by what people are shown."""
    return _attended(
        [
            AttendLearned(
                name=case_id,
                case=case,
                ranks=layout.CELL_RANKS,
                model=learned.weights,
                model_id=learned.id,
                classes=learned.classes,
                threshold=learned.threshold,
            )
            for case_id, case in cases.items()
        ],
        params,
    )


def _predicted(pool: Sequence[Case], predictions: Path) -> Iterable[tuple[Case, dict[str, Path]]]:
    """Cases that were predicted, with their files by model."""
    for case in pool:
        if files := sorted(predictions.glob(f"*/{case.case_id}.b2nd")):
            yield case, {file.parent.name: file for file in files}


def _attended(jobs: Sequence[Attend] | Sequence[AttendLearned], params: Params) -> dict[str, dict[str, Counted]]:
    found = casemap(jobs, layout.ATTENTION, params.machine, manifest=layout.SCORE_CASES, nothing_else=True)
    return {job.name: attention for job, attention in zip(jobs, found, strict=True)}


@dataclass(frozen=True)
class Counted:
    """What the attention of one class of one case comes to."""

    models: tuple[str, ...]
    """Those that know the class."""
    attention_ml: float
    inconsistent_ml: float
    uncertain_ml: float
    overlapping_ml: float
    predicted_ml: float
    mean_entropy: float
    """In nats, over all voxels of the image."""
    votes: dict[int, int]
    """Voxels by the set of models that claim them, see `voxledger.score.bias.agreement`."""


class Attend(Job[dict[str, Counted]]):
    """Attention of one case; gives by class what was counted."""

    stage, algorithms = "score", ("score",)
    image_sha256: str = content()
    predictions: dict[str, Path] = content()
    """By model."""
    schema: LabelSchema = content()
    params: ScoreParams = content(by=criteria_of)

    def compute(self, folder: Path) -> dict[str, Counted]:
        _, attention = published(self.predictions, self.image_sha256, self.schema, self.params)
        found = (attention[name] for name in self.schema.names)
        return _write(folder, self.name, list(self.predictions), self.schema, attention, found, attention.heat)


class AttendLearned(Job[dict[str, Counted]]):
    """The same, with attention where a model expects errors; published criteria are counted as they are."""

    stage, algorithms = "score", ("score", "learn")
    case: ScoredCase = content()
    ranks: Path = content()
    """Of the round."""
    model: Path = content()
    """Weights of the model of errors."""
    model_id: str = content()
    classes: tuple[str, ...] = content()
    """Those that it learned from."""
    threshold: float = content()

    def compute(self, folder: Path) -> dict[str, Counted]:
        from voxledger.score.cells import FEATURES
        from voxledger.score.error_model import read_error_model
        from voxledger.score.learned import attend_learned
        from voxledger.score.ranks import read_ranks

        cells, attention = self.case.read()
        model, ranks = read_error_model(self.model, len(FEATURES)), read_ranks(self.ranks)
        heat, found = attend_learned(cells, attention, ranks, model, self.classes, self.threshold)
        models = list(self.case.predictions)
        return _write(folder, self.name, models, self.case.schema, attention, found, heat, self.model_id)


def _write(
    folder: Path,
    case_id: str,
    models: Sequence[str],
    schema: LabelSchema,
    attention: Attention,
    found: Iterable[ClassAttention],
    heat: npt.NDArray[np.uint8],
    model_id: str = "",
) -> dict[str, Counted]:
    """Write the attention of every class, and then the heat map; gives by class what was counted.

    Parameters
    ----------
    attention
        Of the published criteria; `found` and `heat` are what is written.
    model_id
        Of the model of errors, if they are of one.
    """
    from voxledger.imaging import volume
    from voxledger.imaging.attention_file import write_attention

    counted, grid = {}, attention.grid

    def note(one: ClassAttention) -> tuple[str, Box | None, npt.NDArray[np.uint8]]:
        counted[one.name] = _counted(one, models, grid.voxel_ml, heat.size)
        return one.name, one.box, one.bits

    write_attention(folder / layout.attention(case_id).name, map(note, found), schema.names, grid, model_id)
    volume.write(folder / layout.heat(case_id).name, heat, grid)
    return counted


def _counted(one: ClassAttention, models: Sequence[str], voxel_ml: float, voxels: int) -> Counted:
    from voxledger.imaging.attention_file import Criterion

    return Counted(
        models=tuple(models[i] for i in one.models),
        attention_ml=one.attention * voxel_ml,
        inconsistent_ml=one.voxels[Criterion.INCONSISTENT] * voxel_ml,
        uncertain_ml=one.voxels[Criterion.UNCERTAIN] * voxel_ml,
        overlapping_ml=one.voxels[Criterion.OVERLAPPING] * voxel_ml,
        predicted_ml=one.predicted * voxel_ml,
        mean_entropy=one.entropy / voxels,
        votes={claim: int(count) for claim, count in enumerate(one.votes) if claim and count},
    )


def _class_score(case: Case, name: str, ledger: Ledger, found: dict[str, Counted] | None) -> ClassScore:
    known = trusted(ledger, case.case_id, name)
    if found is None:
        return ClassScore(case.case_id, name, 0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, known)
    info = found[name]
    dice = [d for pair, d in _agreement(info).items() if ENSEMBLE not in pair]
    return ClassScore(
        case.case_id,
        name,
        len(info.models),
        info.attention_ml,
        info.inconsistent_ml,
        info.uncertain_ml,
        info.overlapping_ml,
        info.predicted_ml,
        info.mean_entropy,
        min(dice, default=1.0),
        known,
    )


def _pairs(found: Mapping[str, Mapping[str, Counted]]) -> list[tuple[str, str, str, str, float]]:
    """Case, class, two models, and their Dice."""
    return [
        (case_id, name, *pair, dice)
        for case_id, classes in found.items()
        for name, info in classes.items()
        for pair, dice in _agreement(info).items()
    ]


def _agreement(counted: Counted) -> dict[tuple[str, str], float]:
    return agreement(list(counted.models), counted.votes)


def _grouped(scores: Sequence[ClassScore]) -> list[list[ClassScore]]:
    by_case: dict[str, list[ClassScore]] = {}
    for score in scores:
        by_case.setdefault(score.case_id, []).append(score)
    return list(by_case.values())


def _by_case(scores: Sequence[ClassScore]) -> list[CaseScore]:
    found = [CaseScore(g[0].case_id, tuple(s for s in g if not s.trusted)) for g in _grouped(scores)]
    return [case for case in found if case.classes]


def _with_features(open_cases: Sequence[CaseScore], pool: Sequence[Case], params: Params) -> list[CaseScore]:
    from voxledger.score.features import features_of

    ids = {case.case_id for case in open_cases}
    found = features_of([c for c in pool if c.case_id in ids], params.machine)
    return [replace(c, features=found[c.case_id]) for c in open_cases]
