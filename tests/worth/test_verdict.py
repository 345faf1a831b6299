"""What differences between arms say."""

from __future__ import annotations

import math

import numpy as np
import pytest

from voxledger.records.worth import Judged, Verdict
from voxledger.worth.verdict import _worst, judge

CLASSES = ["liver", "lesion"]
NAN = math.nan


def training(dice: dict[str, tuple[float, ...]], set_name: str = "external/c") -> list[Judged]:
    """Dice of one training: by case the values of the classes; a case is a patient but for its last letter."""
    return [
        Judged(set_name, case_id, case_id[:-1], name, 1.0, value)
        for case_id, values in dice.items()
        for name, value in zip(CLASSES, values, strict=True)
    ]


def many(rng: np.random.Generator, mean: float, noise: float, cases: int = 20) -> list[Judged]:
    return training({f"case-{i:02d}a": tuple(mean + noise * rng.standard_normal(2)) for i in range(cases)})


def judged(without: list[list[Judged]], found: list[list[Judged]]) -> list[Verdict]:
    return judge("b", "reviewed", without, found, CLASSES, 4, 500, 0)


@pytest.mark.parametrize(("mean", "says"), [(0.75, "helps"), (0.65, "hurts"), (0.701, "cannot be said")])
def test_what_is_said(mean: float, says: str) -> None:
    rng = np.random.default_rng(0)
    (verdict,) = judged([many(rng, 0.7, 0.02) for _ in range(3)], [many(rng, mean, 0.02) for _ in range(3)])
    assert (verdict.says, verdict.cases, verdict.patients, len(verdict.by_seed)) == (says, 20, 20, 3)
    assert (verdict.seeds, verdict.round) == (3, 4)
    assert verdict.mean.delta == pytest.approx(mean - 0.7, abs=0.01)
    assert verdict.mean.low is not None
    assert verdict.mean.high is not None
    assert verdict.mean.delta is not None
    assert verdict.mean.low < verdict.mean.delta < verdict.mean.high
    assert set(verdict.classes) == set(CLASSES)


def test_seeds_that_contradict_one_another_say_nothing() -> None:
    """Every patient agrees in each seed, and yet another training would say the opposite."""
    rng = np.random.default_rng(0)
    without = [many(rng, 0.7, 0.001) for _ in range(3)]
    (verdict,) = judged(without, [many(rng, mean, 0.001) for mean in (0.8, 0.65, 0.68)])
    assert verdict.says == "cannot be said"
    assert verdict.by_seed == [pytest.approx(d, abs=0.003) for d in (0.1, -0.05, -0.02)]


def test_cases_of_one_patient_are_drawn_together() -> None:
    """Ten scans of one patient, in whom it helps, do not outweigh a second patient, in whom it does not."""
    before = {**{f"one{letter}": (0.5, 0.5) for letter in "abcdefghij"}, "twoa": (0.5, 0.5)}
    after = {**{f"one{letter}": (0.9, 0.9) for letter in "abcdefghij"}, "twoa": (0.4, 0.4)}
    (verdict,) = judged([training(before)] * 3, [training(after)] * 3)
    assert (verdict.patients, verdict.says) == (2, "cannot be said")


@pytest.mark.parametrize(
    ("before", "after", "delta", "by_class"),
    [
        ({"x1": (0.5, NAN), "y1": (0.5, 0.2)}, {"x1": (0.6, NAN), "y1": (0.6, 0.4)}, 0.15, (0.1, 0.2)),
        ({"x1": (0.5, 0.3), "y1": (0.5, NAN)}, {"x1": (0.5, NAN), "y1": (0.7, NAN)}, 0.1, (0.1, None)),
        ({"x1": (NAN, NAN), "y1": (NAN, NAN)}, {"x1": (NAN, NAN), "y1": (NAN, NAN)}, None, (None, None)),
    ],
)
def test_what_has_no_value_on_both_sides_does_not_count(
    before: dict[str, tuple[float, ...]],
    after: dict[str, tuple[float, ...]],
    delta: float | None,
    by_class: tuple[float | None, ...],
) -> None:
    (verdict,) = judged([training(before)] * 3, [training(after)] * 3)
    assert verdict.mean.delta == (None if delta is None else pytest.approx(delta, abs=1e-6))
    found = [verdict.classes[name].delta for name in CLASSES]
    assert found == [None if d is None else pytest.approx(d, abs=1e-6) for d in by_class]
    assert (delta is None) <= (verdict.says == "cannot be said")


