"""Knee, intervals and verdict."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from judged_masks import judged_masks

from voxledger.audit import ACCEPTABLE_MISSED, ENOUGH_AUDITED, Audit, pooled
from voxledger.score.quality import learn
from voxledger.score.stopping import by_target, error_left, knee, outlook
from voxledger.score.table import CaseScore, ClassScore
from voxledger.statistics import clopper_pearson, expected_revisions


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], 0),
        ([1, 2], 0),
        ([3, 3, 3, 3], 0),
        ([4, 3, 2, 1], 0),
        ([100, 90, 80, 1, 1, 1, 1, 1, 0], 3),
        ([0, 1, 100, 1, 90, 1, 80, 1, 1], 3),
    ],
)
def test_knee(values, expected):
    assert knee(values) == expected


def test_expected_revisions():
    found = expected_revisions(10, 20, 20)
    assert found.estimate == pytest.approx(10)
    assert 0 < found.low < 10 < found.high < 20
    assert expected_revisions(0, 100, 20).high <= 2
    assert expected_revisions(5, 5, 0).high == 0
    narrow, wide = expected_revisions(50, 100, 20), expected_revisions(2, 4, 20)
    assert narrow.high - narrow.low < wide.high - wide.low


def test_expected_revisions_holds_the_truth_as_often_as_it_says():
    rng = np.random.default_rng(0)
    inside = 0
    for _ in range(300):
        share = rng.beta(0.5, 0.5)
        found = expected_revisions(int(rng.binomial(20, share)), 20, 15)
        inside += found.low <= rng.binomial(15, share) <= found.high
    assert inside / 300 >= 0.93


def case(case_id, attention):
    return CaseScore(case_id, (ClassScore(case_id, "c", 2, attention, 0, 0, 0, 1, 0, 1, False),))


@pytest.mark.parametrize(
    ("cases", "revised", "reviewed", "stop", "why"),
    [
        ([], 0, 0, True, "every class"),
        ([case("a", 3.0)], 0, 0, False, "nobody has reviewed"),
        ([case("a", 3.0)], 2, 5, False, "2 of the last 5"),
        ([case("a", 3.0)], 0, 5, True, "none of the 5"),
        ([case("a", 0.0)], 2, 5, True, "no reason"),
    ],
)
def test_outlook(cases, revised, reviewed, stop, why):
    found = outlook(cases, len(cases), revised, reviewed)
    assert found.stop is stop
    assert why in found.why
    assert (found.expected_revisions is None) == (reviewed == 0)


@pytest.mark.parametrize(("revised", "reviewed"), [(0, 5), (2, 5), (0, 0)])
def test_nobody_stops_while_an_organ_was_not_found(revised, reviewed):
    found = outlook([case("a", 0.0)], 1, revised, reviewed, unseen=1)
    assert not found.stop
    assert "not found in 1 case," in found.why


def audits(*cases, population="p", start=1):
    return [Audit(start + i, n, 0, population) for i, n in enumerate(cases)]


def test_enough_audited_is_the_fewest_clean_cases_that_allow_to_stop():
    assert ENOUGH_AUDITED == 72
    assert clopper_pearson(0, ENOUGH_AUDITED).high <= ACCEPTABLE_MISSED < clopper_pearson(0, ENOUGH_AUDITED - 1).high


@pytest.mark.parametrize(
    ("found", "rounds"),
    [
        (audits(18), [1]),
        (audits(18, 18, 18), [1, 2, 3]),
        (audits(18, 18, 18, 18), [1, 2, 3, 4]),
        (audits(18, 18, 18, 18, 18), [2, 3, 4, 5]),
        (audits(18, 80), [2]),
        (audits(18, 0, 18), [1, 3]),
        (audits(18, 0), []),
        (audits(18, 18, population="other cases") + audits(18, 18, start=3), [3, 4]),
        (audits(18) + audits(18, population="other cases", start=2) + audits(18, start=3), [3]),
        (audits(18, population="") + audits(18, start=2), [2]),
    ],
)
def test_rounds_that_are_pooled(found, rounds):
    """The fewest of the newest that hold enough cases, back to where the pool or the classes changed."""
    assert [a.round for a in pooled(found)] == rounds


def test_what_was_found_has_no_say_in_what_is_pooled():
    """Else one would pool the rounds that look best."""
    clean = audits(30, 30, 30, 30)
    wrong = [Audit(a.round, a.cases, a.round % 2 * 9, a.population) for a in clean]
    assert [a.round for a in pooled(clean)] == [a.round for a in pooled(wrong)] == [2, 3, 4]


@pytest.mark.parametrize(
    "shares", [[0.05] * 4, [0.6, 0.3, 0.1, 0.05], [0.3, 0.3, 0.3, 0.3], [0.02] * 4, [1.0, 0.9, 0.8, 0.0]]
)
def test_pooled_bound_holds_where_the_share_of_errors_has_not_risen(shares):
    """The probability, exact, that the bound of the pooled audits covers the share of the last round."""
    counts = np.ones(1)
    for share in shares:
        for _ in range(18):
            counts = np.convolve(counts, [1 - share, share])
    covered = sum(p for k, p in enumerate(counts) if clopper_pearson(k, 72).high >= shares[-1])
    assert covered >= 0.975 - 1e-9


def test_looking_after_every_round_stops_wrongly_more_often():
    """What docs/attention.md says: 18 audits in each of ten rounds, 5 % wrong in all of them, at least once "stop"."""
    clean = 0.95**18
    state = np.array([1.0, 0, 0, 0])  # clean rounds in a row
    for _ in range(10):
        state = np.array([state.sum() * (1 - clean), *(state[:3] * clean)])
    assert clean**4 == pytest.approx(0.025, abs=1e-3)
    assert 1 - state.sum() == pytest.approx(0.11, abs=0.005)


def judged_case(one, model):
    signs = one.mask.signs
    values = (signs.attention_ml, 0.0, 0.0, 0.0, signs.predicted_ml, 0.0, signs.lowest_agreement)
    score = ClassScore(one.mask.case_id, one.mask.class_name, signs.models, *values, False)
    quality = model.predict(one.mask.class_name, signs) if model else None
    return CaseScore(one.mask.case_id, (score,), quality={"a": quality} if quality else {})


@pytest.mark.parametrize(("audited", "least"), [(20, 0.91), (60, 0.93)])
def test_error_left_is_below_its_bound_nearly_as_often_as_it_says(audited, least):
    """Audited cases, and 40 of a worklist that were worse; what 100 further ones really hold.

    Errors are skewed: with few audited cases the bound of their ml holds less often than 97.5 %.
    """
    ml, dice = [], []
    for seed in range(200):
        rng = np.random.default_rng(seed)
        known = [
            *judged_masks(rng, 40, ("a",), noise=0.8),
            *judged_masks(rng, audited, ("a",), blind=True, name="blind"),
        ]
        model, rest = learn(known, ("a",)), judged_masks(rng, 100, ("a",), name="left")
        left = error_left([judged_case(one, model) for one in rest], model)
        assert (left.masks, left.cases, left.unpredicted, left.compared, left.blind) == (100, 100, 0, audited, True)
        ml.append(sum(one.error_ml for one in rest) <= left.error_ml.high)
        dice.append(left.dice.low <= sum(one.dice for one in rest) / 100 <= left.dice.high)
    assert least <= np.mean(ml) <= 0.99
    assert np.mean(dice) == pytest.approx(0.95, abs=0.03)


@pytest.mark.parametrize("heavier", [1.0, 4.0])
def test_error_left_where_patients_have_one_case_or_many(heavier):
    """Of twelve of sixty patients there are six cases each, which may hold more error than the others."""
    held, share = [], []
    for seed in range(100):
        rng = np.random.default_rng(seed)
        known, of = unequal(rng, "known", heavier)
        further, more = unequal(rng, "left", heavier)
        model = learn(known, ("a",), of)
        left = error_left([judged_case(one, model) for one in further], model, of | more)
        true = sum(one.error_ml for one in further)
        assert (left.masks, left.compared, left.blind) == (120, 60, True)
        held.append(true <= left.error_ml.high)
        share.append(left.error_ml.estimate / true)
    assert np.mean(held) > 0.9
    assert np.mean(share) == pytest.approx(1, abs=0.15)


def unequal(rng, name, heavier):
    """Judged masks, and patients by case."""
    one = judged_masks(rng, 48, ("a",), blind=True, name=f"{name}-once-")
    many = judged_masks(rng, 72, ("a",), blind=True, name=f"{name}-many-")
    many = [replace(m, error_ml=heavier * m.error_ml) for m in many]
    return [*one, *many], {m.mask.case_id: f"{name}{n // 6}" for n, m in enumerate(many)}


@pytest.fixture(scope="module")
def audited():
    rng = np.random.default_rng(0)
    model = learn(judged_masks(rng, 40, ("a",), blind=True), ("a",))
    return model, [judged_case(one, model) for one in judged_masks(rng, 50, ("a",), name="left")]


def test_error_left_where_nothing_is_predicted_or_left(audited):
    model, cases = audited
    assert error_left(cases, None) is None
    assert error_left([], model) is None
    assert error_left([case("x", 1.0)], model) is None
    assert error_left([*cases, case("x", 1.0)], model).unpredicted == 1


def test_targets(audited):
    model, cases = audited
    left = error_left(cases, model)
    ml, dice = left.error_ml.high, left.dice.low
    for error_ml, least, stop in [
        (ml * 1.01, None, True),
        (ml * 0.99, None, False),
        (None, dice - 0.01, True),
        (None, dice + 0.01, False),
        (ml * 1.01, dice - 0.01, True),
        (ml * 1.01, dice + 0.01, False),
        (ml * 0.99, dice - 0.01, False),
    ]:
        found = by_target(left, error_ml, least)
        assert found[0] is stop
        view = outlook(cases, 5, 0, 5, left=left, target=found)
        assert (view.stop, view.why, view.left) == (*found, left)
    assert by_target(left, None, None) is None
    assert by_target(None, 1.0, 0.5) is None
    assert by_target(replace(left, blind=False), ml * 2, None) is None
    assert by_target(replace(left, unpredicted=3), ml * 2, None) == (
        False,
        "the quality of 3 masks that nobody looked at cannot be predicted",
    )
    assert not outlook(cases, 5, 0, 5, unseen=1, left=left, target=(True, "small")).stop
    assert outlook([], 0, 0, 5, target=(False, "large")).stop
