"""Detection rates by hand, missed lesions, harm, and the report's section."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace
from pathlib import Path

import pytest

from voxledger.evaluate.detection import detection_rates, diameter_mm, from_size, harm, missed_by_size
from voxledger.evaluate.detection_section import write_detection
from voxledger.filter.decisions import Decision, tally
from voxledger.filter.proposal import Outcome
from voxledger.imaging.detection import ANY, Advice, Step, Taken
from voxledger.layout import MEMO
from voxledger.records.calibration import Calibration


def step(case: str, number: int, components: int, true: int, hit: str, voxels: int = 100, ml: float = 1.0) -> Step:
    """`hit`: one character a lesion, 1 found, 0 missed."""
    rule = "threshold" if number == 0 else "mean_hu"
    hits = tuple(c == "1" for c in hit)
    return Step(case, "calibration", "pdac", number, rule, components, true, voxels, (ml,) * len(hits), hits)


NOTHING = Calibration(wanted_sensitivity=0.99, floor=0.003, overlap=0.1, from_mm=0, classes={}, notes={})
PATIENTS = {name: name for name in "abcd"}
STEPS = [
    step("a", 0, 4, 2, "11"),
    step("b", 0, 1, 0, "0"),
    step("c", 0, 1, 0, ""),
    step("d", 0, 0, 0, ""),
    step("a", 1, 1, 1, "10", voxels=60),
    step("b", 1, 1, 0, "0"),
    step("c", 1, 0, 0, ""),
    step("d", 1, 0, 0, ""),
]


def test_lesions_below_a_diameter_are_left_out() -> None:
    step = Step("a", "test", "pdac", 0, "threshold", 2, 2, 9, (0.3, 1.0, 0.6), (True, False, True))
    assert from_size([step], 0) == [step]
    assert from_size([step], 10) == [replace(step, lesion_ml=(1.0, 0.6), hit=(False, True))]
    assert from_size([step], 40) == [replace(step, lesion_ml=(), hit=())]


def test_cases_of_one_patient_are_drawn_together() -> None:
    """One person says nothing about others, however many scans there are."""
    apart = detection_rates(STEPS, PATIENTS, 200, seed=0)[0].sensitivity
    together = detection_rates(STEPS, dict.fromkeys("abcd", "one"), 200, seed=0)[0].sensitivity
    assert apart.low < apart.value < apart.high
    assert together.low == together.value == together.high


def test_rates_by_hand() -> None:
    before, after = detection_rates(STEPS, PATIENTS, 200, seed=0)
    assert (before.rule, before.cases, before.ill, before.lesions) == ("threshold", 4, 2, 3)
    assert before.sensitivity.value == pytest.approx(2 / 3)
    assert before.ppv.value == pytest.approx(2 / 6)
    assert before.f1.value == pytest.approx(2 * (2 / 3) * (2 / 6) / (2 / 3 + 2 / 6))
    assert before.false_positives_per_scan.value == 1.0
    assert before.patient_sensitivity.value == 1.0
    assert before.patient_specificity.value == 0.5
    assert before.patient_ppv.value == pytest.approx(2 / 3)
    assert before.patient_f1.value == pytest.approx(0.8)
    assert after.sensitivity.value == pytest.approx(1 / 3)
    assert after.false_positives_per_scan.value == 0.25
    assert after.patient_specificity.value == 1.0
    assert before.sensitivity.low <= 2 / 3 <= before.sensitivity.high


def test_nothing_predicted_and_nothing_to_find() -> None:
    missed = detection_rates([step("a", 0, 0, 0, "0")], PATIENTS, 100, 0)[0]
    assert (missed.sensitivity.value, missed.f1.value, missed.patient_f1.value) == (0.0, 0.0, 0.0)
    assert math.isnan(missed.ppv.value)
    healthy = detection_rates([step("a", 0, 0, 0, "")], PATIENTS, 100, 0)[0]
    assert math.isnan(healthy.sensitivity.value)
    assert math.isnan(healthy.f1.value)
    assert healthy.patient_specificity.value == 1.0
    assert detection_rates([], {}, 100, 0) == []


def test_missed_by_size_counts_the_last_step() -> None:
    small = replace(STEPS[4], lesion_ml=(0.3, 30.0))
    found = missed_by_size([*STEPS[:4], small, *STEPS[5:]])
    assert [(m.size, m.lesions, m.missed) for m in found] == [("< 10 mm", 1, 0), ("10–20 mm", 1, 1), ("20–40 mm", 1, 1)]
    assert diameter_mm(4 / 3 * math.pi) == pytest.approx(20)


def test_harm() -> None:
    found = harm([*STEPS, replace(STEPS[0], class_name=ANY), replace(STEPS[4], class_name=ANY)])
    assert [(h.case_id, h.rule, h.voxels, h.lesions) for h in found] == [("a", "mean_hu", 40, 1)]


def test_section(folder: Path) -> None:
    decisions = [
        Decision("a", "pdac", "mean_hu", 1, 8, 0.5, 0.9, 300.0, 300.0, "-206..185HU", Outcome.TO_ORGAN),
        Decision("b", "pdac", "mean_hu", 1, 8, 0.5, 0.9, 40.0, 40.0, "-206..185HU", Outcome.KEPT),
    ]
    section, metrics = folder / "filter.html", folder / "detection.json"
    taken = Taken("a", "calibration", "pdac", 1, "mean_hu", 1, 0.5, 300.0, "-206..185HU", 300.0)
    advice = [Advice(1, "mean_hu", "pdac", (taken,), "ranges: {pdac: [-206, 300]}")]
    write_detection(STEPS, advice, tally(decisions), PATIENTS, NOTHING, section, metrics)
    html = section.read_text()
    assert "<td>mean_hu</td><td>pdac</td><td>2</td><td>2</td><td>1</td><td>0.50</td>" in html
    assert "mean_hu removed 1 true pdac of calibration case a." in html
    assert "<td>a</td><td>1</td><td>0.500</td><td>300</td><td>-206..185HU</td>" in html
    assert "mean_hu of pdac: <code>ranges: {pdac: [-206, 300]}</code> would have kept it" in html
    assert "1 of 3 lesions found (1 below the threshold of the models, 1 removed by mean_hu)" in html
    assert "0.25 false regions per scan, 1.00 before the rules" in html
    assert "data:image/svg+xml;base64," in html
    assert "http://" not in html
    assert "<h2>Calibration</h2>" not in html
    assert "found where 10% of it are predicted, by components of at most 10 times its size" in html
    pdac = json.loads(metrics.read_text())["calibration"]["pdac"]
    assert (pdac["cases"], pdac["before"]["sensitivity"]["value"], pdac["after"]["ppv"]["value"]) == (4, 0.666667, 0.5)
    for when in ("remembered", "drawn anew"):
        write_detection(STEPS, advice, tally(decisions), PATIENTS, NOTHING, folder / "again.html", metrics)
        assert (folder / "again.html").read_bytes() == section.read_bytes(), when
        shutil.rmtree(MEMO)


def test_section_of_nothing(tmp_path: Path) -> None:
    write_detection([], [], [], {}, NOTHING, tmp_path / "filter.html", tmp_path / "detection.json")
    assert "no predictions, or no rules" in (tmp_path / "filter.html").read_text()
    assert json.loads((tmp_path / "detection.json").read_text()) == {}
