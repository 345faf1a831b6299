"""Which old cases models learn from again first, as acquisition functions order them by the score table."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.registry import ACQUISITION
from voxledger.score.acquire import Acquisition
from voxledger.score.table import CaseScore, ClassScore, read_scores

ALL = ""
"""Stands for all classes together."""
CHANCE = "random"


def replay_order(by: str, seed: str, path: Path | str = layout.SCORES) -> dict[str, dict[str, int]]:
    """Places of the cases of the pool in the order in which they are learned from again, by class.

    Parameters
    ----------
    by
        Name of an acquisition function. For `random` nothing is measured, and nothing is read.
    seed
        Seed of chance, which differs from round to round.
    path
        Score table of the round. Cases that no model predicted are left out: nothing is known of them.

    Returns
    -------
    dict
        Place of each case, the first is 0, by class, and of all classes together by the empty name.

    Raises
    ------
    Misuse
        The function looks at images, which the table does not hold.
    """
    if by == CHANCE:
        return {}
    acquisition: Acquisition = ACQUISITION.get(by)
    if acquisition.features:
        raise Misuse(f"retrain.replay_by: {by} looks at images anew", "choose importance, entropy or random")
    measured = [score for score in read_scores(path) if score.models]
    names = dict.fromkeys(score.class_name for score in measured)
    groups = {ALL: measured} | {name: [s for s in measured if s.class_name == name] for name in names}
    return {
        name: {case_id: place for place, case_id in enumerate(acquisition.order(_by_case(rows), seed))}
        for name, rows in groups.items()
    }


def _by_case(rows: Iterable[ClassScore]) -> list[CaseScore]:
    found: dict[str, list[ClassScore]] = {}
    for row in rows:
        found.setdefault(row.case_id, []).append(row)
    return [CaseScore(case_id, tuple(classes)) for case_id, classes in found.items()]
