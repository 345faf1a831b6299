"""Pictures for the report: image, label and attention side by side, and the curve of what is left. Bytes repeat."""

from __future__ import annotations

import io
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema

_INCHES = 2.2
_DPI = 110


def thermal_table() -> str:
    """Colour table of 3D Slicer (`.ctbl`) for the heat map: black, red, yellow, white; 0 is transparent."""
    rows = ["# Color table file heat.ctbl", "# 256 values"]
    for level in range(256):
        red, green, blue = (int(min(max(3 * level - 255 * k, 0), 255)) for k in range(3))
        rows.append(f"{level} heat_{level} {red} {green} {blue} {255 if level else 0}")
    return "\n".join(rows) + "\n"


def busiest_slice(heat: npt.NDArray[np.uint8]) -> int:
    """The axial slice with most heat, the first of several."""
    return int(np.argmax(heat.sum(axis=(1, 2), dtype=np.int64)))


def side_by_side(
    image: npt.NDArray[Any],
    labels: npt.NDArray[Any],
    heat: npt.NDArray[np.uint8],
    grid: Grid,
    schema: LabelSchema,
) -> bytes:
    """PNG of one axial slice three times: image, image with label, image with attention; all (y, x)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.colors import ListedColormap
    from matplotlib.figure import Figure

    height, width = (n * mm for n, mm in zip(image.shape, grid.spacing[1:], strict=True))
    scale = _INCHES / max(height, width)
    figure = Figure(figsize=(3 * width * scale, height * scale), dpi=_DPI, facecolor="black")
    FigureCanvasAgg(figure)
    low, high = (float(v) for v in np.percentile(image, (1, 99)))
    colors = np.zeros((schema.classes[-1].id + 1, 3))
    for c in schema.classes:
        colors[c.id] = np.array(schema.colors()[c.name]) / 255
    extent = (0.0, width, height, 0.0)
    overlays = [
        None,
        (np.ma.masked_equal(labels, 0), ListedColormap(colors.tolist()), len(colors) - 1),
        (np.ma.masked_equal(heat, 0), "hot", 255),
    ]
    for i, overlay in enumerate(overlays):
        axes = figure.add_axes((i / 3, 0, 1 / 3, 1))
        axes.set_axis_off()
        axes.imshow(image, cmap="gray", vmin=low, vmax=max(high, low + 1e-6), extent=extent)
        if overlay is not None:
            axes.imshow(
                overlay[0], cmap=overlay[1], vmin=0, vmax=overlay[2], extent=extent, alpha=0.6, interpolation="nearest"
            )
    return _png(figure)


def attention_curve(sizes: Sequence[float], above_knee: int, chosen: int) -> bytes:
    """PNG of the attention in ml by rank, with the knee and the budget."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    figure = Figure(figsize=(6, 2.6), dpi=_DPI)
    FigureCanvasAgg(figure)
    axes = figure.add_subplot()
    ranked = sorted(sizes, reverse=True)
    axes.plot(range(1, len(ranked) + 1), ranked, ".-", color="#b3541e", linewidth=1)
    if above_knee:
        axes.axvline(above_knee + 0.5, color="#555555", linestyle=":", label=f"knee: {above_knee} cases above")
    if chosen:
        axes.axvline(chosen + 0.5, color="#1e6bb3", linestyle="--", label=f"budget: {chosen} cases")
    if above_knee or chosen:
        axes.legend(frameon=False)
    axes.set(xlabel="cases by falling attention", ylabel="attention (ml)")
    axes.set_ylim(0, 1.05 * max(ranked, default=0) or 1)
    figure.tight_layout()
    return _png(figure)


def _png(figure: Any) -> bytes:
    stream = io.BytesIO()
    figure.savefig(stream, format="png", metadata={"Software": None})
    return stream.getvalue()
