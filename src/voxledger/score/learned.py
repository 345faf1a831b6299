"""Learned attention of a case: where a model of errors expects one, and a heat map of its probabilities."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger import layout
from voxledger.imaging.attention_file import Criterion
from voxledger.imaging.boxes import absolute, bounding_box, intersection, view
from voxledger.records.card import CARD, WEIGHTS, check_model
from voxledger.records.cases import Case
from voxledger.schema import LabelSchema
from voxledger.score.attention import Attention, ClassAttention
from voxledger.score.cells import FEATURES, CaseCells
from voxledger.score.error_model import ErrorModel, patients_needed, read_error_model, region_scores
from voxledger.score.judged_cells import all_judged, outdated, teaching
from voxledger.score.learn import CLASSES, RANKS, lacking
from voxledger.score.ranks import OF_CLASS, Ranks


@dataclass(frozen=True)
class Learned:
    """A model of errors, and from which score on a region is attended to."""

    weights: Path
    id: str
    classes: tuple[str, ...]
    """Those that it learned from as they are called today, in the order of their numbers; empty for one retired."""
    threshold: float
    cases: int
    """That it learned from."""
    audited: int
    """Patients with errors that set the threshold."""
    from_probability: float
    """The threshold as the probability of an error, that of the likeliest cell of a region."""


def learned_here(pool: Iterable[Case], schema: LabelSchema, miss: float) -> Learned | str:
    """The model of errors that this round starts from, or why the published criteria stand in for it.

    Parameters
    ----------
    pool
        Cases of the pool: only what was judged in these counts.
    miss
        Expected share of the errors of a patient that may be missed.

    Raises
    ------
    VoxledgerError
        The files of the model do not fit its id.
    """
    folder = layout.BASE_ERROR_MODEL
    judged = all_judged(layout.BASE_JUDGED_CELLS, pool)
    if why := lacking(judged):
        older = outdated(layout.BASE_JUDGED_CELLS)
        return f"{why}; what an older voxledger kept of {older} judged cases teaches nothing" if older else why
    if not (folder / CARD).is_file():
        return "no model was learned at the end of the round before"
    card = check_model(folder)
    if card.params["features"] != list(FEATURES):
        return "the model was learned by another voxledger, from other features"
    if card.params.get(RANKS) != OF_CLASS:
        return "the model was learned by another voxledger, from values instead of ranks"
    model = read_error_model(folder / WEIGHTS, len(FEATURES))
    threshold = model.threshold(miss)
    if threshold is None:
        return (
            f"{model.audited_patients(miss)} patients of blind audits had visible errors, too few or too many of them "
            f"beyond the reach of the models to set a threshold that misses at most {miss:g} of the errors; at least "
            f"{patients_needed(miss)} are needed (raise score.audit, or score.miss)"
        )
    return Learned(
        folder / WEIGHTS,
        card.id,
        tuple(schema.renamed(name) or "" for name in card.params[CLASSES]),
        threshold,
        len({one.case_id for one in teaching(judged)}),
        model.audited_patients(miss),
        float(model.probabilities(np.array([threshold]))[0]),
    )


def described(learned: Learned | str, miss: float) -> dict[str, Any]:
    """What stands for learned attention in this round, for `layout.OUTLOOK` and the report."""
    if isinstance(learned, str):
        return {"by": "published criteria", "why": learned}
    return {
        "by": "learned",
        "model": learned.id,
        "cases": learned.cases,
        "audited": learned.audited,
        "miss": miss,
        "from_probability": round(learned.from_probability, 4),
    }


def attend_learned(
    case: CaseCells, published: Attention, ranks: Ranks, model: ErrorModel, classes: Sequence[str], threshold: float
) -> tuple[npt.NDArray[np.uint8], Iterator[ClassAttention]]:
    """A heat map (z, y, x), complete once all classes were taken, and the attention of one class after the other.

    The heat is the largest probability of an error over the classes, where attention lies, in 1/255. A class that
    nobody has judged so far is told by what was learned of the others.
    """
    heat = np.zeros(case.grid.shape, np.uint8)
    numbers = {name: number for number, name in enumerate(classes)}

    def each() -> Iterator[ClassAttention]:
        for name in case.schema.names:
            yield _of_class(case, published[name], ranks, model, numbers.get(name, -1), threshold, heat)

    return heat, each()


def _of_class(
    case: CaseCells,
    published: ClassAttention,
    ranks: Ranks,
    model: ErrorModel,
    number: int,
    threshold: float,
    heat: npt.NDArray[np.uint8],
) -> ClassAttention:
    nothing = replace(published, box=None, bits=np.zeros((0, 0, 0), np.uint8), attention=0)
    cells = case.of(published, number)
    if cells is None:
        return nothing
    scores = model.scores(ranks(published.name, cells.features))
    level = np.clip(np.rint(255 * model.probabilities(scores)), 1, 255).astype(np.uint8)
    level[region_scores(cells.places, scores, cells.asked) < threshold] = 0
    inner = bounding_box(painted := cells.painted(level))
    if inner is None:
        return nothing
    box, found = absolute(inner, cells.box), painted[inner]
    np.maximum(heat[box], found, out=heat[box])
    filled = (found > 0) * np.uint8(Criterion.LEARNED)
    if published.box and (shared := intersection(box, published.box)):
        own = view(filled, box, shared)
        own[own > 0] |= view(published.bits, published.box, shared)[own > 0]
    return replace(published, box=box, bits=filled, attention=int(np.count_nonzero(found)))
