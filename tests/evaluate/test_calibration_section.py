"""What calibration claims, beside what is found."""

from __future__ import annotations

import math
from dataclasses import replace

from voxledger.evaluate.calibration_section import calibration_section
from voxledger.evaluate.detection import detection_rates
from voxledger.imaging.detection import Step
from voxledger.records.calibration import CalibratedClass, Calibration, Interval

CLAIM = Interval(value=0.8, low=0.6, high=1.0)
PDAC = CalibratedClass(
    threshold=0.0312,
    fit=False,
    sensitivity=CLAIM,
    false_positives_per_scan=Interval(value=0.25, low=None, high=None),
    patient_sensitivity=CLAIM,
    patient_specificity=Interval(value=None, low=None, high=None),
    cases=40,
    cases_with_lesion=20,
    lesions=25,
    lesions_needed=299,
    supported=False,
)
ROUND = Calibration(
    wanted_sensitivity=0.99,
    floor=0.003,
    overlap=0.1,
    from_mm=0,
    classes={"pdac": PDAC},
    notes={"pdac": ["not fit <at all>"]},
)


def test_the_claim_stands_beside_what_the_last_rule_leaves_of_test_cases() -> None:
    threshold = Step("a", "test", "pdac", 0, "threshold", 2, 2, 9, (1.0, 1.0), (True, True))
    steps = [threshold, replace(threshold, step=1, rule="mean_hu", components=1, true_components=1, hit=(True, False))]
    rates = detection_rates([*steps, *(replace(s, split="calibration") for s in steps)], {"a": "a"}, 100, 0)
    html = calibration_section(ROUND, rates)
    assert "<td>pdac</td><td>0.0312</td><td>25</td><td>0.80 (0.60–1.00)</td><td>0.50 (" in html
    assert "<td>0.25 (?–?)</td><td>0.00 (" in html
    assert html.count("<td>no</td>") == 1
    assert "Wanted: 99.0% of the lesions" in html
    assert "<strong>pdac</strong>: not fit &lt;at all&gt;" in html


def test_a_claim_for_lesions_of_a_size_says_so() -> None:
    assert "of the lesions from 10 mm, after" in calibration_section(ROUND.model_copy(update={"from_mm": 10.0}), [])


def test_without_test_cases_nothing_stands_beside_it() -> None:
    html = calibration_section(ROUND, [])
    assert "<td>0.80 (0.60–1.00)</td><td>–</td><td>0.25 (?–?)</td><td>–</td>" in html
    healthy = detection_rates([Step("a", "test", "pdac", 0, "threshold", 0, 0, 0, (), ())], {"a": "a"}, 100, 0)
    assert math.isnan(healthy[0].sensitivity.value)
    assert "<td>0.80 (0.60–1.00)</td><td>–</td>" in calibration_section(ROUND, healthy)


def test_only_notes_and_nothing() -> None:
    nothing = ROUND.model_copy(update={"classes": {}})
    assert "<table>" not in calibration_section(nothing, [])
    assert "not fit" in calibration_section(nothing, [])
    assert calibration_section(nothing.model_copy(update={"notes": {}}), []) == ""
