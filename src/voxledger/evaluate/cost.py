"""What the readings of a round cost: looking and drawing, against drawing the same masks from nothing.

Minutes of people are what they gave. What looking and drawing come to (`voxledger.minutes`) is given for all readers
alike, for three values of the minutes of a look, as nobody published one. Once people have timed enough masks, their
minutes are fitted to added path length: what a metre takes, and what a mask takes of which nothing was drawn.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from voxledger import layout, minutes
from voxledger.evaluate.clicked import virtual_clicks
from voxledger.evaluate.reader_measures import Contour
from voxledger.records.decisions import Decided, Decision
from voxledger.records.drawn import CLICKED, Drawn
from voxledger.records.emulated import Emulated, read_emulated
from voxledger.records.readings import Reading
from voxledger.statistics import robust_line

ENOUGH = 20
"""Masks that people have timed, and revised, before minutes are fitted to path length."""


def emulated_of(readings: Sequence[Decided | Reading]) -> dict[str, Emulated]:
    """The records of emulated readers who draw, by SHA-256 of their returns.

    Raises
    ------
    VoxledgerError
        A record is damaged.
    """
    bundles = sorted({reading.bundle for reading in readings if reading.bundle})
    found = {bundle: read_emulated(layout.RELEASE_REVISIONS / bundle) for bundle in bundles}
    return {bundle: one for bundle, one in found.items() if one is not None}


def drawn_rows(
    readings: Sequence[Reading], contours: Mapping[str, Sequence[Contour]], emulated: Mapping[str, Emulated]
) -> list[Drawn]:
    """What every reader of a round drew, in the order of the readings.

    Parameters
    ----------
    contours
        By case.
    emulated
        Records of emulated readers by SHA-256 of their returns.
    """
    of = {(case_id, one.class_name, one.bundle): one for case_id, found in contours.items() for one in found}
    looks = {
        (mask.case_id, mask.class_name, bundle): (mask.looks, one.looks.value)
        for bundle, one in emulated.items()
        for mask in one.masks
    }
    clicked, rows = virtual_clicks(reading.bundle for reading in readings), []
    for reading in readings:
        key = (*reading.key, reading.bundle)
        contour = of.get(key)
        if contour is None:
            continue
        share, by = looks.get(key, (1.0, CLICKED if reading.bundle in clicked else ""))
        rows.append(
            Drawn(
                reading.version,
                *reading.key,
                reading.reader,
                reading.decision,
                reading.minutes,
                contour.added_mm,
                contour.mm,
                contour.classes,
                share,
                by,
            )
        )
    return rows


def cost_metrics(rows: Sequence[Drawn], looking_minutes: float, scratch_minutes: float) -> dict[str, Any]:
    """Looking, drawing and savings of some readings, those by clicks left out, and of people what they gave.

    Parameters
    ----------
    looking_minutes
        Of a look at one class of one case.
    scratch_minutes
        Of a case from nothing.
    """
    read = [row for row in rows if row.emulated != CLICKED]
    looks, drawing = sum(row.looks for row in read), sum(row.drawing(scratch_minutes) for row in read)
    nothing = sum(row.from_nothing(scratch_minutes) for row in read)
    timed = [row for row in read if row.minutes is not None and not row.emulated]
    given = sum(row.minutes or 0.0 for row in timed)
    same = sum(row.from_nothing(scratch_minutes) for row in timed)
    return {
        "masks": len(read),
        "emulated": sum(bool(row.emulated) for row in read),
        "looks": round(looks, 2),
        "drawing_minutes": round(drawing, 2),
        "from_nothing_minutes": round(nothing, 2),
        "assumed": [
            {
                "looking_minutes": value,
                "minutes": round(looks * value + drawing, 2),
                "saving": _share(minutes.saving(looks * value + drawing, nothing)),
            }
            for value in minutes.looking_values(looking_minutes)
        ],
        "given": {
            "masks": len(timed),
            "minutes": round(given, 2),
            "from_nothing_minutes": round(same, 2),
            "saving": _share(minutes.saving(given, same)),
        },
    }


def fit_metrics(rows: Sequence[Drawn]) -> dict[str, Any]:
    """Minutes of people against added path length, over all rounds: a robust line once enough masks were timed.

    What was accepted counts, with nothing drawn; what was rejected does not, as nobody knows what it took.
    """
    timed = [
        row for row in rows if row.minutes is not None and not row.emulated and row.decision is not Decision.REJECT
    ]
    revised = sum(row.decision is Decision.REVISE for row in timed)
    line = None
    if revised >= ENOUGH:
        line = robust_line([(row.added_path_mm / 1000, row.minutes or 0.0) for row in timed])
    return {
        "masks": len(timed),
        "revised": revised,
        "enough": ENOUGH,
        "minutes_per_metre": None if line is None else round(line.slope, 4),
        "low": None if line is None or math.isnan(line.low) else round(line.low, 4),
        "high": None if line is None or math.isnan(line.high) else round(line.high, 4),
        "minutes_without_drawing": None if line is None else round(line.intercept, 4),
    }


def left_metrics(emulated: Mapping[str, Emulated]) -> list[dict[str, Any]]:
    """What emulated readers found wrong and what they left so, by how they looked and by class."""
    found: dict[tuple[str, str], list[Any]] = {}
    for one in emulated.values():
        for mask in one.masks:
            for name in ("", mask.class_name):
                found.setdefault((one.looks.value, name), []).append(mask)
    return [
        {
            "looks": looks,
            "class_name": name,
            "masks": len(masks),
            "errors": sum(mask.errors for mask in masks),
            "errors_left": sum(mask.errors_left for mask in masks),
            "error_ml": round(sum(mask.error_ml for mask in masks), 4),
            "error_ml_left": round(sum(mask.error_ml_left for mask in masks), 4),
            "dice": round(sum(mask.dice for mask in masks) / len(masks), 4),
            "lowest_dice": min(mask.dice for mask in masks),
        }
        for (looks, name), masks in sorted(found.items())
    ]


def _share(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
