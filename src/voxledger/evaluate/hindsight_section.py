"""The section of the round's report on whether attention was right."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from voxledger.html import table

PUBLISHED = (0.78, 0.83)
"""Sensitivity and precision of the attention in AbdomenAtlas-8K."""
_HEAD = (
    *("Class", "Criterion", "Errors", "Sensitivity", "Large errors", "Sensitivity, large", "Regions", "Precision"),
    *("Sensitivity by voxel", "Precision by voxel"),
)


def hindsight_section(metrics: Mapping[str, Any]) -> str:
    """HTML of whether the attention was right, what kinds of errors there were, and what the audit found."""
    attention, visible = metrics["attention"], metrics["visible"]
    text = [
        "<h2>Was the attention right?</h2>",
        f"<p>{attention['cases']} reviewed cases. Sensitivity: errors that attention touches; precision: regions of "
        f"attention that touch an error. AbdomenAtlas-8K reports {PUBLISHED[0]} and {PUBLISHED[1]}, of errors that "
        "people saw. Large errors have at least 125 voxels, a cube of 5.</p>",
        "<h3>Visible errors</h3>",
        f"<p>What was changed farther than {visible['tolerance_mm']:g} mm from what was there before: a voxel more or "
        "less of a boundary is no error.</p>",
        _reading(visible),
        "<h3>Any voxel</h3>",
        "<p>Every voxel that was changed is part of an error.</p>",
        _reading(attention),
    ]
    kinds = sorted({kind for found in metrics["errors_by_round"].values() for kind in found})
    if kinds:
        groups = [
            ("all", metrics["errors"]),
            *metrics["errors_by_class"].items(),
            *((f"source {n}", k) for n, k in metrics["errors_by_source"].items()),
            *((f"made by {n}", k) for n, k in metrics["errors_by_model"].items()),
            *((f"round {n}", k) for n, k in metrics["errors_by_round"].items()),
        ]
        text.append("<h3>Kinds of errors</h3>")
        text.append(table(["", *kinds], [[name, *(str(found.get(k, 0)) for k in kinds)] for name, found in groups]))
    audit = metrics["audit"]
    if audit["cases"]:
        text.append(
            f"<p>Audit: {audit['with_errors']} of {audit['cases']} cases that nobody was going to look at needed "
            f"revision; between {100 * audit['low']:.1f} and {100 * audit['high']:.1f} % of all such cases do "
            "(Clopper-Pearson, 95 %).</p>"
        )
        pooled = audit["pooled"]
        if pooled["rounds"] > 1:
            text.append(
                f"<p>Audits of {pooled['rounds']} rounds since round {pooled['since_round']}: {pooled['with_errors']} "
                f"of {pooled['cases']} cases; at most {100 * pooled['high']:.1f} % of today's, assuming that the share "
                "has not risen since.</p>"
            )
    return "\n".join(text) + "\n"


def _reading(found: Mapping[str, Any]) -> str:
    no_criterion = ("cases", "classes", "tolerance_mm")
    rows = [_metric_row("all classes", name, found[name]) for name in found if name not in no_criterion]
    rows += [_metric_row(name, "any", criteria["any"]) for name, criteria in found["classes"].items()]
    return table(_HEAD, rows)


def _metric_row(group: str, criterion: str, found: Mapping[str, Any]) -> list[str]:
    return [
        group,
        criterion,
        str(found["errors"]),
        _number(found["sensitivity"]),
        str(found["large_errors"]),
        _number(found["sensitivity_large"]),
        str(found["regions"]),
        _number(found["precision"]),
        _number(found["voxel_sensitivity"]),
        _number(found["voxel_precision"]),
    ]


def _number(value: float | None) -> str:
    return "–" if value is None else f"{value:.2f}"
