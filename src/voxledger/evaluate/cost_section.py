"""The part of the report on what reading cost, what was saved, and what emulated readers left wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from voxledger.html import table


def cost_section(metrics: Mapping[str, Any], scratch_minutes: float, error_tolerance_mm: float) -> str:
    """HTML of looking, drawing and savings; empty where nobody read anything.

    Parameters
    ----------
    metrics
        What `voxledger.evaluate.cost` says: `cost` of the round, `cost_so_far` and `fit` of all rounds, and `emulated`,
        what emulated readers left.
    scratch_minutes
        Of a case from nothing.
    error_tolerance_mm
        How far a visible error reaches.
    """
    cost, so_far = metrics["cost"], metrics["cost_so_far"]
    if not cost["masks"]:
        return ""
    text = [
        "<h3>What reading cost</h3>",
        f"<p>{cost['masks']} masks, {cost['emulated']} of them read by an emulated reader: {cost['looks']:g} looks, "
        f"and drawing for {cost['drawing_minutes']:.1f} minutes. From nothing, what is in these masks would take "
        f"{cost['from_nothing_minutes']:.1f} minutes, at {scratch_minutes:g} a case, shared by the classes that are "
        "in it. Drawing is charged by added path length against that from nothing; a look is at one class of one case. "
        "All of it is assumed: what a look takes, nobody published, so three values are given.</p>",
        table(
            [
                *("Minutes of a look (assumed)", "Looking and drawing, minutes", "From nothing, minutes", "Saved"),
                *("All rounds, minutes", "From nothing, minutes", "Saved"),
            ],
            [
                [f"{one['looking_minutes']:g}", *_spent(one, cost), *_spent(other, so_far)]
                for one, other in zip(cost["assumed"], so_far["assumed"], strict=True)
            ],
        ),
        _given(cost["given"]),
        _fit(metrics["fit"]),
    ]
    return "\n".join([*text, *_left(metrics["emulated"], error_tolerance_mm)]) + "\n"


def _spent(one: Mapping[str, Any], cost: Mapping[str, Any]) -> list[str]:
    return [f"{one['minutes']:.1f}", f"{cost['from_nothing_minutes']:.1f}", _percent(one["saving"])]


def _given(given: Mapping[str, Any]) -> str:
    if not given["masks"]:
        return "<p>No person gave minutes in this round.</p>"
    return (
        f"<p>People gave {given['minutes']:.1f} minutes for {given['masks']} masks, which would take "
        f"{given['from_nothing_minutes']:.1f} from nothing (assumed): {_percent(given['saving'])} saved.</p>"
    )


def _fit(fit: Mapping[str, Any]) -> str:
    if fit["minutes_per_metre"] is None and fit["revised"] >= fit["enough"]:
        return "<p>Minutes of people are not fitted to added path length: all of it is the same.</p>"
    if fit["minutes_per_metre"] is None:
        return (
            f"<p>Minutes of people are fitted to added path length once {fit['enough']} revised masks have them: "
            f"{fit['revised']} so far, in all rounds.</p>"
        )
    known = fit["low"] is not None and fit["high"] is not None
    within = f"95 % {fit['low']:.2f} to {fit['high']:.2f}" if known else "too many tie for an interval"
    return (
        f"<p>Minutes of people, fitted to the added path length of {fit['masks']} masks of all rounds "
        f"({fit['revised']} revised): {fit['minutes_per_metre']:.2f} a metre ({within}), and "
        f"{fit['minutes_without_drawing']:.2f} where nothing is drawn, which is what a look takes here. "
        "Theil's line: the median of the slopes between every two masks.</p>"
    )


def _left(left: Sequence[Mapping[str, Any]], error_tolerance_mm: float) -> list[str]:
    if not left:
        return []
    head = ["Looks", "Class", "Masks", "Errors", "Left", "ml wrong", "ml left", "Dice", "Lowest"]
    rows = [
        [
            one["looks"],
            one["class_name"] or "all",
            str(one["masks"]),
            str(one["errors"]),
            str(one["errors_left"]),
            f"{one['error_ml']:.2f}",
            f"{one['error_ml_left']:.2f}",
            f"{one['dice']:.3f}",
            f"{one['lowest_dice']:.3f}",
        ]
        for one in left
    ]
    return [
        "<h3>What emulated readers left wrong</h3>",
        f"<p>Against the reference that they know: errors that reach farther than {error_tolerance_mm:g} mm, and any "
        "voxel in ml, as proposed and as handed in. Who looks where attention points alone misses what it does not "
        "touch.</p>",
        table(head, rows),
    ]


def _percent(share: float | None) -> str:
    return "–" if share is None else f"{100 * share:.0f} %"
