"""Choice of cases: budgets, ties, reviewers."""

from __future__ import annotations

from dataclasses import replace

import pytest

from voxledger.params import ReadersParams, ScoreParams
from voxledger.records.mask_quality import Quality
from voxledger.records.worklist import AUDIT, DISAGREES, NOT_FOUND, REJECTED, read_worklist, write_worklist
from voxledger.registry import ACQUISITION
from voxledger.score.table import CaseScore, ClassScore
from voxledger.score.worklist import choose, read_by_several, worklist


def made(case_id, *attention, models=2, features=(), **columns):
    values = {"inconsistent_ml": 0.0, "uncertain_ml": 0.0, "overlapping_ml": 0.0, "mean_entropy": 0.0, **columns}
    return CaseScore(
        case_id,
        tuple(
            ClassScore(
                case_id,
                f"c{i}",
                models,
                a,
                values["inconsistent_ml"],
                values["uncertain_ml"],
                values["overlapping_ml"],
                10.0,
                values["mean_entropy"],
                0.9,
                False,
            )
            for i, a in enumerate(attention)
        ),
        features,
    )


def promising(case_id, *gains):
    """A case with predicted ml and expected minutes of each class."""
    return replace(
        made(case_id, *(0.0 for _ in gains)),
        quality={f"c{i}": Quality(0.8, 0.7, 0.9, ml, 0.0, 2 * ml, 0.5) for i, (ml, _) in enumerate(gains)},
        minutes={f"c{i}": minutes for i, (_, minutes) in enumerate(gains)},
    )


def unsure(case_id, *agreement):
    """A case with the lowest Dice between two models of each class."""
    case = made(case_id, *(0.0 for _ in agreement))
    classes = tuple(replace(c, lowest_agreement=a) for c, a in zip(case.classes, agreement, strict=True))
    return replace(case, classes=classes)


def of_dice(case_id, *values):
    """A case with a predicted Dice of each class."""
    quality = {f"c{i}": Quality(dice, 0.0, 1.0, 1.0, 0.0, 2.0, 0.5) for i, dice in enumerate(values)}
    return replace(made(case_id, *(0.0 for _ in values)), quality=quality)


@pytest.mark.parametrize(
    ("name", "cases", "expected"),
    [
        ("attention", [made("a", 1, 2), made("b", 0, 9), made("c", 3, 0)], ["b", "a", "c"]),
        ("attention", [made("b", 1), made("a", 1), made("c", 1)], ["a", "b", "c"]),
        ("attention", [], []),
        ("entropy", [made("a", 9, mean_entropy=0.1), made("b", 1, mean_entropy=0.2)], ["b", "a"]),
        ("inconsistency", [made("a", 9, inconsistent_ml=0.1), made("b", 1, inconsistent_ml=0.2)], ["b", "a"]),
        (
            "importance",
            [made("a", 1, uncertain_ml=90), made("b", 1, uncertain_ml=10, overlapping_ml=0.1), made("c", 1)],
            ["b", "a", "c"],
        ),
        ("importance", [made("b", 1), made("a", 1)], ["a", "b"]),
        (
            "importance_ranks",
            [
                made("a", 1, uncertain_ml=90, inconsistent_ml=1, overlapping_ml=1),
                made("b", 1, uncertain_ml=10, inconsistent_ml=2, overlapping_ml=2),
                made("c", 1),
            ],
            ["b", "a", "c"],
        ),
        ("importance_ranks", [made("b", 1), made("a", 1)], ["a", "b"]),
        ("importance_ranks", [], []),
        ("importance_gumbel", [], []),
        # b is a near copy of a; c is another kind of image
        (
            "diversity",
            [made("a", 10, features=(0, 0)), made("b", 9, features=(0, 0.01)), made("c", 2, features=(5, 1))],
            ["a", "c", "b"],
        ),
        ("diversity", [made("a", 1, features=(1, 1)), made("b", 2, features=(1, 1))], ["b", "a"]),
        ("diversity", [], []),
        ("expected_gain", [], []),
        # without predicted quality as `attention`
        ("expected_gain", [made("a", 1, 2), made("b", 0, 9), made("c", 3, 0)], ["b", "a", "c"]),
        (
            "expected_gain",
            [made("a", 99), promising("b", (4, 8), (1, 2)), promising("c", (3, 1), (3, 3)), promising("d", (0, 1))],
            ["c", "b", "d", "a"],
        ),
        ("expected_gain", [promising("b", (1, 2)), promising("a", (2, 4))], ["a", "b"]),
        ("lowest_dice", [], []),
        # without predicted quality by agreement of the models, here the same, and then by entropy
        ("lowest_dice", [made("a", 9, mean_entropy=0.1), made("b", 1, mean_entropy=0.2)], ["b", "a"]),
        (
            "lowest_dice",
            [unsure("a", 0.9, 0.8), made("b", 99, mean_entropy=9), unsure("c", 0.95, 0.3)],
            ["c", "a", "b"],
        ),
        ("lowest_dice", [CaseScore("b", ()), CaseScore("a", ()), made("c", 1)], ["c", "a", "b"]),
        (
            "lowest_dice",
            [made("a", 99, mean_entropy=9), of_dice("b", 0.9, 0.7), of_dice("c", 0.6), of_dice("d", 0.8, 0.8)],
            ["c", "b", "d", "a"],
        ),
        ("lowest_dice", [of_dice("b", 0.5), of_dice("a", 0.5, 0.9)], ["a", "b"]),
    ],
)
def test_acquisition(name, cases, expected):
    assert ACQUISITION.get(name).order(cases, "0") == expected
    assert ACQUISITION.get(name).order(cases[::-1], "0") == expected


