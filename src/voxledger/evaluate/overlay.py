"""A picture of one slice with the contours of reference and prediction."""

from __future__ import annotations

import io
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.evaluate.view import View
from voxledger.imaging.boxes import bounding_box

REFERENCE_COLOR = "#35d07f"
PREDICTION_COLOR = "#ff5fa2"
MARGIN_MM = 25.0
"""Surroundings shown on every side of the structure."""
FIELD_MM = 90.0
"""Smallest width and height of a picture, as far as the image reaches."""
SCALE_BAR_MM = 10.0
_INCHES = 3.0
_DPI = 130


def worst_slice(reference: npt.NDArray[np.bool_], prediction: npt.NDArray[np.bool_], axis: int) -> int:
    """Index along `axis` of the slice with most voxels in which two masks (z, y, x) differ; the first of several.

    Where they agree everywhere, the slice with most of the reference.
    """
    others = tuple(a for a in range(3) if a != axis)
    error = np.count_nonzero(reference != prediction, axis=others)
    return int(np.argmax(error if error.any() else np.count_nonzero(reference, axis=others)))


def overlay_png(
    image: npt.NDArray[Any],
    reference: npt.NDArray[np.bool_],
    prediction: npt.NDArray[np.bool_],
    index: int,
    view: View,
    grey: tuple[float, float],
) -> bytes:
    """PNG of slice `index` of an image (z, y, x), cut to the surroundings of both masks; the bytes repeat."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure
    from matplotlib.patheffects import withStroke

    slices = [view.cut(a, index) for a in (image, reference, prediction)]
    rows, columns = _field(slices[1] | slices[2], view.mm)
    picture, truth, guess = (s[rows, columns] for s in slices)
    height, width = (n * mm for n, mm in zip(picture.shape, view.mm, strict=True))
    scale = _INCHES / max(height, width)
    figure = Figure(figsize=(max(width * scale, 0.5), max(height * scale, 0.5)), dpi=_DPI, facecolor="black")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set_axis_off()
    extent = (0.0, width, height, 0.0)
    axes.imshow(picture, cmap="gray", vmin=grey[0], vmax=grey[1], extent=extent, interpolation="bilinear")
    for mask, color, style in ((truth, REFERENCE_COLOR, "solid"), (guess, PREDICTION_COLOR, "dashed")):
        _contour(axes, mask, view.mm, color, style)
    axes.set(xlim=(0, width), ylim=(height, 0))
    outlined = [withStroke(linewidth=2, foreground="black")]
    left, right, top, bottom = view.ends
    for x, y, text in ((0.03, 0.5, left), (0.97, 0.5, right), (0.5, 0.96, top), (0.5, 0.04, bottom)):
        axes.text(
            x,
            y,
            text,
            color="white",
            fontsize=8,
            ha="center",
            va="center",
            transform=axes.transAxes,
            path_effects=outlined,
        )
    bar = [0.05 * width, 0.05 * width + SCALE_BAR_MM]
    axes.plot(bar, [0.95 * height] * 2, color="white", linewidth=2, path_effects=outlined)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", facecolor="black", metadata={"Software": None})
    return buffer.getvalue()


def _field(masks: npt.NDArray[np.bool_], mm: tuple[float, float]) -> tuple[slice, slice]:
    """The part of a slice to show: both masks and their surroundings, or all of it where both are empty."""
    box = bounding_box(masks[None])
    if box is None:
        return slice(0, masks.shape[0]), slice(0, masks.shape[1])
    # One size for both directions: pictures of a row are then alike in shape wherever the image is large enough.
    extents = [(s.stop - s.start) * step + 2 * MARGIN_MM for s, step in zip(box[1:], mm, strict=True)]
    size = max(*extents, FIELD_MM)
    parts = []
    for found, step, length in zip(box[1:], mm, masks.shape, strict=True):
        wanted = min(round(size / step), length)
        start = (found.start + found.stop - wanted) // 2
        start = min(max(start, 0), length - wanted)
        parts.append(slice(start, start + wanted))
    return parts[0], parts[1]


def _contour(axes: Any, mask: npt.NDArray[np.bool_], mm: tuple[float, float], color: str, style: str) -> None:
    if not mask.any():
        return
    padded = np.pad(mask, 1).astype(np.float32)
    y, x = ((np.arange(n) - 0.5) * step for n, step in zip(padded.shape, mm, strict=True))
    axes.contour(x, y, padded, levels=[0.5], colors=[color], linewidths=1.4, linestyles=[style])
