"""Charts of the readers: how far every two of them agree, and minutes against the length of what was drawn."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from voxledger.evaluate.charts import COLORS, svg

_TIGHT = 0.7
"""Dice at which a field of the table is white: what lies below is not told apart by its colour."""


def agreement_chart(columns: Sequence[str], rows: Mapping[str, Sequence[float]]) -> bytes:
    """A table of mean Dice, by class and pair, with darker fields where two agree more.

    Parameters
    ----------
    columns
        Names of the pairs.
    rows
        Mean Dice of each pair, by class; NaN where the two have no mask in common.
    """
    import numpy as np

    values = np.array([list(row) for row in rows.values()], np.float64).reshape(len(rows), len(columns))

    def draw(axes: Any) -> None:
        axes.imshow(np.nan_to_num(values, nan=_TIGHT), cmap="Blues", vmin=_TIGHT, vmax=1.15, aspect="auto")
        for (y, x), value in np.ndenumerate(values):
            axes.text(x, y, "–" if math.isnan(value) else f"{value:.3f}", ha="center", va="center", fontsize=8)
        axes.set_xticks(range(len(columns)), columns)
        axes.set_yticks(range(len(rows)), list(rows))
        axes.xaxis.tick_top()
        axes.tick_params(length=0)
        axes.grid(visible=False)
        for side in axes.spines.values():
            side.set_visible(False)

    return svg(draw, (1.6 + 1.1 * len(columns), 0.7 + 0.3 * len(rows)))


def path_chart(points: Mapping[str, Sequence[tuple[float, float]]]) -> bytes:
    """Minutes of every revised class against the contour that was drawn for it, a colour a reader.

    Parameters
    ----------
    points
        Millimetres and minutes, by reader.
    """

    def draw(axes: Any) -> None:
        for i, (name, of_one) in enumerate(points.items()):
            x, y = [mm / 10 for mm, _ in of_one], [minutes for _, minutes in of_one]
            axes.plot(x, y, "o", ms=4, color=COLORS[i % len(COLORS)], alpha=0.8, label=name)
        axes.set_xlim(left=0)
        axes.set_ylim(bottom=0)
        axes.set_xlabel("added contour, cm")
        axes.set_ylabel("minutes")
        axes.legend(frameon=False, loc="upper left")

    return svg(draw, (4.6, 2.7))
