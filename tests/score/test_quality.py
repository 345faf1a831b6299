"""Predicted quality: how far off it is, how often its intervals hold, and when nothing is predicted."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from judged_masks import judged_masks

from voxledger.records.mask_quality import JudgedMask, Signs
from voxledger.score.quality import ENOUGH_MASKS, ENOUGH_PATIENTS, LEVEL, QualityModel, learn, predict
from voxledger.score.quality_section import quality_section

CLASSES = ("a", "b")


def learned(*args: object, **kwargs: object) -> QualityModel:
    model = learn(judged_masks(*args, **kwargs), CLASSES)  # type: ignore[arg-type]
    assert model is not None
    return model


@pytest.mark.parametrize(
    ("cases", "options", "mean_error"),
    [
        pytest.param(10, {}, 0.062, id="the fewest that are enough"),
        pytest.param(40, {}, 0.055, id="two classes"),
        pytest.param(40, {"classes": ("a",)}, 0.055, id="one class"),
        pytest.param(40, {"models": 1}, 0.055, id="one model"),
        pytest.param(40, {"heavy": True}, 0.050, id="heavy tails"),
        pytest.param(40, {"noise": 0.1}, 0.022, id="little noise"),
    ],
)
def test_intervals_hold_as_often_as_they_say(cases: int, options: dict[str, object], mean_error: float) -> None:
    """Over 80 seeds, 60 new masks each; chance alone moves the share by less than 1 %."""
    dice, ml, off = [], [], []
    cases = 2 * cases if options.get("classes") else cases
    for seed in range(80):
        rng = np.random.default_rng(seed)
        model = learned(rng, cases, **options)
        for one in judged_masks(rng, 30, **options):  # type: ignore[arg-type]
            q = model.predict(one.mask.class_name, one.mask.signs)
            assert q is not None
            dice.append(q.predicted_dice_low <= one.dice <= q.predicted_dice_high)
            ml.append(q.predicted_error_ml_low <= one.error_ml <= q.predicted_error_ml_high)
            off.append(abs(q.predicted_dice - one.dice))
    assert np.mean(dice) == pytest.approx(LEVEL, abs=0.03)
    assert np.mean(ml) == pytest.approx(LEVEL, abs=0.03)
    assert np.mean(off) < mean_error


def test_the_blind_audit_has_the_word_where_it_is_there() -> None:
    """Worklists hold masks that are far harder to predict than those that nobody looked at."""
    held: dict[bool, list[bool]] = {True: [], False: []}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        worklist = judged_masks(rng, 30, noise=1.0)
        for audited in held:
            blind = judged_masks(rng, 20, noise=0.2, blind=audited, name="blind")
            model = learn([*worklist, *blind], CLASSES)
            assert model is not None
            assert model.correction.blind is audited
            assert len(model.correction.dice) == (20 if audited else 50)
            for one in judged_masks(rng, 20, noise=0.2):
                q = model.predict(one.mask.class_name, one.mask.signs)
                assert q is not None
                held[audited].append(q.predicted_dice_low <= one.dice <= q.predicted_dice_high)
    assert np.mean(held[True]) == pytest.approx(LEVEL, abs=0.03)
    assert np.mean(held[False]) > LEVEL + 0.05


RNG = np.random.default_rng(1)


@pytest.mark.parametrize(
    "rows",
    [
        pytest.param([], id="nobody has judged anything"),
        pytest.param(judged_masks(RNG, ENOUGH_PATIENTS - 1, ("a", "b", "c")), id="too few cases"),
        pytest.param(judged_masks(RNG, ENOUGH_MASKS - 1, ("a",)), id="too few masks"),
        pytest.param(judged_masks(RNG, 40, ("retired",)), id="classes that are not asked any more"),
        pytest.param(judged_masks(RNG, 40, models=0), id="masks that no model proposed"),
    ],
)
def test_nothing_is_predicted_from_too_little(rows: list) -> None:
    assert learn(rows, ("a", "b", "c")) is None
    masks = predict(None, [("x", "a", judged_masks(RNG, 1)[0].mask.signs)])
    assert [mask.quality for mask in masks] == [None]
    assert "Nothing is predicted yet" in quality_section(None, masks, None, rows, {})


def test_intervals_hold_for_further_patients_who_have_several_cases() -> None:
    """Three cases of a patient that are the same, but for a little of each: cases alone would say far too little."""
    held: dict[bool, list[bool]] = {True: [], False: []}
    for seed in range(60):
        rng = np.random.default_rng(seed)
        once = judged_masks(rng, 15, ("a",), noise=0.8)
        rows = [
            replace(one, mask=replace(one.mask, case_id=f"{one.mask.case_id}-{n}", signs=drifted(one.mask.signs, rng)))
            for one in once
            for n in range(3)
        ]
        of = {one.mask.case_id: one.mask.case_id.split("-")[0] for one in rows}
        for told, patients in ((True, of), (False, {})):
            model = learn(rows, CLASSES, patients)
            assert model is not None
            assert len(model.correction.dice) == (15 if told else 45)
            for one in judged_masks(rng, 20, ("a",), noise=0.8):
                q = model.predict("a", one.mask.signs)
                assert q is not None
                held[told].append(q.predicted_dice_low <= one.dice <= q.predicted_dice_high)
    assert np.mean(held[True]) == pytest.approx(LEVEL, abs=0.03)
    assert np.mean(held[False]) < np.mean(held[True]) - 0.03


def drifted(signs: Signs, rng: np.random.Generator) -> Signs:
    """The signs of much the same mask."""
    return replace(signs, uncertain_ml=signs.uncertain_ml * float(np.exp(rng.normal(0, 0.02))))


def test_many_cases_of_few_patients_are_too_few() -> None:
    rows = judged_masks(np.random.default_rng(0), 40)
    few = {one.mask.case_id: one.mask.case_id[-1] for one in rows}
    assert len(set(few.values())) == ENOUGH_PATIENTS
    assert learn(rows, CLASSES, few) is not None
    assert learn(rows, CLASSES, few | {c: "0" for c in few if few[c] == "9"}) is None


def test_what_nobody_judged_is_not_predicted() -> None:
    model = learned(np.random.default_rng(0), 40, ("a",))
    signs = judged_masks(np.random.default_rng(1), 1)[0].mask.signs
    assert model.predict("a", signs) is not None
    assert model.predict("b", signs) is None
    assert model.predict("a", replace(signs, models=0)) is None


@pytest.mark.parametrize(("dice", "ml"), [(1.0, 0.0), (0.0, 9.0)])
def test_masks_that_are_all_alike(dice: float, ml: float) -> None:
    rows = [replace(one, dice=dice, error_ml=ml) for one in judged_masks(np.random.default_rng(0), 20)]
    model = learn(rows, CLASSES)
    assert model is not None
    q = model.predict("a", rows[0].mask.signs)
    assert q is not None
    assert (q.predicted_dice, q.predicted_error_ml) == pytest.approx((dice, ml), abs=1e-6)
    assert q.predicted_dice_high - q.predicted_dice_low < 1e-6


def test_an_empty_mask_and_one_that_is_far_off_have_a_quality() -> None:
    model = learned(np.random.default_rng(0), 40)
    signs = judged_masks(np.random.default_rng(1), 1)[0].mask.signs
    for other in (
        replace(signs, predicted_ml=0.0, attention_ml=0.0, uncertain_ml=0.0, inconsistent_ml=0.0, mean_entropy=0.0),
        replace(signs, attention_ml=1e9, uncertain_ml=1e9, lowest_agreement=0.0),
    ):
        q = model.predict("a", other)
        assert q is not None
        assert 0 <= q.predicted_dice_low <= q.predicted_dice <= q.predicted_dice_high <= 1
        assert 0 <= q.predicted_error_ml_low <= q.predicted_error_ml <= q.predicted_error_ml_high < 1e9
        assert 0 <= q.predicted_path_share <= 1


def test_attention_is_no_sign_since_it_is_learned_in_one_round_and_published_in_another() -> None:
    rows = judged_masks(np.random.default_rng(0), 40)
    mixed = [
        replace(one, mask=replace(one.mask, signs=replace(one.mask.signs, attention_ml=float(n % 7))))
        for n, one in enumerate(rows)
    ]
    first, second = (learn(some, CLASSES) for some in (rows, mixed))
    assert first is not None
    assert second is not None
    assert first.record() == second.record()


def test_the_record_repeats_and_tells_what_was_learned_from_what() -> None:
    rows = judged_masks(np.random.default_rng(0), 40)
    first, second = (learn(some, CLASSES) for some in (rows, rows))
    assert first is not None
    assert second is not None
    assert json.dumps(first.record()) == json.dumps(second.record())
    found = first.record()
    assert (found["format"], found["masks"], found["cases"], found["interval_patients"]) == (3, 80, 40, 40)
    assert found["intervals_from"] == "left-out patients"
    other = learn(rows[2:], CLASSES)
    assert other is not None
    assert other.record()["id"] != found["id"]


def test_a_class_goes_with_a_sign_in_its_own_way() -> None:
    """Models agree the less on `b` the better it is; what is common to both classes says nothing of either."""

    def turned(one: JudgedMask) -> JudgedMask:
        if one.mask.class_name == "a":
            return one
        dice = float(np.clip(1.01 - 0.02 / (1.01 - one.dice), 0, 1))
        return replace(one, dice=dice, error_ml=2 * (1 - dice) * one.mask.signs.predicted_ml)

    off, constant = [], []
    for seed in range(20):
        rng = np.random.default_rng(seed)
        judged, others = ([turned(one) for one in judged_masks(rng, n, noise=0.1)] for n in (40, 30))
        model = learn(judged, CLASSES)
        assert model is not None
        usual = {
            name: float(np.median([one.dice for one in judged if one.mask.class_name == name])) for name in CLASSES
        }
        for one in others:
            q = model.predict(one.mask.class_name, one.mask.signs)
            assert q is not None
            off.append(abs(q.predicted_dice - one.dice))
            constant.append(abs(usual[one.mask.class_name] - one.dice))
    assert np.mean(off) < 0.5 * np.mean(constant)
