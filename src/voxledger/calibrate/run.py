"""The calibrate stage: a threshold a lesion class from the calibration split, and the curve it was taken from."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxledger import layout
from voxledger.calibrate.operating_point import (
    OperatingPoint,
    highest_threshold,
    lesion_count,
    lesions_needed,
    operating_points,
    plotted_thresholds,
    provable,
)
from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.errors import Misuse
from voxledger.imaging.froc import CaseCurve, case_curve
from voxledger.knowledge import trusted
from voxledger.params import CalibrateParams, MachineParams
from voxledger.records.cases import Case, Split, in_split
from voxledger.records.ledger import Ledger
from voxledger.schema import LabelSchema
from voxledger.statistics import Resamples, resamples
from voxledger.textfile import replace_text, write_table

PLOTTED = 100
"""Points of the curve in `froc.csv`: at most so many where a lesion is gained, and as many between."""
RATES = ("sensitivity", "false_positives_per_scan", "patient_sensitivity", "patient_specificity")
PLOT_COLUMNS = ["class_name", "threshold", *(f"{r}{end}" for r in RATES for end in ("", "_low", "_high"))]


@dataclass(frozen=True)
class ClassCalibration:
    """The calibration of one class: the point chosen, or the reason why there is none."""

    name: str
    curves: list[CaseCurve]
    draws: Resamples
    """Of the patients of the curves."""
    point: OperatingPoint | None
    notes: list[str]


def calibrate_class(
    name: str, curves: list[CaseCurve], patients: list[str], params: CalibrateParams
) -> ClassCalibration:
    """Choose the threshold of one class from the curves of all calibration cases, and the patient of each."""
    lesions = lesion_count(curves)
    draws = resamples(patients, params.bootstrap, params.seed)
    if lesions == 0:
        return ClassCalibration(
            name, curves, draws, None, [f"no trusted lesion in {len(curves)} calibration cases whose models know it"]
        )
    chosen = highest_threshold(curves, params.sensitivity)
    if chosen is None:
        return ClassCalibration(name, curves, draws, None, [f"no model finds any of the {lesions} calibration lesions"])
    threshold, reached = chosen
    point = operating_points(curves, [threshold], draws)[0]
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
    return ClassCalibration(name, curves, draws, point, notes)


def calibrate_round(
    cases: Sequence[Case],
    predictions: Path,
    ledger: Ledger,
    schema: LabelSchema,
    params: CalibrateParams,
    machine: MachineParams,
) -> list[str]:
    """Write the thresholds of the round and the plot of the curves; returns what a person should know.

    Parameters
    ----------
    cases
        The case table; those of the calibration split with predictions and a trusted label are used, class by
        class if a model of the case knows it.
    predictions
        Folder with one folder a model, `<model>/<case>.b2nd`.
    ledger
        That of the base labels: which of them people stand behind.

    Raises
    ------
    Misuse
        A class to calibrate is none of lesions.
    """
    schema.require(params.classes, "calibrate.classes")
    for name in params.classes:
        if not schema[name].lesion:
            raise Misuse(
                f"calibrate.classes: {name} is not a lesion class", f"mark it `lesion: true` or leave {name} out"
            )
    jobs, patients = [], []
    for case in in_split(cases, Split.CALIBRATION):
        known = [name for name in params.classes if trusted(ledger, case.case_id, name)]
        label = layout.label_map(layout.BASE_LABELS, case.case_id)
        files = sorted(predictions.glob(f"*/{case.case_id}.b2nd"))
        if not known or not files or not label.is_file():
            continue
        job = Curves(
            name=case.case_id,
            label=label,
            predictions=tuple(files),
            schema=schema,
            classes=tuple(known),
            overlap=params.overlap,
            connectivity=params.connectivity,
        )
        jobs.append(job)
        patients.append(case.patient)
    found = casemap(jobs, layout.ROUND, machine)
    calibrated = []
    for name in params.classes:
        curves = [curve_of(counts[name]) for counts in found if name in counts]
        of = [patient for patient, counts in zip(patients, found, strict=True) if name in counts]
        calibrated.append(calibrate_class(name, curves, of, params))
    _write_json(layout.CALIBRATION, calibrated, params)
    _write_plot(layout.FROC_PLOT, calibrated, params)
    return [f"{c.name}: {note}" for c in calibrated for note in c.notes]


@dataclass(frozen=True)
class Counts:
    """A `CaseCurve` as numbers without arrays."""

    values: list[float]
    components: list[int]
    true_components: list[int]
    hits: list[int]
    lesions: int


class Curves(Job[dict[str, Counts]]):
    """The curves of one case, by lesion class; classes that no model of the case knows have none."""

    stage, algorithms = "calibrate", ("calibrate",)
    label: Path = content()
    predictions: tuple[Path, ...] = content()
    schema: LabelSchema = content()
    classes: tuple[str, ...] = content()
    overlap: float = content()
    connectivity: int = content()

    def compute(self, folder: Path) -> dict[str, Counts]:
        from voxledger.imaging.detection import label_lesions
        from voxledger.imaging.soft import ensemble_box, ensemble_mean, open_soft
        from voxledger.imaging.volume import read_label

        predictions = [open_soft(path) for path in self.predictions]
        labels = read_label(self.label, predictions[0].grid)
        found = {}
        for name in self.classes:
            if not any(name in p.classes for p in predictions):
                continue
            lesions, voxels = label_lesions(self.schema.mask(labels, name), self.connectivity)
            box = ensemble_box(predictions, name) or (slice(0, 1), slice(0, 1), slice(0, 1))
            mean = ensemble_mean(predictions, name, box)
            found[name] = _counts(case_curve(mean, lesions[box], voxels, self.overlap, self.connectivity))
        return found


def _counts(curve: CaseCurve) -> Counts:
    return Counts(
        curve.values.astype(float).tolist(),
        curve.components.tolist(),
        curve.true_components.tolist(),
        curve.hits.tolist(),
        curve.lesions,
    )


def curve_of(counts: Counts) -> CaseCurve:
    """The curve that numbers stand for."""
    return CaseCurve(
        np.array(counts.values, np.float32),
        np.array(counts.components, np.int64),
        np.array(counts.true_components, np.int64),
        np.array(counts.hits, np.int64),
        counts.lesions,
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
        for point in operating_points(c.curves, thresholds, c.draws):
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
