"""The calibrate stage on a small repository."""

from __future__ import annotations

import csv
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memo_keys import keys_of

from voxledger import layout
from voxledger.algorithms import VERSIONS
from voxledger.calibrate.run import PLOT_COLUMNS, choose_thresholds, require_lesions, write_round
from voxledger.errors import Misuse
from voxledger.filter import curves as stage
from voxledger.filter.curves import FoundLesions, LesionCurves, lesions_seen
from voxledger.filter.run import filter_round, thresholds_of
from voxledger.imaging.boxes import shape_of
from voxledger.imaging.detection import Step
from voxledger.imaging.soft import NOWHERE, open_soft, write_soft
from voxledger.imaging.volume import Grid, file_sha256, read_label, write
from voxledger.params import CalibrateParams, FilterParams, MachineParams, Params
from voxledger.records.calibration import read_calibration
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Entry, Ledger, Origin
from voxledger.schema import LabelSchema

SCHEMA = LabelSchema.model_validate(
    {
        "name": "test",
        "classes": [
            {"id": 1, "name": "pancreas"},
            {"id": 2, "name": "pdac", "inside": "pancreas", "lesion": True},
            {"id": 3, "name": "cyst", "inside": "pancreas", "lesion": True},
        ],
    }
)
SHAPE = (6, 8, 10)
GRID = Grid.plain(SHAPE)
RULES = [
    {"rule": "largest_component", "classes": ["pancreas"]},
    {"rule": "inside_organ", "classes": ["pdac", "cyst"]},
    {"rule": "volume_ratio", "classes": ["pdac", "cyst"], "percent": {"pdac": 100, "cyst": 100}},
    {"rule": "mean_hu", "classes": ["pdac", "cyst"]},
]
Repository = tuple[list[Case], Ledger]
PEAKS = [0.9, 0.3, 0.004, None]
"""Probability of the one lesion of each case; the last case has none."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repository:
    """Four calibration cases, the last without a lesion, and one of the pool; two models."""
    monkeypatch.chdir(tmp_path)
    cases, ledger = [], {}
    for number, peak in enumerate([*PEAKS, 0.9]):
        case_id = f"case-{number}"
        split = Split.CALIBRATION if number < len(PEAKS) else Split.POOL
        image = f"data/images/{case_id}.nii.gz"
        write(image, np.full(SHAPE, 40, np.int16), GRID)
        digest = file_sha256(image)
        cases.append(Case(case_id, image, digest, digest, "", "", split, "CT", ""))
        labels, p = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.float32)
        labels[1:5, 1:5, 1:5] = 1
        organ = np.where(labels > 0, np.float32(0.9), 0)
        p[0, 7, 9] = 0.05  # a false alarm in every case
        if peak is not None:
            labels[2:4, 2:4, 2:4] = 2
            p[2:4, 2:4, 2:4] = peak
        write(f"data/base/labels/{case_id}.nii.gz", labels, GRID)
        for model, share in (("a", 0.5), ("b", 1.5)):
            values = np.where(p > 0.05, p * share, p) if peak != 0.9 else p
            predicted = [("pancreas", organ), ("pdac", values)]
            write_soft(f"predictions/{model}/{case_id}.b2nd", predicted, ["pancreas", "pdac"], GRID, model, digest)
        for name in ("pdac", "cyst"):
            entry = Entry(case_id, name, 0, Origin.SOURCE, (), "", "", "", "", 0.0)
            ledger[case_id, name] = entry
    return cases, ledger


def parameters(filtering: FilterParams | None = None, **calibrate: Any) -> Params:
    machine = MachineParams(workers=1)
    return Params(calibrate=CalibrateParams(**calibrate), filter=filtering or FilterParams(), machine=machine)


def run(
    repository: Repository, filtering: FilterParams | None = None, **calibrate: Any
) -> tuple[dict[str, Any], list[dict[str, str]], list[str]]:
    """What the stage does."""
    params = parameters(filtering, **calibrate)
    require_lesions(SCHEMA, params)
    known = (repository[0], Path("predictions"), repository[1], SCHEMA, params)
    curves = lesions_seen(LesionCurves, *known, {})
    chosen = choose_thresholds(curves, params)
    notes = write_round(curves, chosen, lesions_seen(FoundLesions, *known, chosen), params)
    with open(layout.FROC_PLOT, encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        assert rows.fieldnames == PLOT_COLUMNS
        return json.loads(layout.CALIBRATION.read_text()), list(rows), notes


def test_threshold_keeps_every_lesion(repository: Repository) -> None:
    values, rows, notes = run(repository, classes=["pdac"])
    pdac = values["classes"]["pdac"]
    assert pdac["threshold"] == pytest.approx(0.004, rel=1e-3)  # below 1/255, the reason for float16
    assert pdac["threshold"] < np.float32(np.float16(0.002) + np.float16(0.006)) / 2
    assert pdac["sensitivity"]["value"] == 1.0
    assert pdac["false_positives_per_scan"]["value"] == 1.0
    assert pdac["patient_specificity"]["value"] == 0.0
    assert (pdac["cases"], pdac["cases_with_lesion"], pdac["lesions"]) == (4, 3, 3)
    assert (pdac["lesions_needed"], pdac["supported"]) == (299, False)
    assert any("too few calibration lesions: 3 show" in note for note in notes)
    assert [float(r["sensitivity"]) for r in rows] == [0.3333, 0.6667, 0.6667, 1.0]
    assert [float(r["false_positives_per_scan"]) for r in rows] == [0, 0, 1, 1]


def test_lower_sensitivity_costs_less(repository: Repository) -> None:
    pdac = run(repository, classes=["pdac"], sensitivity=0.6)[0]["classes"]["pdac"]
    assert pdac["threshold"] == pytest.approx(0.3, rel=1e-2)
    assert (pdac["false_positives_per_scan"]["value"], pdac["patient_specificity"]["value"]) == (0.0, 1.0)


def test_untrusted_cases_are_left_out(repository: Repository) -> None:
    cases, ledger = repository
    entry = ledger["case-2", "pdac"]
    ledger["case-2", "pdac"] = Entry(**{**vars(entry), "origin": Origin.PREDICTED})
    pdac = run((cases, ledger), classes=["pdac"])[0]["classes"]["pdac"]
    assert (pdac["cases"], pdac["threshold"]) == (3, pytest.approx(0.3, rel=1e-2))


def test_nothing_asked(repository: Repository) -> None:
    values, rows, notes = run(repository)
    assert (values["classes"], rows, notes) == ({}, [], [])


def test_no_lesion_and_no_calibration_case(repository: Repository) -> None:
    values, rows, notes = run(repository, classes=["cyst"])
    assert (values["classes"], rows) == ({}, [])
    assert notes == ["cyst: no trusted lesion in 0 calibration cases whose models know it"]
    assert run(([], {}), classes=["pdac"])[2] == ["pdac: no trusted lesion in 0 calibration cases whose models know it"]


def test_organs_are_not_calibrated(repository: Repository) -> None:
    with pytest.raises(Misuse, match="pancreas is not a lesion class"):
        run(repository, classes=["pancreas"])


def test_a_case_whose_models_do_not_know_the_class_says_nothing_about_its_threshold(
    repository: Repository,
) -> None:
    """Its lesions would count as missed at any threshold."""
    for model in ("a", "b"):
        zeros, digest = np.zeros(SHAPE, np.float32), repository[0][2].sha256
        write_soft(f"predictions/{model}/case-2.b2nd", [("pancreas", zeros)], ["pancreas"], GRID, model, digest)
    pdac = run(repository, classes=["pdac"])[0]["classes"]["pdac"]
    assert (pdac["cases"], pdac["threshold"]) == (3, pytest.approx(0.3, rel=1e-2))


def test_a_lesion_in_an_organ_that_was_not_found_is_missed(repository: Repository) -> None:
    """Models that know the class looked nowhere: reviewers see no lesion."""
    for model in ("a", "b"):
        digest, blank = repository[0][2].sha256, np.zeros(shape_of(NOWHERE), np.float32)
        path = f"predictions/{model}/case-2.b2nd"
        write_soft(path, [("pdac", blank)], ["pdac"], GRID, model, digest, NOWHERE)
    values, _, notes = run(repository, classes=["pdac"])
    pdac = values["classes"]["pdac"]
    assert (pdac["cases"], pdac["lesions"], pdac["fit"]) == (4, 3, False)
    assert pdac["sensitivity"]["value"] == pytest.approx(2 / 3)
    assert pdac["threshold"] == pytest.approx(0.3, rel=1e-2)
    assert "they find 66.7% of the 3 lesions" in notes[0]


def test_curves_are_remembered_by_all_that_they_depend_on(
    repository: Repository, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only reads the curves (the wanted sensitivity, the bootstrap) computes none of them anew."""

    def key(cases: tuple[list[Case], Ledger] = repository, **params: Any) -> str:
        return keys_of(stage, lambda: run(cases, **{"classes": ["pdac"], **params}))["case-0"]

    first = key()
    assert key(sensitivity=0.5, bootstrap=200, seed=3) == first
    without_cyst = {k: e for k, e in repository[1].items() if k[1] != "cyst"}
    assert key((repository[0], without_cyst)) == first
    changed = [key(overlap=0), key(from_mm=3), key(floor=0.1), key(classes=["pdac", "cyst"]), key(classes=["cyst"])]
    changed += [key(filtering=f) for f in (FilterParams(threshold=0.4), FilterParams(rules=RULES))]
    changed += [key(filtering=FilterParams(thresholds={"pancreas": 0.4}))]
    changed.append(key(([replace(case, sha256="x") for case in repository[0]], repository[1])))
    changed.append(key(([replace(case, modality="MR") for case in repository[0]], repository[1])))
    classes = SCHEMA.classes
    monkeypatch.setattr(f"{__name__}.SCHEMA", SCHEMA.model_copy(update={"classes": classes[:2]}))
    changed.append(key())
    write("data/base/labels/case-0.nii.gz", np.zeros(SHAPE, np.uint8), GRID)
    changed.append(key())
    Path("predictions/b/case-0.b2nd").unlink()
    changed.append(key())
    for version in ("calibrate", "filter"):
        monkeypatch.setitem(VERSIONS, version, -1)
        changed.append(key())
    assert len({first, *changed}) == 1 + len(changed)


