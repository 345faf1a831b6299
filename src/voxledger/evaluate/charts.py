"""Charts of the report as SVG text whose bytes repeat."""

from __future__ import annotations

import io
from collections.abc import Mapping, Sequence
from typing import Any

from voxledger.evaluate.history import unbroken, untimed_before
from voxledger.records.history import HistoryRow, has_dice
from voxledger.statistics import Interval

COLORS = ("#1f5fa8", "#c2571a", "#2f7d4f", "#7a4fa3", "#8a6d1d", "#4a6a75")
GREY = "#8b95a1"
SMALLEST_SPAN = 0.1
"""Least range of Dice on the axis of a learning curve, so that noise does not look like progress."""
_STYLE = {
    "svg.hashsalt": "voxledger",
    "font.family": "DejaVu Sans",
    "font.size": 8.5,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.edgecolor": GREY,
    "axes.labelcolor": "#333a42",
    "xtick.color": "#333a42",
    "ytick.color": "#333a42",
    "axes.grid": True,
    "axes.grid.axis": "y",
    "grid.color": "#e3e7eb",
    "axes.axisbelow": True,
}


def learning_curve(history: Sequence[HistoryRow], set_name: str) -> bytes:
    """Mean Dice of the models that each round trained, with their intervals, over the share labelled.

    The line is broken where a mean is over other classes or cases than the one before.
    """
    rows = [r for r in history if r.set == set_name and r.stage == "next" and has_dice(r)]
    ticks = {r.round: r.share_labelled for r in rows}
    models = sorted({r.model for r in rows})

    def draw(axes: Any) -> None:
        for i, model in enumerate(models):
            points = sorted((r for r in rows if r.model == model), key=lambda r: r.round)
            x = [r.round + 0.06 * (i - (len(models) - 1) / 2) for r in points]
            mean, low, high = ([getattr(r, c) for r in points] for c in ("dice", "low", "high"))
            error = [[m - v for m, v in zip(mean, low, strict=True)], [v - m for m, v in zip(mean, high, strict=True)]]
            color, start = COLORS[i % len(COLORS)], 0
            for part in unbroken(points):
                axes.plot(x[start : start + len(part)], mean[start : start + len(part)], color=color, lw=1.6)
                start += len(part)
            axes.errorbar(
                x,
                mean,
                error,
                color=color,
                ls="none",
                marker="o",
                ms=4,
                elinewidth=0.9,
                capsize=2,
                label=model,
            )
        axes.set_xticks(sorted(ticks), [f"round {n}\n{ticks[n]:.0%} labelled" for n in sorted(ticks)])
        axes.set_xlim(min(ticks) - 0.4, max(ticks) + 0.4)
        low, high = axes.get_ylim()
        spare = max(0.0, SMALLEST_SPAN - (high - low)) / 2
        axes.set_ylim(max(low - spare, 0.0), min(high + spare, 1.0))
        axes.set_ylabel("mean Dice")
        if len(models) > 1:
            axes.legend(frameon=False, loc="lower right")

    return svg(draw, (4.6, 2.7))


def minutes_chart(history: Sequence[HistoryRow]) -> bytes:
    """Reader minutes of all rounds so far against labelling the same cases from nothing, round by round."""
    by_round = {r.round: r for r in history}
    at_least = " (at least)" if untimed_before(history) else ""
    rounds = sorted(by_round)

    def draw(axes: Any) -> None:
        for shift, column, color, label in (
            (-0.19, "scratch_minutes_total", "#c9d0d7", "from scratch (assumed)"),
            (0.19, "minutes_total", COLORS[0], f"readers in this project{at_least}"),
        ):
            hours = [getattr(by_round[n], column) / 60 for n in rounds]
            bars = axes.bar([n + shift for n in rounds], hours, 0.36, color=color, label=label)
            axes.bar_label(bars, [f"{h:.1f}" for h in hours], fontsize=7.5, padding=1)
        axes.set_xticks(rounds, [f"round {n}" for n in rounds])
        axes.set_xlim(min(rounds) - 0.6, max(rounds) + 0.6)
        axes.set_ylabel("hours, all rounds so far")
        axes.margins(y=0.18)
        axes.legend(frameon=False, loc="upper left")

    return svg(draw, (4.6, 2.7))


def class_chart(base: Mapping[str, Interval], after: Mapping[str, Interval]) -> bytes:
    """Dice by class: the base as a hollow dot, the next model as a full one with its interval.

    Where a class is in both, both must be over the same cases.
    """
    names = list(after)[::-1]

    def draw(axes: Any) -> None:
        for y, name in enumerate(names):
            new = after[name]
            axes.plot([new.low, new.high], [y, y], color=COLORS[0], lw=1)
            if name in base:
                axes.plot([base[name].mean, new.mean], [y, y], color=GREY, lw=2.2, alpha=0.6)
                axes.plot(base[name].mean, y, "o", mfc="white", mec=GREY, mew=1.4, ms=6, label="_" if y else "base")
            axes.plot(new.mean, y, "o", color=COLORS[0], ms=6, label="_" if y else "next")
        axes.set_yticks(range(len(names)), names)
        axes.set_ylim(-0.7, len(names) - 0.3)
        axes.set_xlim(0, 1.01)
        axes.grid(axis="x", visible=True)
        axes.grid(axis="y", visible=False)
        axes.set_xlabel("Dice")
        axes.legend(frameon=False, loc="lower left", bbox_to_anchor=(0, 1), ncols=2)

    return svg(draw, (9.4, 1.0 + 0.24 * len(names)))


def svg(draw: Any, inches: tuple[float, float]) -> bytes:
    """What `draw` puts on an axes, as SVG whose bytes repeat."""
    from matplotlib import rc_context
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    with rc_context(_STYLE):
        figure = Figure(figsize=inches, layout="constrained")
        FigureCanvasSVG(figure)
        draw(figure.add_subplot())
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return buffer.getvalue()