def test_random_depends_on_the_seed_alone():
    cases = [made(f"case{i}", i) for i in range(20)]
    order = ACQUISITION.get("random").order
    assert order(cases, "1") == order(cases[::-1], "1") != order(cases, "2")
    fewer = [c for c in order(cases, "1") if c != "case7"]
    assert order([c for c in cases if c.case_id != "case7"], "1") == fewer


def test_important_cases_come_first_more_often_but_not_always():
    cases = [made("a", 1, uncertain_ml=8), made("b", 1, uncertain_ml=2), made("c", 1), made("d", 1)]
    order = ACQUISITION.get("importance_gumbel").order
    found = [order(cases, str(seed)) for seed in range(500)]
    assert found[3] == order(cases[::-1], "3")
    assert 350 < sum(one[0] == "a" for one in found) < 450  # 8 of 10
    assert {frozenset(one[:2]) for one in found} == {frozenset("ab")}
    assert 200 < sum(one[2] == "c" for one in found) < 300


CASES = [made(f"case{i:02d}", i, i) for i in range(10)]


@pytest.mark.parametrize(
    ("params", "count"),
    [
        ({"budget": 4}, 4),
        ({"budget": 0}, 0),
        ({"budget": 99}, 10),
        ({"budget": 99, "budget_share": 0.3}, 3),
        ({"budget": 99, "budget_minutes": 45}, 3),
        ({"budget": 99, "budget_minutes": 44}, 2),
        ({"budget": 2, "budget_minutes": 44, "budget_share": 0.9}, 2),
    ],
)
def test_budget(params, count):
    chosen = choose(CASES, 2, ScoreParams(**params), "seed", {})
    assert len(chosen) == count
    assert list(chosen) == [f"case{9 - i:02d}" for i in range(count)]


def test_cases_in_which_an_organ_was_not_found_come_first_within_the_budget():
    missing = {"case00", "case02", "case05"}
    chosen = choose(CASES, 2, ScoreParams(budget=4), "seed", {}, flagged=dict.fromkeys(missing, NOT_FOUND))
    assert list(chosen) == ["case05", "case02", "case00", "case09"]
    assert list(chosen.values()) == [NOT_FOUND] * 3 + ["attention"]
    chosen = choose(CASES, 2, ScoreParams(budget=2), "seed", {}, flagged=dict.fromkeys(missing, NOT_FOUND))
    assert list(chosen) == ["case05", "case02"]


def test_flags_come_first_in_their_order():
    flagged = {"case07": DISAGREES, "case01": REJECTED, "case00": NOT_FOUND, "case02": NOT_FOUND, "case03": REJECTED}
    chosen = choose(CASES, 2, ScoreParams(budget=6), "seed", {}, flagged=flagged)
    assert list(chosen) == ["case02", "case00", "case03", "case01", "case07", "case09"]
    assert list(chosen.values()) == [NOT_FOUND] * 2 + [REJECTED] * 2 + [DISAGREES, "attention"]


def test_audit_never_overlaps_and_takes_what_is_left():
    chosen = choose(CASES, 2, ScoreParams(budget=8, audit=5), "seed", {})
    assert sorted(r for r in chosen.values()) == ["attention"] * 8 + ["audit"] * 2
    assert {c for c, r in chosen.items() if r == AUDIT} == {"case00", "case01"}


def test_alike_cases_come_later():
    alike = [made(f"a{i}", 10, uncertain_ml=5) for i in range(4)]
    other = [made(f"b{i}", 1, inconsistent_ml=5) for i in range(4)]
    chosen = choose([*alike, *other], 1, ScoreParams(budget=5, most_alike=2), "seed", {})
    assert list(chosen) == ["a0", "a1", "b0", "b1", "a2"]


def test_cases_alike_by_what_reviewers_changed_before_come_later():
    alike = [made(f"a{i}", 10, uncertain_ml=5) for i in range(2)]
    alike += [made(f"b{i}", 9, inconsistent_ml=5) for i in range(2)]
    other = [made(f"c{i}", 1, overlapping_ml=5) for i in range(2)]
    known = {("c0", "uncertain"): {"boundary": 3.0}, ("c0", "inconsistent"): {"boundary": 2.0, "split": 1.0}}
    chosen = choose([*alike, *other], 1, ScoreParams(budget=3, most_alike=1), "seed", known)
    assert list(chosen) == ["a0", "c0", "a1"]


