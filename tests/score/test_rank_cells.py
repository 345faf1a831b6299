"""Which cells of a round values are ranked among."""

from __future__ import annotations

import ensembles
import numpy as np
import pytest

from voxledger import layout
from voxledger.casemap.run import casemap
from voxledger.imaging.soft import write_soft
from voxledger.imaging.volume import Grid, file_sha256, mask_sha256, write
from voxledger.params import Params
from voxledger.records.ledger import Entry, Origin
from voxledger.score import rank_cells
from voxledger.score.cells import FEATURES
from voxledger.score.rank_cells import ranks_of_round
from voxledger.score.scored_case import ScoredCase

GRID = Grid.plain((6, 12, 12), (3.0, 1.0, 1.0))
SCHEMA = ensembles.schema_of(2)
CASES = [f"case{n}" for n in range(6)]


@pytest.fixture
def cases(tmp_path, monkeypatch):
    """Cases of which the later ones are less certain."""
    monkeypatch.chdir(tmp_path)
    found = {}
    for number, case_id in enumerate(CASES):
        rng = np.random.default_rng(number)
        write(image := layout.label_map(layout.IMAGES, case_id), rng.normal(0, 1, GRID.shape).astype(np.float32), GRID)
        soft = [(name, np.full(GRID.shape, 0.1 + 0.06 * number)) for name in SCHEMA.names]
        path = layout.PREDICTIONS / "m" / f"{case_id}.b2nd"
        write_soft(path, soft, SCHEMA.names, GRID, "m", sha256 := file_sha256(image))
        write(pseudo := layout.label_map(layout.PSEUDO, case_id), np.zeros(GRID.shape, np.uint8), GRID)
        found[case_id] = ScoredCase(
            image_sha256=sha256,
            predictions={"m": path},
            schema=SCHEMA,
            params=Params().score,
            image=image,
            base=None,
            pseudo=pseudo,
            entries=(),
            predicted=tuple(SCHEMA.names),
            version=0,
        )
    return found


def trusted(case_id, *names):
    """Rows of the ledger: people stand behind these classes."""
    empty = mask_sha256(np.zeros(GRID.shape, bool), GRID)
    return {(case_id, name): Entry(case_id, name, 0, Origin.REVISED, (), "", "", empty, "", 0.0) for name in names}


def asked_of(monkeypatch, cases, ledger, params=None):
    """Which classes of which cases are looked at."""
    kept = []
    monkeypatch.setattr(rank_cells, "casemap", lambda jobs, *rest: kept.extend(jobs) or casemap(jobs, *rest))
    ranks = ranks_of_round(cases, ledger, params or Params())
    return {job.name: job.classes for job in kept}, ranks


def test_what_people_stand_behind_does_not_count(cases, monkeypatch):
    """Networks learned from it: they are certain there."""
    ledger = trusted("case0", "c0", "c1") | trusted("case1", "c1")
    asked, ranks = asked_of(monkeypatch, cases, ledger)
    assert "case0" not in asked
    assert asked["case1"] == ("c0",)
    assert asked["case2"] == ("c0", "c1")
    mean = rank_cells_mean(ranks)
    assert mean["c0"][0] == pytest.approx(0.16, abs=0.01)
    assert mean["c1"][0] == pytest.approx(0.22, abs=0.01)


def rank_cells_mean(ranks):
    """Lowest and highest mean of the models, by class."""
    column = FEATURES.index("mean")
    return {name: (values[0, column], values[-1, column]) for name, values in ranks.of.items()}


def test_of_many_some_are_drawn_and_one_more_changes_little(cases, monkeypatch):
    monkeypatch.setattr(rank_cells, "MOST_CASES", 3)
    first, _ = asked_of(monkeypatch, cases, {})
    assert len(first) == 3
    fewer = {case_id: case for case_id, case in cases.items() if case_id != next(iter(set(cases) - first.keys()))}
    assert asked_of(monkeypatch, fewer, {})[0] == first
    drawn = [asked_of(monkeypatch, cases, {}, Params.model_validate({"round": n}))[0].keys() for n in range(8)]
    assert len({tuple(one) for one in drawn}) > 1, "each round draws anew"


def test_where_nothing_is_open_nothing_is_known(cases, monkeypatch):
    ledger = {key: row for case_id in CASES for key, row in trusted(case_id, *SCHEMA.names).items()}
    assert asked_of(monkeypatch, cases, ledger)[1].of == {}
    assert ranks_of_round({}, {}, Params()).of == {}
