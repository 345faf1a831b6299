"""The section of the round's report on its readers: agreement where several read a case, and what took their time."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from voxledger.evaluate.cost_section import cost_section
from voxledger.evaluate.reader_charts import agreement_chart, path_chart
from voxledger.html import image, table
from voxledger.params import Params, ReviewParams

_DISPUTES = {
    "adjudicated": "Settled by the adjudicator: {}.",
    "pending": "Pending: {}; nothing of these entered the release, and their masks are as they were.",
}


def readers_section(
    metrics: Mapping[str, Any],
    points: Mapping[str, Sequence[tuple[float, float]]],
    pairs: Mapping[str, Mapping[str, float]],
    params: Params,
) -> str:
    """HTML of how far readers agree and of minutes against path length; empty where nobody read anything.

    Parameters
    ----------
    metrics
        What `voxledger.evaluate.readers` writes.
    points
        Millimetres that were drawn and minutes, by reader.
    pairs
        Mean Dice by class and pair of names.
    params
        How several readings became one, and what minutes and path lengths go by.
    """
    if not metrics["minutes"]:
        return ""
    text = ["<h2>The readers</h2>"]
    if metrics["agreement"]["cases"]:
        text += _agreement(metrics["agreement"], pairs, params.review)
    text += _minutes(metrics["minutes"], points, params.evaluate.path_tolerance_mm)
    text.append(cost_section(metrics, params.score.scratch_minutes, params.evaluate.error_tolerance_mm))
    return "\n".join(text) + "\n"


def _agreement(found: Mapping[str, Any], pairs: Mapping[str, Mapping[str, float]], review: ReviewParams) -> list[str]:
    alpha = "cannot be given, since all decided alike" if found["alpha"] is None else f"is {found['alpha']:.2f}"
    settled = " ".join(text.format(found[kind]) for kind, text in _DISPUTES.items() if found[kind])
    text = [
        f"<p>Cases read by several people, blinded to each other: {found['cases']}. Of {found['masks']} masks they "
        f"decided alike on {found['decided_alike']}; Krippendorff's alpha (nominal) of accept, revise and reject "
        f"{alpha}. Settled by <code>{review.consensus}</code>, bound on Dice {review.agreement:g}. {settled}</p>",
    ]
    columns = list(dict.fromkeys(pair for of_class in pairs.values() for pair in of_class))
    if columns:
        rows = {name: [of_class.get(pair, math.nan) for pair in columns] for name, of_class in pairs.items()}
        text.append(f"<figure>{image(agreement_chart(columns, rows), 'Dice by class and pair', 'svg+xml')}")
        text.append("<figcaption>Mean Dice of every two readers, and of each with every model.</figcaption></figure>")
    body = []
    for name, of_class in found["classes"].items():
        body.append(_row(name, "reader, reader", of_class["readers"], of_class))
        body += [_row(name, f"reader, {model}", means, None) for model, means in of_class["models"].items()]
    head = ["Class", "Pair", "Pairs", "One empty", "Dice", "Lowest", "Mean surface, mm", "HD95, mm", "Alpha", "Pending"]
    return [*text, table(head, body)]


def _row(name: str, pair: str, means: Mapping[str, Any], decided: Mapping[str, Any] | None) -> list[str]:
    return [
        name,
        pair,
        str(means["pairs"]),
        str(means["one_empty"]),
        _number(means["dice"], 3),
        _number(means["lowest_dice"], 3),
        _number(means["mean_surface_mm"], 2),
        _number(means["hd95_mm"], 2),
        "" if decided is None else _number(decided["alpha"], 2),
        "" if decided is None else str(decided["pending"]),
    ]


def _minutes(
    found: Mapping[str, Any], points: Mapping[str, Sequence[tuple[float, float]]], tolerance_mm: float
) -> list[str]:
    near = "on" if tolerance_mm == 0 else f"within {tolerance_mm:g} mm of"
    text = [
        "<h3>Minutes and what was drawn</h3>",
        "<p>Added path length (Vaassen et al. 2020): contour of a revised mask, slice by slice, that does not lie "
        f"{near} the old one. Only revised classes whose minutes were given are compared. "
        "Minutes of an emulated reader are reckoned from that length.</p>",
    ]
    if any(points.values()):
        text.append(f"<figure>{image(path_chart(points), 'minutes against added path length', 'svg+xml')}</figure>")
    head = ["Reader", "Decisions", "Minutes", "Revised, timed", "Added path, cm", "Minutes a metre", "Correlation"]
    rows = [
        [
            name,
            f"{one['decisions']} ({one['emulated']} emulated)" if one["emulated"] else str(one["decisions"]),
            f"{one['minutes']:.1f} ({one['timed']} of {one['decisions']})",
            str(one["revised_timed"]),
            f"{one['added_path_mm'] / 10:.1f}",
            _number(one["minutes_per_metre"], 2),
            _number(one["correlation"], 2),
        ]
        for name, one in found.items()
    ]
    return [*text, table(head, rows)]


def _number(value: float | None, decimals: int) -> str:
    return "–" if value is None else f"{value:.{decimals}f}"
