"""What cohorts are worth, as it is kept: of every cohort the last verdict, whenever it was found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from voxledger.errors import Misuse, VoxledgerError
from voxledger.records.worth import FORMAT, Difference, Verdict, Worth, joined, read_worth, write_worth

NOTHING = Difference(dice=None, delta=None, low=None, high=None)


def verdict(cohort: str, round_number: int = 0, set_name: str = "test") -> Verdict:
    return Verdict(
        cohort=cohort, arm="reviewed", seeds=3, round=round_number, set_name=set_name, cases=2, patients=2,
        mean=NOTHING, worst=NOTHING, classes={}, by_seed=[], says="hurts", empty=0, false_alarms=(0, 0),
    )  # fmt: skip


def test_verdicts_of_other_cohorts_stay() -> None:
    first = joined(None, [verdict("b", 1, "external/x"), verdict("b", 1)])
    both = joined(first, [verdict("a", 2)])
    assert [(v.cohort, v.set_name, v.round) for v in both.verdicts] == [
        ("a", "test", 2),
        ("b", "external/x", 1),
        ("b", "test", 1),
    ]
    again = joined(both, [verdict("b", 3)])
    assert [(v.cohort, v.round) for v in again.verdicts] == [("a", 2), ("b", 3)]
    assert joined(again, again.of({"b"}).verdicts) == again


def test_it_is_read_as_it_was_written(tmp_path: Path) -> None:
    worth = Worth(verdicts=[verdict("a", 2), verdict("b", 1)])
    write_worth(tmp_path / "worth.json", worth)
    assert json.loads((tmp_path / "worth.json").read_text())["format"] == FORMAT == 3
    assert read_worth(tmp_path / "worth.json") == worth
    assert read_worth(tmp_path / "no.json") is None


def older(number: int) -> dict[str, Any]:
    """The record as it was, with seeds and round for all verdicts together; in format 1 without false alarms."""
    one = verdict("a").model_dump(mode="json", exclude={"seeds", "round"})
    if number == 1:
        one = {name: value for name, value in one.items() if name not in ("empty", "false_alarms")}
    return {"seeds": 5, "round": 7, "verdicts": [one]} | ({"format": number} if number > 1 else {})


@pytest.mark.parametrize(("number", "alarms"), [(1, None), (2, (0, 0))])
def test_older_ones_are_read(tmp_path: Path, number: int, alarms: tuple[float, float] | None) -> None:
    (tmp_path / "worth.json").write_text(json.dumps(older(number)))
    found = read_worth(tmp_path / "worth.json")
    assert found is not None
    (one,) = found.verdicts
    assert (found.format, one.cohort, one.seeds, one.round, one.says) == (3, "a", 5, 7, "hurts")
    assert one.false_alarms == alarms


def test_a_newer_one_and_a_damaged_one_are_refused_with_the_way_out(tmp_path: Path) -> None:
    path = tmp_path / "worth.json"
    path.write_text(json.dumps({**older(2), "format": FORMAT + 1}))
    with pytest.raises(Misuse) as refused:
        read_worth(path)
    assert "update voxledger, or remove" in refused.value.remedy
    path.write_text(json.dumps({"format": 2, "verdicts": [{}]}))
    with pytest.raises(VoxledgerError, match="does not say what cohorts are worth"):
        read_worth(path)
