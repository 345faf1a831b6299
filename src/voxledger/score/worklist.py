"""Choosing the worklist: which cases and classes people decide on in this round, in which order, and who does what."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Mapping, Sequence
from types import MappingProxyType

from voxledger.errors import Misuse
from voxledger.params import ReadersParams, ScoreParams
from voxledger.records.worklist import AUDIT, FLAGS, WorkItem
from voxledger.registry import ACQUISITION
from voxledger.score.acquire import Acquisition
from voxledger.score.chance import draw, shuffled
from voxledger.score.likely_error import Experience, likely_error
from voxledger.score.table import CaseScore, ClassScore


def expected_minutes(score: ClassScore, classes: int, params: ScoreParams) -> float:
    """Minutes for one class: its share of a case, to correct it if a model predicted it, else to draw it."""
    return (params.revise_minutes if score.models else params.scratch_minutes) / classes


def minutes_of(case: CaseScore, score: ClassScore, classes: int, params: ScoreParams) -> float:
    """Minutes for one class of a case: as its predicted quality says, where there is one."""
    found = case.minutes.get(score.class_name)
    return expected_minutes(score, classes, params) if found is None else found


def choose(
    cases: Sequence[CaseScore],
    classes: int,
    params: ScoreParams,
    seed: str,
    known: Experience,
    reason: str | None = None,
    flagged: Mapping[str, str] = MappingProxyType({}),
    readers: ReadersParams = ReadersParams(),  # noqa: B008
) -> dict[str, str]:
    """Choose the cases of a round by the acquisition function, and the audit sample; case ids in working order.

    Parameters
    ----------
    cases
        All cases of the pool that have a class nobody stands behind.
    classes
        Number of classes of the schema.
    seed
        Seed of chance; includes the round, so that rounds differ.
    known
        What kinds of errors earlier rounds had, for `most_alike`.
    reason
        Acquisition function to use instead of the one in `params`.
    flagged
        Cases that come first, and why: by reason in the order of `FLAGS`, then in the order of the function.
    readers
        How many people read a case: minutes are those of all of them.

    Notes
    -----
    Audit cases go to places drawn by chance, so that their position does not give them away.
    """
    reason = reason or params.acquisition
    if reason == AUDIT:
        raise Misuse(f"score.acquisition is {AUDIT}, the name of the blind draw", "choose another")
    function: Acquisition = ACQUISITION.get(reason)
    by_id = {c.case_id: c for c in cases}
    ordered = function.order(cases, f"{seed}/acquisition")
    if params.most_alike is not None:
        ordered = spread(ordered, lambda case_id: likely_error(by_id[case_id], known), params.most_alike)
    ordered = sorted(ordered, key=lambda case_id: FLAGS.index(flagged[case_id]) if case_id in flagged else len(FLAGS))
    chosen = within_budget([by_id[case_id] for case_id in ordered], classes, params, readers)
    reasons = {case_id: flagged.get(case_id, reason) for case_id in chosen}
    audit = shuffled(by_id.keys() - reasons.keys(), f"{seed}/audit")[: params.audit]
    working = list(chosen)
    for case_id in audit:
        working.insert(int(draw(case_id, f"{seed}/place") * (len(working) + 1)), case_id)
    return {case_id: reasons.get(case_id, AUDIT) for case_id in working}


def within_budget(ordered: Sequence[CaseScore], classes: int, params: ScoreParams, readers: ReadersParams) -> list[str]:
    """The first cases, as many as the budget in cases, in their share and in minutes allows."""
    allowed = params.budget
    if params.budget_share is not None:
        allowed = min(allowed, round(params.budget_share * len(ordered)))
    minutes = params.budget_minutes if params.budget_minutes is not None else float("inf")
    chosen: list[str] = []
    for case in ordered:
        cost = readings(readers) * sum(minutes_of(case, score, classes, params) for score in case.classes)
        if len(chosen) == allowed or cost > minutes + 1e-9:
            break
        minutes -= cost
        chosen.append(case.case_id)
    return chosen


def spread(ordered: Sequence[str], error: Callable[[str], tuple[str, str]], most_alike: int) -> list[str]:
    """The same cases, those beyond `most_alike` of one likely error moved behind all others."""
    seen: Counter[tuple[str, str]] = Counter()
    first: list[str] = []
    later: list[str] = []
    for case_id in ordered:
        likely = error(case_id)
        seen[likely] += 1
        (first if seen[likely] <= most_alike else later).append(case_id)
    return first + later


def readings(readers: ReadersParams) -> float:
    """How many people read a case on average.

    >>> readings(ReadersParams(count=3, share=0.25))
    1.5
    """
    return 1 + readers.share * (readers.count - 1)


def read_by_several(chosen: Collection[str], readers: ReadersParams, seed: str) -> frozenset[str]:
    """The cases that more than one person reads: a share of those chosen, drawn by chance, but at least one.

    Parameters
    ----------
    chosen
        Ids of the cases.
    seed
        Seed of chance; includes the round, so that rounds differ.
    """
    if readers.count == 1 or not readers.share:
        return frozenset()
    return frozenset(shuffled(chosen, f"{seed}/readers")[: max(1, round(readers.share * len(chosen)))])


def worklist(
    cases: Sequence[CaseScore],
    chosen: dict[str, str],
    reviewers: Sequence[str],
    classes: int,
    params: ScoreParams,
    readers: int = 1,
    several: Collection[str] = (),
) -> list[WorkItem]:
    """Rows for all untrusted classes of the chosen cases, dealt out to reviewers.

    A case goes whole to the reviewer with the fewest expected minutes so far, or to the `readers` with the fewest if
    it is one of `several`, so that shares differ by at most one case. Within a case, classes come by falling attention,
    then in the order of the schema; of several readers one after the other.
    """
    by_id = {c.case_id: c for c in cases}
    load = dict.fromkeys(reviewers, 0.0)
    rows = []
    for rank, (case_id, reason) in enumerate(chosen.items(), start=1):
        case = by_id[case_id]
        least = sorted(load, key=lambda name: round(load[name], 6))
        for reviewer in least[: readers if case_id in several else 1]:
            for score in sorted(case.classes, key=lambda s: -s.attention_ml):
                minutes, ml = minutes_of(case, score, classes, params), score.attention_ml
                load[reviewer] += minutes
                quality = case.quality.get(score.class_name)
                rows.append(
                    WorkItem(
                        *(rank, case_id, score.class_name, ml, case.attention_ml, reason, reviewer, minutes), quality
                    )
                )
    return rows