def after_the_rules(repository: Repository, filtering: FilterParams, overlap: float = 0.1) -> list[Step]:
    """What the filter stage finds of calibration cases once the last rule has run."""
    cases, ledger = repository
    calibrated, machine = read_calibration().thresholds, MachineParams(workers=1)
    steps, _ = filter_round(cases, Path("predictions"), SCHEMA, filtering, calibrated, machine, ledger, overlap)
    last = max(s.step for s in steps)
    return [s for s in steps if s.step == last and s.split == "calibration"]


def assert_claims_are_what_the_filter_leaves(repository: Repository, filtering: FilterParams, *names: str) -> None:
    claimed = read_calibration().classes
    left = after_the_rules(repository, filtering)
    assert set(claimed) == set(names)
    for name, claim in claimed.items():
        of_class = [s for s in left if s.class_name == name]
        lesions = sum(s.detection.lesions for s in of_class)
        assert (claim.cases, claim.lesions) == (len(of_class), lesions)
        assert claim.sensitivity.value == pytest.approx(sum(s.detection.hits for s in of_class) / lesions, abs=1e-6)
        false = sum(s.detection.false_components for s in of_class) / len(of_class)
        assert claim.false_positives_per_scan.value == pytest.approx(false, abs=1e-6)


def grow_at(repository: Repository, case: int, p: float) -> None:
    """Predict the lesion class all over a case, at a low probability."""
    path = f"predictions/a/case-{case}.b2nd"
    soft = open_soft(path)
    values = np.maximum(soft.read("pdac"), np.float16(p))
    predicted = [("pancreas", soft.read("pancreas")), ("pdac", values)]
    write_soft(path, predicted, ["pancreas", "pdac"], GRID, "a", repository[0][case].sha256)


