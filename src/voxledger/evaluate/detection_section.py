"""The filter's section of the report: what each rule did, what it cost, and where it did harm."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any, Protocol

from voxledger.casemap.job import Job, content
from voxledger.casemap.once import once
from voxledger.evaluate.calibration_section import calibration_section
from voxledger.evaluate.charts import COLORS, GREY, svg
from voxledger.evaluate.detection import (
    RATES,
    Harm,
    Missed,
    Rates,
    detection_rates,
    from_size,
    harm,
    missed_by_size,
)
from voxledger.html import image, table
from voxledger.imaging.detection import ANY, Advice, Step
from voxledger.records.calibration import Calibration
from voxledger.statistics import Rate
from voxledger.textfile import replace_text

TITLES = {
    "sensitivity": "Sensitivity",
    "ppv": "PPV",
    "f1": "F1",
    "false_positives_per_scan": "False regions per scan",
    "patient_sensitivity": "Patient sensitivity",
    "patient_specificity": "Patient specificity",
    "patient_ppv": "Patient PPV",
    "patient_f1": "Patient F1",
}


class RuleTally(Protocol):
    """What one rule did to one class over all cases, labelled or not."""

    @property
    def rule(self) -> str: ...
    @property
    def class_name(self) -> str: ...
    @property
    def cases(self) -> int: ...
    @property
    def components(self) -> int: ...
    @property
    def changed(self) -> int: ...
    @property
    def changed_ml(self) -> float: ...


SAMPLES, SEED = 1000, 0
"""Resamples of the patients for the intervals, and the seed that draws them."""


def write_detection(
    steps: Sequence[Step],
    advice: Sequence[Advice],
    tallies: Sequence[RuleTally],
    patients: Mapping[str, str],
    calibration: Calibration,
    section: Path,
    metrics: Path,
) -> None:
    """Write the section (HTML) and the metrics (JSON) of one round's filter; patients by case id."""
    rates = detection_rates(steps, patients, SAMPLES, SEED)
    told = detection_section(rates, missed_by_size(steps), harm(steps), advice, tallies, calibration.overlap)
    claimed = detection_rates(from_size(steps, calibration.from_mm), patients, SAMPLES, SEED)
    replace_text(section, calibration_section(calibration, claimed) + told)
    replace_text(metrics, json.dumps(detection_metrics(rates), indent=2) + "\n")


def detection_metrics(rates: Sequence[Rates]) -> dict[str, Any]:
    """Split → class → rates, before the first rule and after the last."""
    tree: dict[str, Any] = {}
    for before, after in _ends(rates):
        node = tree.setdefault(after.split, {}).setdefault(after.class_name, {})
        node |= {"cases": after.cases, "lesions": after.lesions}
        for when, found in (("before", before), ("after", after)):
            node[when] = {name: getattr(found, name).to_json() for name in RATES}
    return tree


def detection_section(
    rates: Sequence[Rates],
    missed: Sequence[Missed],
    harms: Sequence[Harm],
    advice: Sequence[Advice],
    tallies: Sequence[RuleTally],
    overlap: float,
) -> str:
    """HTML fragment, complete in itself; its bytes repeat."""
    text = ["<h2>Filter</h2>"]
    if tallies:
        text.append("<h3>What each rule did</h3>")
        rows = [
            [t.rule, t.class_name, str(t.cases), str(t.components), str(t.changed), f"{t.changed_ml:.2f}"]
            for t in tallies
        ]
        text.append(table(["Rule", "Class", "Cases", "Components", "Changed", "Changed, ml"], rows))
    else:
        text.append('<p class="note">No rule looked at anything: there are no predictions, or no rules.</p>')
    if not rates:
        text.append('<p class="note">No case has a trusted lesion label, so nothing can be said about detection.</p>')
        return "\n".join(text) + "\n"
    text.append(
        f'<p class="note">{_hit(overlap)} 95 % percentile intervals from a bootstrap over patients. Models may have '
        "been trained on pool cases.</p>"
    )
    for split in sorted({r.split for r in rates}):
        of_split = [r for r in rates if r.split == split]
        text.append(f"<h3>Detection, {escape(split)} cases, after the last rule</h3>")
        header = ["Class", "Cases", "Ill", "Lesions", *TITLES.values()]
        rows = [
            [_name(r), str(r.cases), str(r.ill), str(r.lesions), *(_rate(getattr(r, name)) for name in RATES)]
            for _, r in _ends(of_split)
        ]
        text.append(table(header, rows))
        text += [f"<p>{escape(_account(of_split, name))}</p>" for name in dict.fromkeys(r.class_name for r in of_split)]
        text.append("<h3>Before and after each rule</h3>")
        drawn = once(Waterfall(name=split, rates=tuple(of_split)))
        text.append(image(drawn.encode(), "sensitivity and false regions per scan after each rule", "svg+xml"))
        shown = ("sensitivity", "ppv", "f1", "false_positives_per_scan", "patient_specificity")
        rows = [[_name(r), r.rule, *(_rate(getattr(r, name)) for name in shown)] for r in of_split]
        text.append(table(["Class", "After", *(TITLES[name] for name in shown)], rows))
        sizes = [m for m in missed if m.split == split]
        if sizes:
            text.append("<h3>Missed lesions by size</h3>")
            rows = [[_any(m.class_name), m.size, str(m.lesions), str(m.missed)] for m in sizes]
            text.append(table(["Class", "Diameter", "Lesions", "Missed"], rows))
    return "\n".join([*text, *_harm_done(harms, advice)]) + "\n"