def test_reviewers_share_the_minutes():
    cases = [made(f"case{i}", *range(1 + i % 3)) for i in range(11)]
    chosen = choose(cases, 3, ScoreParams(budget=11), "seed", {})
    rows = worklist(cases, chosen, ["ann", "bob", "cyd"], 3, ScoreParams())
    load = {n: sum(r.expected_minutes for r in rows if r.reviewer == n) for n in ("ann", "bob", "cyd")}
    assert max(load.values()) - min(load.values()) <= 15.0
    assert {r.case_id for r in rows} == {c.case_id for c in cases}
    for case in cases:
        assert len({r.reviewer for r in rows if r.case_id == case.case_id}) == 1
        within = [r.attention_ml for r in rows if r.case_id == case.case_id]
        assert within == sorted(within, reverse=True)


def test_round_trip(tmp_path):
    rows = worklist(CASES, choose(CASES, 2, ScoreParams(audit=1, budget=3), "s", {}), ["ann"], 2, ScoreParams())
    write_worklist(tmp_path / "worklist.csv", rows)
    assert read_worklist(tmp_path / "worklist.csv") == rows
    write_worklist(tmp_path / "empty.csv", [])
    assert read_worklist(tmp_path / "empty.csv") == []


def dealt(cases: int, reviewers: list[str], readers: int, share: float = 1.0) -> dict[str, list[str]]:
    """The readers of every case."""
    chosen = {f"case{n:02d}": "attention" for n in range(cases)}
    several = read_by_several(chosen, ReadersParams(count=readers, share=share), "0/1")
    made_of = [made(case_id, 1, 2) for case_id in chosen]
    found: dict[str, list[str]] = {}
    for row in worklist(made_of, chosen, reviewers, 2, ScoreParams(), readers, several):
        if row.reviewer not in found.setdefault(row.case_id, []):
            found[row.case_id].append(row.reviewer)
    return found


@pytest.mark.parametrize(("reviewers", "readers"), [("ab", 2), ("abc", 2), ("abcde", 2), ("abcde", 3), ("abc", 3)])
def test_every_case_has_different_readers_and_shares_differ_by_one_case(reviewers, readers):
    found = dealt(23, list(reviewers), readers)
    assert all(len(set(names)) == len(names) == readers for names in found.values())
    loads = [sum(name in names for names in found.values()) for name in reviewers]
    assert max(loads) - min(loads) <= 1
    assert found == dealt(23, list(reviewers), readers)


def test_two_of_three_readers_are_not_always_the_same_two():
    assert len({frozenset(names) for names in dealt(12, list("abc"), 2).values()}) == 3


@pytest.mark.parametrize(("share", "several"), [(0.0, 0), (0.01, 1), (0.2, 4), (1.0, 20)])
def test_a_share_of_the_cases_is_read_by_several(share, several):
    found = dealt(20, ["a", "b"], 2, share)
    assert sum(len(names) == 2 for names in found.values()) == several
    assert all(len(names) in (1, 2) for names in found.values())
    loads = [sum(name in names for names in found.values()) for name in "ab"]
    assert abs(loads[0] - loads[1]) <= 1


def test_which_cases_several_read_is_drawn_anew_in_every_round():
    chosen = [f"case{n:02d}" for n in range(40)]
    params = ReadersParams(count=2, share=0.25)
    first, second = (read_by_several(chosen, params, f"0/{n}") for n in (1, 2))
    assert len(first) == len(second) == 10
    assert first != second


def test_no_case_of_none_is_read_by_several():
    assert read_by_several([], ReadersParams(count=2), "0/1") == frozenset()
    assert read_by_several(["a"], ReadersParams(count=1), "0/1") == frozenset()


def test_minutes_are_those_of_all_readers():
    """45 minutes do for three cases of one reader, for one of two, and for two where a fourth of all is read twice."""
    cases = [made(name, 1) for name in "abcd"]
    params = ScoreParams(budget_minutes=45.0)
    for readers, expected in (
        (ReadersParams(), 3),
        (ReadersParams(count=2), 1),
        (ReadersParams(count=2, share=0.25), 2),
    ):
        assert len(choose(cases, 1, params, "0", {}, readers=readers)) == expected


def test_expected_minutes_are_those_of_predicted_quality():
    cases = [promising("a", (4, 8), (1, 2)), promising("b", (4, 20))]
    params = ScoreParams(quality=True, acquisition="expected_gain", budget_minutes=12, revise_minutes=15)
    chosen = choose(cases, 2, params, "s", {})
    assert list(chosen) == ["a"]
    rows = worklist(cases, chosen, ["ann"], 2, params)
    assert [(r.class_name, r.expected_minutes, r.quality.predicted_error_ml) for r in rows] == [
        ("c0", 8, 4),
        ("c1", 2, 1),
    ]
