"""Minutes, shares and the tables of decisions."""

from __future__ import annotations

import pytest

from voxledger.evaluate.changes import changes
from voxledger.evaluate.effort import effort
from voxledger.knowledge import Labelled, labelled
from voxledger.records.decisions import Decided as Decision
from voxledger.records.ledger import Entry, Origin


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
    pool = ["one", "two", "three", "four", "five", "six"]
    found = effort(decisions, after, pool, ["a", "b"], 10.0, 0, 15.0)
    assert (found.cases_reviewed, found.minutes, found.minutes_total) == (1, 5.5, 15.5)
    assert found.cases_trusted_by_review == 3  # one, four and the test case; two and five are not whole
    assert found.scratch_minutes_total == 6 * 15 / 2  # six masks by review, each half of a case
    assert found.pool == Labelled(complete=3, partly=2, trusted=8, masks=12)


def test_no_round_yet():
    found = effort([], {}, [], ["a"], 0.0, 0, 15.0)
    assert (found.cases_reviewed, found.minutes_total, found.pool.share) == (0, 0, 0)


@pytest.mark.parametrize(
    ("entries", "complete", "partly", "trusted"),
    [
        ([], 0, 0, 0),
        ([S], 0, 1, 1),  # one class of three, from the source: the other two were never looked for
        ([A], 0, 1, 1),
        ([S, S, S], 1, 0, 3),
        ([S, R, A], 1, 0, 3),
        ([S, P, S], 0, 1, 2),
        ([S, S, X], 0, 1, 2),
        ([P, P, P], 0, 0, 0),
        ([X, P], 0, 0, 0),
    ],
)
def test_a_case_with_one_trusted_row_of_many_classes_is_labelled_in_part_only(entries, complete, partly, trusted):
    """It counted as a labelled case, and the time to label it all from nothing as saved."""
    after = ledger(one=entries)
    assert labelled(after, ["one", "two"], ["a", "b", "c"]) == Labelled(complete, partly, trusted, 6)
    found = effort([], after, ["one", "two"], ["a", "b", "c"], 0.0, 0, 15.0)
    assert found.pool.share == trusted / 6
    by_review = sum(e in (A, R) for e in entries)
    assert found.cases_trusted_by_review == (complete if by_review else 0)
    assert found.scratch_minutes_total == pytest.approx(5 * by_review)


@pytest.mark.parametrize(
    ("ml", "shares"),
    [
        pytest.param((1.0, 1.0, 1.0), 3 / 3, id="all there"),
        pytest.param((1.0, 0.0, 1.0), 2 / 2, id="the two that are there share the case"),
        pytest.param((0.0, 0.0, 0.0), 0, id="nothing had to be drawn"),
        pytest.param((0.0, 1.0), 1 / 2, id="of the third nobody knows whether it is there"),
    ],
)
def test_a_class_that_is_not_there_saves_nobody_its_drawing(ml, shares):
    """An empty mask that was accepted counted as if its class had been drawn."""
    after = ledger(one=[(Origin.ACCEPTED, "h", v) for v in ml])
    found = effort([], after, ["one"], ["a", "b", "c"], 0.0, 0, 15.0)
    assert found.scratch_minutes_total == pytest.approx(15 * shares)


@pytest.mark.parametrize(
    ("minutes", "known", "timed"),
    [([2.0, 3.5], 5.5, 2), ([2.0, None], 2.0, 1), ([None, None], 0.0, 0), ([0.0, None], 0.0, 1), ([], 0.0, 0)],
)
def test_blank_minutes_are_unknown_and_make_the_sum_a_lower_bound(minutes, known, timed):
    rows = [Decision("one", name, "accept", "r", m, "") for name, m in zip("ab", minutes, strict=False)]
    found = effort(rows, {}, ["one"], ["a", "b"], 10.0, 3, 15.0)
    assert (found.minutes, found.minutes_total) == (known, 10.0 + known)
    assert (found.decisions, found.timed) == (len(rows), timed)
    assert found.untimed_total == 3 + len(rows) - timed


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
