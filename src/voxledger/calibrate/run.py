"""The calibrate stage: a threshold a lesion class from the calibration split, and the curve it was taken from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxledger.calibrate.froc import CaseCurve, case_curve
from voxledger.calibrate.operating_point import (
    OperatingPoint,
    highest_threshold,
    lesion_count,
    lesions_needed,
    operating_points,
    plotted_thresholds,
    provable,
)
from voxledger.casemap import Task, casemap, key_of
from voxledger.errors import Misuse
from voxledger.imaging.volume import file_sha256
from voxledger.params import CalibrateParams, MachineParams
from voxledger.records.cases import Case, Split, in_split
from voxledger.records.ledger import Ledger, trusted
from voxledger.schema import LabelSchema
from voxledger.textfile import replace_text, write_table

ALGORITHM_VERSION = 2
PLOTTED = 100
"""Points of the curve in `froc.csv`: at most so many where a lesion is gained, and as many between."""
RATES = ("sensitivity", "false_positives_per_scan", "patient_sensitivity", "patient_specificity")
PLOT_COLUMNS = ["class_name", "threshold", *(f"{r}{end}" for r in RATES for end in ("", "_low", "_high"))]


@dataclass(frozen=True)
class ClassCalibration:
    """The calibration of one class: the point chosen, or the reason why there is none."""

    name: str
    curves: list[CaseCurve]
    point: OperatingPoint | None
    notes: list[str]


def calibrate_class(name: str, curves: list[CaseCurve], params: CalibrateParams) -> ClassCalibration:
    """Choose the threshold of one class from the curves of all calibration cases."""
    lesions = lesion_count(curves)
    if lesions == 0:
        return ClassCalibration(
            name, curves, None, [f"no trusted lesion in {len(curves)} calibration cases whose models know it"]
        )
    chosen = highest_threshold(curves, params.sensitivity)
    if chosen is None:
        return ClassCalibration(name, curves, None, [f"no model finds any of the {lesions} calibration lesions"])
    threshold, reached = chosen
    point = operating_points(curves, [threshold], params.bootstrap, params.seed)[0]
    notes = []
    if not reached:
        notes.append(
            f"no threshold finds {params.sensitivity:.1%} of the {lesions} lesions; "
            f"the models find {point.sensitivity.value:.1%} at most"
        )
    needed = lesions_needed(params.sensitivity)
    if needed is None or lesions < needed:
        wanted = "no number of lesions is enough" if needed is None else f"{needed} lesions are needed"
        notes.append(
            f"too few calibration lesions: {lesions} show a sensitivity of {provable(lesions):.1%} at best, "
            f"for {params.sensitivity:.1%} {wanted} (exact binomial, 95 %, all found)"
        )
    return ClassCalibration(name, curves, point, notes)


def calibrate_round(
    cases: Sequence[Case],
    predictions: Path,
    labels: Path,
    ledger: Ledger,
    schema: LabelSchema,
    params: CalibrateParams,
    machine: MachineParams,
    out: Path,
    plot: Path,
) -> list[str]:
    """Write `out` (calibration.json) and `plot` (froc.csv); returns what a person should know.

    Parameters
    ----------
    cases
        The case table; those of the calibration split with predictions and a trusted label are used, class by
        class if a model of the case knows it.
    predictions, labels
        `<model>/<case>.b2nd` and `<case>.nii.gz`.
    """
    for name in params.classes:
        if not schema[name].lesion:
            raise Misuse(
                f"calibrate.classes: {name} is not a lesion class", f"mark it `lesion: true` or leave {name} out"
            )
    tasks = []
    for case in in_split(cases, Split.CALIBRATION):
        known = [name for name in params.classes if trusted(ledger, case.case_id, name)]
        label = labels / f"{case.case_id}.nii.gz"
        files = sorted(predictions.glob(f"*/{case.case_id}.b2nd"))
        if not known or not files or not label.is_file():
            continue
        shared = {
            "schema": schema.model_dump(mode="json"),
            "classes": known,
            "overlap": params.overlap,
            "connectivity": params.connectivity,
        }
        key = key_of(
            "calibrate",
            ALGORITHM_VERSION,
            label=file_sha256(label),
            predictions=[file_sha256(f) for f in files],
            **shared,
        )
        tasks.append(Task(case.case_id, key, {"label": str(label), "predictions": [str(f) for f in files], **shared}))
    found = casemap("calibrate", _case_curves, tasks, out.parent, workers=machine.worker_count, recheck=machine.recheck)
    calibrated = []
    for name in params.classes:
        curves = [_from_json(info[name]) for info in found if name in info]
        calibrated.append(calibrate_class(name, curves, params))
    _write_json(out, calibrated, params)
    _write_plot(plot, calibrated, params)
    return [f"{c.name}: {note}" for c in calibrated for note in c.notes]


def _case_curves(payload: dict[str, Any], folder: Path) -> dict[str, Any]:
    from voxledger.imaging.detection import label_lesions
    from voxledger.imaging.soft import ensemble_box, ensemble_mean, open_soft
    from voxledger.imaging.volume import read_label

    predictions = [open_soft(path) for path in payload["predictions"]]
    labels = read_label(payload["label"], predictions[0].grid)
    schema = LabelSchema.model_validate(payload["schema"])
    found = {}
    for name in payload["classes"]:
        if not any(name in p.classes for p in predictions):
            continue
        lesions, voxels = label_lesions(schema.mask(labels, name), payload["connectivity"])
        box = ensemble_box(predictions, name) or (slice(0, 1), slice(0, 1), slice(0, 1))
        curve = case_curve(
            ensemble_mean(predictions, name, box), lesions[box], voxels, payload["overlap"], payload["connectivity"]
        )
        found[name] = {
            "values": curve.values.astype(float).tolist(),
            "components": curve.components.tolist(),
            "true_components": curve.true_components.tolist(),
            "hits": curve.hits.tolist(),
            "lesions": curve.lesions,
        }
    return found


def _from_json(values: dict[str, Any]) -> CaseCurve:
    return CaseCurve(
        np.array(values["values"], np.float32),
        np.array(values["components"], np.int64),
        np.array(values["true_components"], np.int64),
        np.array(values["hits"], np.int64),
        values["lesions"],
    )


def _write_json(path: Path, calibrated: Sequence[ClassCalibration], params: CalibrateParams) -> None:
    classes, notes = {}, {}
    for c in calibrated:
        if c.notes:
            notes[c.name] = c.notes
        if c.point is None:
            continue
        needed = lesions_needed(params.sensitivity)
        classes[c.name] = {
            "threshold": c.point.threshold,
            **{rate: getattr(c.point, rate).to_json() for rate in RATES},
            "cases": len(c.curves),
            "cases_with_lesion": sum(curve.lesions > 0 for curve in c.curves),
            "lesions": lesion_count(c.curves),
            "lesions_needed": needed,
            "supported": needed is not None and lesion_count(c.curves) >= needed,
        }
    values = {"wanted_sensitivity": params.sensitivity, "classes": classes, "notes": notes}
    replace_text(path, json.dumps(values, indent=2) + "\n")


def _write_plot(path: Path, calibrated: Sequence[ClassCalibration], params: CalibrateParams) -> None:
    rows = []
    for c in calibrated:
        thresholds = plotted_thresholds(c.curves, PLOTTED) if lesion_count(c.curves) else []
        for point in operating_points(c.curves, thresholds, params.bootstrap, params.seed):
            row = {"class_name": c.name, "threshold": f"{point.threshold:.6g}"}
            for rate in RATES:
                found = getattr(point, rate)
                row |= {
                    rate: f"{found.value:.4f}",
                    f"{rate}_low": f"{found.low:.4f}",
                    f"{rate}_high": f"{found.high:.4f}",
                }
            rows.append(row)
    write_table(path, PLOT_COLUMNS, rows)
