"""The order in which old cases are learned from again."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxledger.errors import Misuse
from voxledger.score.replay import replay_order
from voxledger.score.table import ClassScore, write_scores


def row(case_id: str, name: str, uncertain: float, entropy: float, models: int = 2) -> ClassScore:
    return ClassScore(case_id, name, models, 0.0, 0.0, uncertain, 0.0, 1.0, entropy, 1.0, True)


@pytest.fixture
def table(tmp_path: Path) -> Path:
    rows = [
        row("a", "liver", 1, 0.3),
        row("a", "spleen", 9, 0.1),
        row("b", "liver", 2, 0.1),
        row("b", "spleen", 1, 0.2),
    ]
    path = tmp_path / "score.csv"
    write_scores(path, [*rows, row("c", "liver", 0, 0, models=0), row("c", "spleen", 0, 0, models=0)])
    return path


@pytest.mark.parametrize(
    ("by", "liver", "spleen", "together"),
    [("importance", "ba", "ab", "ab"), ("importance_ranks", "ba", "ab", "ab"), ("entropy", "ab", "ba", "ab")],
)
def test_cases_that_were_measured_have_a_place_by_class(table: Path, by, liver, spleen, together):
    found = replay_order(by, "0", table)
    assert {name: "".join(sorted(places, key=places.get)) for name, places in found.items()} == {
        "liver": liver,
        "spleen": spleen,
        "": together,
    }


def test_chance_repeats_by_its_seed(table: Path):
    found = [replay_order("importance_gumbel", str(seed), table) for seed in range(20)]
    assert found == [replay_order("importance_gumbel", str(seed), table) for seed in range(20)]
    assert len({str(one) for one in found}) > 1


def test_by_chance_nothing_is_read(tmp_path: Path):
    assert replay_order("random", "0", tmp_path / "none.csv") == {}


def test_what_looks_at_images_is_refused(table: Path):
    with pytest.raises(Misuse, match=r"retrain\.replay_by: diversity looks at images"):
        replay_order("diversity", "0", table)
