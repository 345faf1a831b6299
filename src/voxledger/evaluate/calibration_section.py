"""The calibration's section of the report: what it claims, what is found elsewhere, where models are not fit."""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape

from voxledger.evaluate.detection import Rates
from voxledger.html import table
from voxledger.records.calibration import Calibration, Interval
from voxledger.records.cases import Split
from voxledger.statistics import Rate


def calibration_section(calibration: Calibration, rates: Sequence[Rates]) -> str:
    """HTML fragment; empty where nothing was to be calibrated.

    Parameters
    ----------
    rates
        What the filter found of lesions of the size that is calibrated for, by split, class and step; the last step of
        the test cases is set beside the claim.
    """
    if not calibration.classes and not calibration.notes:
        return ""
    text = ["<h2>Calibration</h2>"]
    if calibration.classes:
        found = {r.class_name: r for r in sorted(rates, key=lambda r: r.step) if r.split == Split.TEST}
        rows = [
            [
                name,
                f"{c.threshold:.4g}",
                str(c.lesions),
                _claimed(c.sensitivity),
                _found(found[name].sensitivity) if name in found else "–",
                _claimed(c.false_positives_per_scan),
                _found(found[name].false_positives_per_scan) if name in found else "–",
                "yes" if c.fit else "no",
            ]
            for name, c in calibration.classes.items()
        ]
        header = ["Class", "Threshold", "Calibration lesions", "Sensitivity claimed", "Found in test cases"]
        header += ["False regions per scan claimed", "Found in test cases", "Fit"]
        text.append(table(header, rows))
        size = f" from {calibration.from_mm:g} mm" if calibration.from_mm else ""
        text.append(
            f'<p class="note">Wanted: {calibration.wanted_sensitivity:.1%} of the lesions{size}, after all rules, with '
            f"no threshold below {calibration.floor:g}. Claims are what the filter leaves in calibration cases, which "
            "the threshold was chosen on. 95 % intervals over patients.</p>"
        )
    for name, notes in calibration.notes.items():
        text += [f"<p><strong>{escape(name)}</strong>: {escape(note)}</p>" for note in notes]
    return "\n".join(text) + "\n"


def _claimed(rate: Interval) -> str:
    return "–" if rate.value is None else f"{rate.value:.2f} ({_bound(rate.low)}–{_bound(rate.high)})"


def _bound(value: float | None) -> str:
    return "?" if value is None else f"{value:.2f}"


def _found(rate: Rate) -> str:
    return "–" if math.isnan(rate.value) else f"{rate.value:.2f} ({rate.low:.2f}–{rate.high:.2f})"
