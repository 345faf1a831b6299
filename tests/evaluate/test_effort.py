"""Minutes, shares and the tables of decisions."""

from __future__ import annotations

import pytest

from voxledger.errors import VoxledgerError
from voxledger.evaluate.changes import changes
from voxledger.evaluate.effort import COLUMNS, Decision, effort, read_decisions
from voxledger.ledger import Entry, Origin


def ledger(**cases):
    """Rows of classes a, b, … by case: origin, and the mask's hash and ml where given."""
    rows = {}
    for case, entries in cases.items():
        for name, (origin, *mask) in zip("abc", entries, strict=False):
            digest, ml = mask or ("h", 1.0)
            rows[case, name] = Entry(case, name, 1, origin, (), "", "", digest, "", ml)
    return rows


A, R, P, S, X = ((o,) for o in (Origin.ACCEPTED, Origin.REVISED, Origin.PREDICTED, Origin.SOURCE, Origin.REJECTED))


def test_effort():
    after = ledger(one=[A, R], two=[A, P], three=[S, S], four=[S, A], five=[R, X], test_1=[S, A])
    decisions = [Decision("one", "a", "accept", "r", 2.0, ""), Decision("one", "b", "revise", "r", 3.5, "leak")]
    found = effort(decisions, after, ["one", "two", "three", "four", "five", "six"], 10.0, 15.0)
    assert (found.cases_reviewed, found.minutes, found.minutes_total) == (1, 5.5, 15.5)
    assert found.cases_trusted_by_review == 3  # one, four and the test case; two and five are not whole
    assert found.scratch_minutes_total == 45.0
    assert found.share_labelled == 3 / 6


def test_no_round_yet():
    found = effort([], {}, [], 0.0, 15.0)
    assert (found.cases_reviewed, found.minutes_total, found.share_labelled) == (0, 0, 0)


def test_decisions(tmp_path):
    path = tmp_path / "decisions.csv"
    assert read_decisions(path) == []
    path.write_text(",".join(COLUMNS) + "\n", "utf-8")
    assert read_decisions(path) == []
    path.write_text(",".join(COLUMNS) + '\nc,liver,accept,r,,,,,\nc,cyst,revise,r,2.5,missed,"a, b",x,3\n', "utf-8")
    assert read_decisions(path) == [
        Decision("c", "liver", "accept", "r", 0.0, ""),
        Decision("c", "cyst", "revise", "r", 2.5, "missed"),
    ]
    path.write_text(",".join(COLUMNS) + "\nc,liver,accept,r,soon,,,,\n", "utf-8")
    with pytest.raises(VoxledgerError, match=r"decisions\.csv, line 2"):
        read_decisions(path)
    path.write_text("case,decision\n", "utf-8")
    with pytest.raises(VoxledgerError, match="not a table of decisions"):
        read_decisions(path)


def test_changes():
    before = ledger(one=[(Origin.SOURCE, "h1", 10.0), (Origin.SOURCE, "h2", 5.0)], two=[(Origin.PREDICTED, "h3", 2.0)])
    after = ledger(
        one=[(Origin.REVISED, "h9", 12.0)], two=[(Origin.ACCEPTED, "h3", 2.0)], three=[(Origin.PREDICTED, "h4", 1.5)]
    )
    a, b = changes(before, after, ["a", "b", "c"])
    assert (a.added, a.changed, a.removed, a.ml) == (1, 1, 0, 3.5)
    assert {o: n for o, n in a.origins.items() if n} == {Origin.REVISED: 1, Origin.ACCEPTED: 1, Origin.PREDICTED: 1}
    assert (b.added, b.changed, b.removed, b.ml) == (0, 0, 1, -5.0)
    assert changes({}, {}, ["a"]) == []
