"""The calibrate stage on a small repository."""

from __future__ import annotations

import csv
import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memo_keys import keys_of

from voxledger import layout
from voxledger.algorithms import VERSIONS
from voxledger.calibrate import run as stage
from voxledger.calibrate.run import PLOT_COLUMNS, calibrate_round
from voxledger.errors import Misuse
from voxledger.imaging.soft import write_soft
from voxledger.imaging.volume import Grid, write
from voxledger.params import CalibrateParams, MachineParams
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
PEAKS = [0.9, 0.3, 0.004, None]
"""Probability of the one lesion of each case; the last case has none."""


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> tuple[list[Case], Ledger]:
    monkeypatch.chdir(tmp_path)
    cases, ledger = [], {}
    for number, peak in enumerate([*PEAKS, 0.9]):
        case_id = f"case-{number}"
        split = Split.CALIBRATION if number < len(PEAKS) else Split.POOL
        cases.append(Case(case_id, f"{case_id}.nii.gz", "", "", "", "", split, "CT", ""))
        labels, p = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.float32)
        labels[1:5, 1:5, 1:5] = 1
        p[0, 7, 9] = 0.05  # a false alarm in every case
        if peak is not None:
            labels[2:4, 2:4, 2:4] = 2
            p[2:4, 2:4, 2:4] = peak
        write(f"data/base/labels/{case_id}.nii.gz", labels, GRID)
        for model, share in (("a", 0.5), ("b", 1.5)):
            values = np.where(p > 0.05, p * share, p) if peak != 0.9 else p
            write_soft(f"predictions/{model}/{case_id}.b2nd", [("pdac", values)], ["pdac"], GRID, model, "")
        for name in ("pdac", "cyst"):
            entry = Entry(case_id, name, 0, Origin.SOURCE, (), "", "", "", "", 0.0)
            ledger[case_id, name] = entry
    return cases, ledger


def run(repository: tuple[list[Case], Ledger], **params: Any) -> tuple[dict[str, Any], list[dict[str, str]], list[str]]:
    out, plot = layout.CALIBRATION, layout.FROC_PLOT
    notes = calibrate_round(
        repository[0],
        Path("predictions"),
        repository[1],
        SCHEMA,
        CalibrateParams(**params),
        MachineParams(workers=1),
    )
    with open(plot, encoding="utf-8", newline="") as stream:
        rows = csv.DictReader(stream)
        assert rows.fieldnames == PLOT_COLUMNS
        return json.loads(out.read_text()), list(rows), notes


def test_threshold_keeps_every_lesion(repository: tuple[list[Case], Ledger]) -> None:
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


def test_lower_sensitivity_costs_less(repository: tuple[list[Case], Ledger]) -> None:
    pdac = run(repository, classes=["pdac"], sensitivity=0.6)[0]["classes"]["pdac"]
    assert pdac["threshold"] == pytest.approx(0.3, rel=1e-2)
    assert (pdac["false_positives_per_scan"]["value"], pdac["patient_specificity"]["value"]) == (0.0, 1.0)


def test_untrusted_cases_are_left_out(repository: tuple[list[Case], Ledger]) -> None:
    cases, ledger = repository
    entry = ledger["case-2", "pdac"]
    ledger["case-2", "pdac"] = Entry(**{**vars(entry), "origin": Origin.PREDICTED})
    pdac = run((cases, ledger), classes=["pdac"])[0]["classes"]["pdac"]
    assert (pdac["cases"], pdac["threshold"]) == (3, pytest.approx(0.3, rel=1e-2))


def test_nothing_asked(repository: tuple[list[Case], Ledger]) -> None:
    values, rows, notes = run(repository)
    assert (values["classes"], rows, notes) == ({}, [], [])


def test_no_lesion_and_no_calibration_case(repository: tuple[list[Case], Ledger]) -> None:
    values, rows, notes = run(repository, classes=["cyst"])
    assert (values["classes"], rows) == ({}, [])
    assert notes == ["cyst: no trusted lesion in 0 calibration cases whose models know it"]
    assert run(([], {}), classes=["pdac"])[2] == ["pdac: no trusted lesion in 0 calibration cases whose models know it"]


def test_organs_are_not_calibrated(repository: tuple[list[Case], Ledger]) -> None:
    with pytest.raises(Misuse, match="pancreas is not a lesion class"):
        run(repository, classes=["pancreas"])


def test_a_case_whose_models_do_not_know_the_class_says_nothing_about_its_threshold(
    repository: tuple[list[Case], Ledger],
) -> None:
    """Its lesions would count as missed at any threshold."""
    for model in ("a", "b"):
        zeros = np.zeros(SHAPE, np.float32)
        write_soft(f"predictions/{model}/case-2.b2nd", [("pancreas", zeros)], ["pancreas"], GRID, model, "")
    pdac = run(repository, classes=["pdac"])[0]["classes"]["pdac"]
    assert (pdac["cases"], pdac["threshold"]) == (3, pytest.approx(0.3, rel=1e-2))


def test_curves_are_remembered_by_all_that_they_depend_on(
    repository: tuple[list[Case], Ledger], monkeypatch: pytest.MonkeyPatch
) -> None:
    """What only reads the curves (the wanted sensitivity, the bootstrap) computes none of them anew."""

    def key(cases: tuple[list[Case], Ledger] = repository, **params: Any) -> str:
        return keys_of(stage, lambda: run(cases, **{"classes": ["pdac"], **params}))["case-0"]

    first = key()
    assert key(sensitivity=0.5, bootstrap=200, seed=3) == first
    without_cyst = {k: e for k, e in repository[1].items() if k[1] != "cyst"}
    assert key((repository[0], without_cyst)) == first
    changed = [key(overlap=0.1), key(connectivity=6), key(classes=["pdac", "cyst"]), key(classes=["cyst"])]
    classes = SCHEMA.classes
    monkeypatch.setattr(f"{__name__}.SCHEMA", SCHEMA.model_copy(update={"classes": classes[:2]}))
    changed.append(key())
    write("data/base/labels/case-0.nii.gz", np.zeros(SHAPE, np.uint8), GRID)
    changed.append(key())
    Path("predictions/b/case-0.b2nd").unlink()
    changed.append(key())
    monkeypatch.setitem(VERSIONS, "calibrate", -1)
    changed.append(key())
    assert len({first, *changed}) == 1 + len(changed)