def _hit(overlap: float) -> str:
    """What counts as found, and what as a false region."""
    if overlap == 0:
        return "Any shared voxel is a hit; a predicted component that shares none with a lesion is a false region."
    return (
        f"A lesion is found where {overlap:.0%} of it are predicted, by components of at most {1 / overlap:g} times "
        f"its size; a component of which less than {overlap:.0%} is lesion is a false region."
    )


def _harm_done(harms: Sequence[Harm], advice: Sequence[Advice]) -> list[str]:
    """What rules took from true lesions."""
    text = ["<h3>Where the rules did harm</h3>"]
    flagged = [h for h in harms if h.lesions and h.split == "calibration"]
    for h in flagged:
        text.append(
            f"<p><strong>{escape(h.rule)} removed {h.lesions} true {escape(h.class_name)} of calibration case "
            f"{escape(h.case_id)}.</strong></p>"
        )
    text += _advised(advice)
    if not harms:
        return [*text, "<p>No rule removed a voxel of a true lesion.</p>"]
    rows = [[h.rule, h.class_name, h.split, h.case_id, str(h.voxels), str(h.lesions)] for h in harms]
    return [*text, table(["Rule", "Class", "Split", "Case", "True voxels removed", "True lesions removed"], rows)]


def _advised(advice: Sequence[Advice]) -> list[str]:
    """What rules took of true lesions of calibration cases, one by one, and what would have kept it."""
    if not advice:
        return []
    rows = [
        [one.rule, one.class_name, one.case_id, str(one.component), f"{one.ml:.3f}", f"{one.measured:g}", one.bound]
        for a in advice
        for one in a.taken
    ]
    kept = [
        f"<li>{escape(a.rule)} of {escape(a.class_name)}: "
        + (f"<code>{escape(a.keeps)}</code>" if a.keeps else "no bound of this rule")
        + f" would have kept {'it' if len(a.taken) == 1 else f'all {len(a.taken)}'}</li>"
        for a in advice
    ]
    return [
        table(["Rule", "Class", "Calibration case", "Component", "ml", "Measured", "Bound"], rows),
        f"<ul>{''.join(kept)}</ul>",
        '<p class="note">A bound that keeps every true lesion lets false ones through as well: see what the rule does '
        "to both above, and <code>voxledger filter fit</code>.</p>",
    ]


class Waterfall(Job[str]):
    """The chart of one split, remembered: most changes of a round leave it as it is, and drawing takes a second."""

    stage, algorithms = "charts", ("charts",)
    rates: tuple[Rates, ...] = content(by=repr)
    """Some are not numbers, which have no JSON."""

    def compute(self, folder: Path) -> str:
        return waterfall(self.rates).decode()


def waterfall(rates: Sequence[Rates]) -> bytes:
    """False regions per scan (bars) and lesion sensitivity (line) after each step, of one split, as SVG."""
    names = list(dict.fromkeys(r.class_name for r in rates))
    steps = sorted({(r.step, r.rule) for r in rates})

    def draw(axes: Any) -> None:
        right = axes.twinx()
        for i, name in enumerate(names):
            of_class = sorted((r for r in rates if r.class_name == name), key=lambda r: r.step)
            color = GREY if name == ANY else COLORS[i % len(COLORS)]
            width = 0.8 / len(names)
            x = [r.step + width * (i - (len(names) - 1) / 2) for r in of_class]
            heights = [r.false_positives_per_scan.value for r in of_class]
            axes.bar(x, heights, width, color=color, alpha=0.55, label=_any(name))
            right.plot(
                [r.step for r in of_class],
                [100 * r.sensitivity.value for r in of_class],
                color=color,
                marker="o",
                ms=3.5,
                lw=1.4,
            )
        axes.set_xticks([s for s, _ in steps], [rule.replace("_", "\n") for _, rule in steps])
        axes.set_ylabel("false regions per scan (bars)")
        axes.margins(y=0.15)
        right.set_ylabel("lesion sensitivity in % (lines)")
        right.set_ylim(0, 105)
        right.grid(visible=False)
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=len(names))

    return svg(draw, (9.4, 3.2))


def _account(rates: Sequence[Rates], name: str) -> str:
    """Where the lesions of a class went: what the models missed, and what each rule took."""
    of_class = sorted((r for r in rates if r.class_name == name), key=lambda r: r.step)
    found = [0 if math.isnan(r.sensitivity.value) else round(r.sensitivity.value * r.lesions) for r in of_class]
    last = of_class[-1]
    text = f"{_any(name)}: {found[-1]} of {last.lesions} lesions found"
    parts = [f"{last.lesions - found[0]} below the threshold of the models"] if last.lesions > found[0] else []
    for (_, before), (after, hits) in pairwise(zip(of_class, found, strict=True)):
        if hits < before:
            parts.append(f"{before - hits} removed by {after.rule}")
    text += f" ({', '.join(parts)})" if parts else ""
    first = of_class[0].false_positives_per_scan.value
    return f"{text}; {last.false_positives_per_scan.value:.2f} false regions per scan, {first:.2f} before the rules."


def _ends(rates: Sequence[Rates]) -> list[tuple[Rates, Rates]]:
    groups: dict[tuple[str, str], list[Rates]] = {}
    for r in rates:
        groups.setdefault((r.split, r.class_name), []).append(r)
    return [(min(g, key=lambda r: r.step), max(g, key=lambda r: r.step)) for g in groups.values()]


def _any(name: str) -> str:
    return "any lesion" if name == ANY else name


def _name(r: Rates) -> str:
    return _any(r.class_name)


def _rate(rate: Rate) -> str:
    if math.isnan(rate.value):
        return "–"
    return f"{rate.value:.2f} ({rate.low:.2f}–{rate.high:.2f})"
