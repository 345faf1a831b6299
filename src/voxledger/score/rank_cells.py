"""Ranks of a round, from the cells of some of its cases."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

from voxledger import layout
from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.knowledge import trusted
from voxledger.params import Params
from voxledger.records.ledger import Ledger
from voxledger.score.ranks import MOST_CASES, Ranks, ranks_of
from voxledger.score.scored_case import ScoredCase


def ranks_of_round(cases: Mapping[str, ScoredCase], ledger: Ledger, params: Params) -> Ranks:
    """Ranks of the classes that nobody stands behind.

    Parameters
    ----------
    cases
        All that were predicted, by case id.
    ledger
        Who stands behind what.
    """
    asked = {
        case_id: tuple(name for name in case.schema.names if not trusted(ledger, case_id, name))
        for case_id, case in cases.items()
    }
    open_cases = (case_id for case_id, names in asked.items() if names)
    drawn = sorted(sorted(open_cases, key=lambda case_id: _lot(case_id, params))[:MOST_CASES])
    jobs = [RankCells(name=case_id, case=cases[case_id], classes=asked[case_id]) for case_id in drawn]
    return ranks_of(casemap(jobs, layout.ATTENTION, params.machine))


def _lot(case_id: str, params: Params) -> str:
    """What a case draws; no other has to do with it, so that one more or less changes little."""
    return hashlib.sha256(f"{params.score.seed}/{params.round}/{case_id}".encode()).hexdigest()


class RankCells(Job[dict[str, list[list[float]]]]):
    """Quantiles of the cells of a case, by class; nothing of classes of which none is in question."""

    stage, algorithms = "score", ("score", "learn")
    case: ScoredCase = content()
    classes: tuple[str, ...] = content()

    def compute(self, folder: Path) -> dict[str, list[list[float]]]:
        from voxledger.score.ranks import quantiles

        case, attention = self.case.read()
        found = ((name, case.of(attention[name], 0)) for name in self.classes)
        return {name: quantiles(cells.features).tolist() for name, cells in found if cells is not None}