def test_the_threshold_is_that_at_which_the_lesions_are_still_there_after_the_rules(repository: Repository) -> None:
    """At 0.004, where the last lesion is predicted, everything of the first case is one component."""
    filtering = FilterParams(rules=RULES)
    values, rows, _ = run(repository, filtering, classes=["pdac"])
    pdac = values["classes"]["pdac"]
    assert pdac["threshold"] == pytest.approx(0.004, rel=1e-3)
    assert (pdac["fit"], pdac["false_positives_per_scan"]["value"]) == (True, 0.0)  # a rule takes the false alarms
    assert {float(r["false_positives_per_scan"]) for r in rows} == {0.0}
    assert_claims_are_what_the_filter_leaves(repository, filtering, "pdac")
    grow_at(repository, 0, 0.02)  # the mean of both models is half of that
    values, rows, notes = run(repository, filtering, classes=["pdac"])
    pdac = values["classes"]["pdac"]
    assert pdac["threshold"] == pytest.approx(0.3, rel=1e-2)
    assert (pdac["fit"], pdac["sensitivity"]["value"]) == (False, pytest.approx(2 / 3, abs=1e-6))
    assert [round(float(r["sensitivity"]), 2) for r in rows][-1] == 0.67  # one is found as another is lost
    assert any("after the rules, they find 66.7% of the 3 lesions; to claim 99.0% 299 lesions" in n for n in notes)
    assert_claims_are_what_the_filter_leaves(repository, filtering, "pdac")
    without = run(repository, FilterParams(), classes=["pdac"], overlap=0)[0]["classes"]["pdac"]
    assert (without["threshold"], without["fit"]) == (pytest.approx(0.004, rel=1e-3), True)