@pytest.mark.parametrize(("lacking", "sign"), [("without", -1), ("arm", 1)])
def test_what_one_arm_alone_has_is_in_no_difference(lacking: str, sign: int) -> None:
    """Models that were never taught a class have no row of it; a case or a set may be in one table alone, too."""
    less = [r for r in training({"x1": (0.6, 0.1), "y1": (0.7, 0.1)}) if r.class_name == "liver"]
    more = [*training({"x1": (0.5, 0.9), "y1": (0.5, 0.9), "z1": (0.5, 0.9)}), *training({"v1": (0.5, 0.9)}, "test")]
    arms = ([less] * 3, [more] * 3) if lacking == "without" else ([more] * 3, [less] * 3)
    external, test = judged(*arms)
    assert (external.set_name, external.cases, external.patients) == ("external/c", 3, 3)
    assert external.mean.delta == pytest.approx(sign * 0.15)
    assert list(external.classes) == CLASSES
    assert external.classes["liver"].delta == pytest.approx(sign * 0.15)
    assert (external.classes["lesion"].dice, external.classes["lesion"].delta) == (None, None)
    assert (test.set_name, test.mean.delta, test.by_seed, test.says) == ("test", None, [], "cannot be said")


def test_false_alarms_of_a_class_that_one_arm_alone_was_taught_are_told() -> None:
    liver = [r for r in training({"x1": (0.6, 0.0), "y1": (0.7, 0.0)}) if r.class_name == "liver"]
    alarms = [Judged("external/c", case_id, case_id[:-1], "lesion", 0.0, 0.0) for case_id in ("x1", "y1")]
    (verdict,) = judged([liver] * 3, [[*liver, *alarms]] * 3)
    assert (verdict.empty, verdict.false_alarms) == (2, (0, 2))


def test_one_patient_has_no_interval_and_nothing_is_said() -> None:
    (verdict,) = judged([training({"x1": (0.5, 0.5)})] * 3, [training({"x1": (0.9, 0.9)})] * 3)
    assert (verdict.mean.low, verdict.mean.high, verdict.says) == (None, None, "cannot be said")


def test_two_scans_of_one_patient_are_one_patient() -> None:
    before, after = {"onea": (0.5, 0.5), "oneb": (0.5, 0.5)}, {"onea": (0.9, 0.9), "oneb": (0.9, 0.9)}
    (verdict,) = judged([training(before)] * 3, [training(after)] * 3)
    assert (verdict.patients, verdict.mean.delta) == (1, pytest.approx(0.4))
    assert (verdict.mean.low, verdict.says) == (None, "cannot be said")


def test_sets_are_told_apart_external_ones_first() -> None:
    rng = np.random.default_rng(0)

    def one(outside: float, home: float) -> list[Judged]:
        at_home = [Judged("test", r.case_id, r.patient, r.class_name, 1.0, r.dice) for r in many(rng, home, 0.01)]
        return [*at_home, *many(rng, outside, 0.01)]

    verdicts = judged([one(0.5, 0.8) for _ in range(3)], [one(0.6, 0.7) for _ in range(3)])
    assert [(v.set_name, v.says) for v in verdicts] == [("external/c", "helps"), ("test", "hurts")]


def test_the_worst_tenth_by_hand() -> None:
    values = np.array([[0.1], [0.9], [0.2], *[[0.5 + i / 100] for i in range(17)]])
    once, drawn = np.ones((1, 20), int), np.zeros((1, 20), int)
    assert _worst(values, once) == pytest.approx([0.15])
    drawn[0, 0], drawn[0, 2], drawn[0, 1] = 1, 9, 20  # 30 draws: the worst three
    assert _worst(values, drawn) == pytest.approx([(0.1 + 2 * 0.2) / 3])
