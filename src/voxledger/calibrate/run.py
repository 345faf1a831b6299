"""The calibrate stage: a threshold a lesion class from the calibration split, and the curve it was taken from."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from voxledger import layout
from voxledger.calibrate.operating_point import (
    OperatingPoint,
    highest_threshold,
    hits_needed,
    lesion_count,
    lesions_needed,
    operating_points,
    plotted_thresholds,
    provable,
    shows,
)
from voxledger.errors import Misuse
from voxledger.imaging.detection import apart_or_together
from voxledger.imaging.froc import CaseCurve, CaseCurves
from voxledger.params import CalibrateParams, FilterParams, Params
from voxledger.records.calibration import CalibratedClass, Calibration, write_calibration
from voxledger.schema import LabelSchema
from voxledger.statistics import Resamples, resamples
from voxledger.textfile import write_table

PLOTTED = 100
"""Points of the curve in `froc.csv`: at most so many where lesions are gained or lost, and as many between."""
RATES = ("sensitivity", "false_positives_per_scan", "patient_sensitivity", "patient_specificity")
PLOT_COLUMNS = ["class_name", "threshold", *(f"{r}{end}" for r in RATES for end in ("", "_low", "_high"))]


def require_lesions(schema: LabelSchema, params: Params) -> None:
    """Raise `Misuse` where what is to be calibrated is no lesion class, or has no room for a threshold."""
    names, floor = params.calibrate.classes, params.calibrate.floor
    schema.require(names, "calibrate.classes")
    if params.calibrate.together:
        _require_together(schema, params)
    for name in names:
        if not schema[name].lesion:
            raise Misuse(
                f"calibrate.classes: {name} is not a lesion class", f"mark it `lesion: true` or leave {name} out"
            )
        highest, where = _highest(name, params.filter)
        if floor > highest:
            raise Misuse(
                f"calibrate.floor is {floor:g}, above {where}, {highest:g}",
                f"lower the floor, raise the threshold, or leave {name} out of calibrate.classes",
            )


def _require_together(schema: LabelSchema, params: Params) -> None:
    missing = [name for name in schema.lesions if name not in params.calibrate.classes]
    if missing:
        raise Misuse(
            f"calibrate.together is about all lesion classes, and calibrate.classes lacks {', '.join(missing)}",
            "add what is missing, or set calibrate.together to false",
        )
    own = [name for name in schema.lesions if name in params.filter.thresholds]
    if own:
        raise Misuse(
            f"calibrate.together makes one threshold for all lesion classes, and filter.thresholds has {own[0]}",
            f"take {', '.join(own)} out of filter.thresholds, or set calibrate.together to false",
        )


def _highest(name: str, params: FilterParams) -> tuple[float, str]:
    """The threshold of a class that is not calibrated, and the parameter that has it."""
    if name in params.thresholds:
        return params.thresholds[name], f"filter.thresholds.{name}"
    return params.threshold, "filter.threshold"


@dataclass(frozen=True)
class OfClass:
    """The curves of one class over the calibration cases whose models know it."""

    curves: list[CaseCurve]
    draws: Resamples
    """Of the patients of the curves."""

    @classmethod
    def of(cls, name: str, cases: Sequence[CaseCurves], params: CalibrateParams) -> OfClass:
        those = [case for case in cases if name in case.curves]
        patients = [case.patient for case in those]
        return cls([case.curves[name] for case in those], resamples(patients, params.bootstrap, params.seed))


def choose_thresholds(cases: Sequence[CaseCurves], params: Params) -> dict[str, float]:
    """The threshold of every class that has one, or of `ANY`: the highest that keeps the wanted sensitivity.

    Between `calibrate.floor` and the threshold of the filter, which is only lowered. Where none does, the highest that
    finds as many lesions as any.
    """
    chosen = {}
    for name in apart_or_together(params.calibrate.classes, params.calibrate.together):
        curves = OfClass.of(name, cases, params.calibrate).curves
        highest, _ = _highest(name, params.filter)
        found = highest_threshold(curves, params.calibrate.sensitivity, highest, params.calibrate.floor)
        if found is not None:
            chosen[name] = found[0]
    return chosen


def write_round(
    swept: Sequence[CaseCurves], chosen: Mapping[str, float], found: Sequence[CaseCurves], params: Params
) -> list[str]:
    """Write the thresholds of the round and the plot of the curves; returns what a person should know.

    Parameters
    ----------
    swept
        The curves of the calibration cases.
    chosen
        From these, by `choose_thresholds`.
    found
        What the filter leaves at the chosen thresholds of all classes, which is what is claimed.
    """
    classes, notes = {}, {}
    settings = params.calibrate
    names = apart_or_together(settings.classes, settings.together)
    of_class = {name: OfClass.of(name, swept, settings) for name in names}
    for name, on_curve in of_class.items():
        calibrated = None
        said = [*_why_tried(on_curve.curves)]
        if name in chosen:
            at = params.filter.thresholds.get(name, chosen[name])
            calibrated = calibrated_class(at, OfClass.of(name, found, params.calibrate), params.calibrate)
            classes[name] = calibrated
            said += _of_other_thresholds(name, on_curve, chosen[name], calibrated, params.filter)
        said = [*_of_lesions(lesion_count(on_curve.curves), len(on_curve.curves), calibrated, params.calibrate), *said]
        if said:
            notes[name] = said
    write_calibration(
        layout.CALIBRATION,
        Calibration(
            wanted_sensitivity=settings.sensitivity,
            floor=settings.floor,
            overlap=settings.overlap,
            from_mm=settings.from_mm,
            classes=classes,
            notes=notes,
        ),
    )
    _write_plot(of_class)
    return [f"{name}: {note}" for name, said in notes.items() for note in said]


def calibrated_class(threshold: float, found: OfClass, params: CalibrateParams) -> CalibratedClass:
    """What is claimed of a threshold, from what the filter leaves there."""
    (point,) = operating_points(found.curves, [threshold], found.draws)
    lesions = lesion_count(found.curves)
    hits = round(point.sensitivity.value * lesions) if lesions else 0
    return CalibratedClass.model_validate(
        {
            "threshold": threshold,
            "fit": hits >= hits_needed(params.sensitivity, lesions),
            **{rate: getattr(point, rate).to_json() for rate in RATES},
            "cases": len(found.curves),
            "cases_with_lesion": sum(curve.lesions > 0 for curve in found.curves),
            "lesions": lesions,
            "lesions_needed": lesions_needed(params.sensitivity),
            "supported": shows(params.sensitivity, lesions, hits),
        }
    )


def _of_lesions(lesions: int, cases: int, found: CalibratedClass | None, params: CalibrateParams) -> list[str]:
    """Whether the models are fit for the wanted sensitivity, and whether the lesions are enough to say so."""
    if lesions == 0:
        size = f" from {params.from_mm:g} mm" if params.from_mm else ""
        return [f"no trusted lesion{size} in {cases} calibration cases whose models know it"]
    needed = lesions_needed(params.sensitivity)
    enough = "no number of lesions is enough" if needed is None else f"{needed} lesions are needed"
    notes = []
    if found is None or not found.fit:
        value = 0.0 if found is None or found.sensitivity.value is None else found.sensitivity.value
        notes.append(
            f"the models are not fit for a sensitivity of {params.sensitivity:.1%}: with a threshold of at least "
            f"{params.floor:g}, and after the rules, they find {value:.1%} of the {lesions} lesions; to claim "
            f"{params.sensitivity:.1%} {enough}, all found"
        )
    if needed is None or lesions < needed:
        notes.append(
            f"too few calibration lesions: {lesions} show a sensitivity of {provable(lesions):.1%} at best, "
            f"for {params.sensitivity:.1%} {enough} (exact binomial, 95 %, all found)"
        )
    return notes


def _why_tried(curves: Sequence[CaseCurve]) -> list[str]:
    """What to know of curves that hold at some thresholds alone."""
    tried = [curve.tried for curve in curves if curve.tried]
    if not tried:
        return []
    why = "; ".join(sorted(set(tried)))
    return [
        f"{len(tried)} of {len(curves)} cases were filtered at each of a list of thresholds, which is slow, and the "
        f"best of the list is taken: {why}"
    ]


def _of_other_thresholds(
    name: str, on_curve: OfClass, chosen: float, found: CalibratedClass, filtering: FilterParams
) -> list[str]:
    """What to know where the filter leaves something else at its thresholds than the curve says."""
    if name in filtering.thresholds:
        return [f"the threshold is that of filter.thresholds.{name}, {filtering.thresholds[name]:g}"]
    (point,) = operating_points(on_curve.curves, [chosen], on_curve.draws)
    said, left = point.sensitivity.to_json()["value"], found.sensitivity.value
    if said == left:
        return []
    return [
        f"with the calibrated thresholds of all classes the rules leave {left or 0:.1%} of the lesions, and "
        f"{said or 0:.1%} where the other lesion classes are at those of the filter"
    ]


def _write_plot(of_class: Mapping[str, OfClass]) -> None:
    rows = []
    for name, found in of_class.items():
        thresholds = plotted_thresholds(found.curves, PLOTTED) if lesion_count(found.curves) else []
        points: list[OperatingPoint] = operating_points(found.curves, thresholds, found.draws)
        for point in points:
            row = {"class_name": name, "threshold": f"{point.threshold:.6g}"}
            for rate in RATES:
                value = getattr(point, rate)
                row |= {
                    rate: f"{value.value:.4f}",
                    f"{rate}_low": f"{value.low:.4f}",
                    f"{rate}_high": f"{value.high:.4f}",
                }
            rows.append(row)
    write_table(layout.FROC_PLOT, PLOT_COLUMNS, rows)