def test_a_claim_is_about_lesions_from_a_size(repository: Repository) -> None:
    values, _, _ = run(repository, classes=["pdac"])
    large, _, notes = run(repository, classes=["pdac"], from_mm=1000)
    assert (values["from_mm"], values["classes"]["pdac"]["lesions"]) == (0.0, 3)
    assert (large["from_mm"], large["classes"]) == (1000.0, {})
    assert notes == ["pdac: no trusted lesion from 1000 mm in 4 calibration cases whose models know it"]


def test_a_threshold_is_never_below_the_floor(repository: Repository) -> None:
    values, rows, notes = run(repository, classes=["pdac"], floor=0.01)
    pdac = values["classes"]["pdac"]
    assert (values["floor"], pdac["threshold"]) == (0.01, pytest.approx(0.3, rel=1e-2))
    assert (pdac["fit"], pdac["sensitivity"]["value"], pdac["lesions_needed"]) == (False, 0.666667, 299)
    assert notes[0] == (
        "pdac: the models are not fit for a sensitivity of 99.0%: with a threshold of at least 0.01, and after the "
        "rules, they find 66.7% of the 3 lesions; to claim 99.0% 299 lesions are needed, all found"
    )
    assert min(float(r["threshold"]) for r in rows) >= 0.01
    values, _, notes = run(repository, FilterParams(threshold=0.95), classes=["pdac"], floor=0.95)
    assert values["classes"] == {}
    assert "they find 0.0% of the 3 lesions" in notes[0]
    with pytest.raises(Misuse, match=r"calibrate.floor is 0.6, above filter.threshold, 0.5"):
        run(repository, classes=["pdac"], floor=0.6)
    with pytest.raises(Misuse, match=r"calibrate.floor is 0.003, above filter.thresholds.pdac, 0.001"):
        run(repository, FilterParams(thresholds={"pdac": 0.001}), classes=["pdac"])


def test_a_threshold_is_at_most_that_of_the_filter(repository: Repository) -> None:
    """Lower, rules may take what they leave higher up: the sensitivity is claimed where the filter will be."""
    pdac = run(repository, classes=["pdac"], sensitivity=0.3)[0]["classes"]["pdac"]
    assert (pdac["threshold"], pdac["sensitivity"]["value"]) == (0.5, 0.333333)
    assert_claims_are_what_the_filter_leaves(repository, FilterParams(), "pdac")
    named = FilterParams(thresholds={"pdac": 0.2})
    values, _, notes = run(repository, named, classes=["pdac"])
    pdac = values["classes"]["pdac"]
    assert (pdac["threshold"], pdac["sensitivity"]["value"]) == (0.2, 0.666667)
    assert notes[-1] == "pdac: the threshold is that of filter.thresholds.pdac, 0.2"
    assert_claims_are_what_the_filter_leaves(repository, named, "pdac")


def test_a_rule_that_judges_at_one_threshold_alone_is_asked_at_a_list_of_them(repository: Repository) -> None:
    rule = {"rule": "fill_holes", "classes": ["pdac"]}
    filtering = FilterParams(rules=[*RULES, rule])
    values, rows, notes = run(repository, filtering, classes=["pdac"])
    pdac = values["classes"]["pdac"]
    assert 0.003 <= pdac["threshold"] <= 0.004
    assert (pdac["fit"], len(rows) <= 100) == (True, True)
    assert notes[-1].endswith("the best of the list is taken: fill_holes judges pdac at one threshold alone")
    assert_claims_are_what_the_filter_leaves(repository, filtering, "pdac")


HALF_OF_THE_GLAND = (4, slice(1, 5), slice(1, 5))
APART = (5, 6, slice(6, 9))


def add_cysts(repository: Repository, p: float, where: tuple[Any, ...]) -> None:
    """Draw a cyst in every case, and have it predicted."""
    for case in repository[0]:
        path, label = f"predictions/a/{case.case_id}.b2nd", f"data/base/labels/{case.case_id}.nii.gz"
        labels = read_label(label)
        labels[where] = 3
        write(label, labels, GRID)
        cyst = np.where(labels == 3, np.float32(p), 0)
        soft = open_soft(path)
        predicted = [("pancreas", soft.read("pancreas")), ("pdac", soft.read("pdac")), ("cyst", cyst)]
        write_soft(path, predicted, ["pancreas", "pdac", "cyst"], GRID, "a", case.sha256)


@pytest.mark.parametrize(
    ("sensitivity", "threshold", "hits"),
    [(0.5, 0.4, 5), (0.8, 0.3, 6), (0.99, 0.003, 7)],
)
def test_one_threshold_for_lesions_of_all_classes(
    repository: Repository, sensitivity: float, threshold: float, hits: int
) -> None:
    """Four cysts at 0.4, PDACs at 0.9, 0.3 and 0.004: seven lesions, of which faint PDACs need not be found."""
    add_cysts(repository, 0.4, APART)
    filtering = FilterParams(rules=[{"rule": "minimum_volume", "classes": ["pdac", "cyst"], "ml": 0.002}])
    values, rows, _ = run(repository, filtering, classes=["pdac", "cyst"], together=True, sensitivity=sensitivity)
    found = values["classes"]["any"]
    assert (list(values["classes"]), found["lesions"]) == (["any"], 7)
    assert found["threshold"] == pytest.approx(threshold, rel=0.5 if hits == 7 else 1e-2)
    assert found["sensitivity"]["value"] == pytest.approx(hits / 7, abs=1e-4)
    assert {r["class_name"] for r in rows} == {"any"}
    assert thresholds_of(SCHEMA, filtering, read_calibration().thresholds) == {
        "pancreas": 0.5,
        "pdac": found["threshold"],
        "cyst": found["threshold"],
    }
    assert_claims_are_what_the_filter_leaves(repository, filtering, "any")


def test_together_counts_a_lesion_that_another_class_finds(repository: Repository) -> None:
    """The PDACs are predicted as cysts: together they are found, apart they are not."""
    for case in repository[0]:
        path = f"predictions/a/{case.case_id}.b2nd"
        soft = open_soft(path)
        predicted = [("pancreas", soft.read("pancreas")), ("pdac", soft.read("pdac") * 0), ("cyst", soft.read("pdac"))]
        for model in "ab":
            write_soft(
                path.replace("/a/", f"/{model}/"), predicted, ["pancreas", "pdac", "cyst"], GRID, model, case.sha256
            )
    apart = run(repository, classes=["pdac", "cyst"])[0]["classes"]
    together = run(repository, classes=["pdac", "cyst"], together=True)[0]["classes"]
    assert (list(apart), together["any"]["sensitivity"]["value"]) == ([], 1.0)


@pytest.mark.parametrize(
    ("filtering", "classes", "said"),
    [
        ({}, ["pdac"], "calibrate.together is about all lesion classes, and calibrate.classes lacks cyst"),
        ({"thresholds": {"cyst": 0.2}}, ["pdac", "cyst"], "filter.thresholds has cyst"),
        ({}, ["pdac", "cyst", "pancreas"], "pancreas is not a lesion class"),
    ],
)
def test_together_is_about_all_lesion_classes(
    repository: Repository, filtering: dict[str, Any], classes: list[str], said: str
) -> None:
    with pytest.raises(Misuse, match=said):
        run(repository, FilterParams(**filtering), classes=classes, together=True)


def test_together_asks_cases_in_which_people_stand_behind_all_lesion_classes(repository: Repository) -> None:
    add_cysts(repository, 0.4, APART)
    cases, ledger = repository
    entry = ledger["case-2", "cyst"]
    ledger["case-2", "cyst"] = Entry(**{**vars(entry), "origin": Origin.PREDICTED})
    assert run((cases, ledger), classes=["pdac", "cyst"], together=True)[0]["classes"]["any"]["cases"] == 3


def test_claims_of_two_lesion_classes_are_those_of_their_thresholds_together(repository: Repository) -> None:
    """A cyst over half of the gland leaves less of it to compare a PDAC with, once its threshold is low."""
    add_cysts(repository, 0.02, HALF_OF_THE_GLAND)
    rules = [{"rule": "volume_ratio", "classes": ["pdac", "cyst"], "percent": {"pdac": 15, "cyst": 50}}]
    filtering = FilterParams(rules=rules)
    values, rows, notes = run(repository, filtering, classes=["pdac", "cyst"], sensitivity=0.6)
    pdac, cyst = values["classes"]["pdac"], values["classes"]["cyst"]
    assert (cyst["threshold"], cyst["fit"]) == (pytest.approx(0.02, rel=0.05), True)
    assert (pdac["threshold"], pdac["fit"]) == (pytest.approx(0.3, rel=1e-2), False)
    assert max(float(r["sensitivity"]) for r in rows if r["class_name"] == "pdac") == 1.0
    assert "pdac: with the calibrated thresholds of all classes the rules leave 0.0% of the lesions" in " ".join(notes)
    assert notes[-1].endswith("volume_ratio of pdac looks at cyst")
    assert_claims_are_what_the_filter_leaves(repository, filtering, "pdac", "cyst")
