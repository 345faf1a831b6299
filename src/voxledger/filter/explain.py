"""Why every component of a case is where it is: as text, and as a picture."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from voxledger.filter.apply import decide
from voxledger.filter.decisions import Decision
from voxledger.filter.proposal import Component, Mask, Outcome, Proposal, Region
from voxledger.filter.rule import Rule
from voxledger.imaging.boxes import Box

PANELS = 12
"""Components in a picture, the largest ones."""
KEPT_PANELS = 4
"""Panels for components that stayed, where there are more changed ones than fit."""
FIELD_MM = 80.0
"""Smallest width and height of a panel, as far as the image reaches."""
WINDOW_HU = (-160.0, 240.0)
"""Grey values of CT from black to white: soft tissue, level 40, width 400."""
COLORS = {
    Outcome.KEPT: "#35d07f",
    Outcome.REMOVED: "#ff4d4d",
    Outcome.TO_ORGAN: "#ffb02e",
    Outcome.TO_PARTNER: "#c77dff",
    Outcome.FILLED: "#4da3ff",
}
ORGAN_COLOR = "#e8e8e8"


@dataclass(frozen=True, eq=False)
class Story:
    """All decisions on one component, in their order; the last says what became of it."""

    component: Component
    decisions: tuple[Decision, ...]

    @property
    def end(self) -> Decision:
        return self.decisions[-1]


def stories(proposal: Proposal, rules: Sequence[Rule], case_id: str) -> list[Story]:
    """Apply the rules, and tell what each decided on every component; changes the proposal."""
    told: dict[tuple[str, int, tuple[int, ...], int], tuple[Component, list[Decision]]] = {}
    for decision, component in decide(proposal, rules, case_id):
        corner = tuple(s.start for s in component.box)
        key = (decision.class_name, component.number, corner, component.voxels)
        told.setdefault(key, (component, []))[1].append(decision)
    return [Story(component, tuple(decisions)) for component, decisions in told.values()]


def describe(told: Sequence[Story]) -> str:
    """The stories as text, class by class."""
    if not told:
        return "no rule looked at anything in this case"
    lines = []
    for name in dict.fromkeys(s.end.class_name for s in told):
        lines.append(name)
        for story in (s for s in told if s.end.class_name == name):
            d, centre = story.end, [(s.start + s.stop) // 2 for s in story.component.box[::-1]]
            lines.append(
                f"  component {d.component} at voxel {tuple(centre)}: {d.ml:.3f} ml, "
                f"peak p {d.peak_p:.3f}, mean {d.mean_hu:.0f} HU"
            )
            lines += [f"    {d.rule:<20} {d.measured:10.3f}  {d.bound:<14} {d.outcome.value}" for d in story.decisions]
    return "\n".join(lines)


def picture(proposal: Proposal, told: Sequence[Story]) -> bytes:
    """PNG with one axial slice a component, at its widest; its bytes repeat.

    The component is drawn in the colour of its outcome, the organ around it (as it ended) in grey.
    """
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    by_size = sorted(told, key=lambda s: -s.component.voxels)
    kept = [s for s in by_size if s.end.outcome is Outcome.KEPT]
    changed = [s for s in by_size if s.end.outcome is not Outcome.KEPT]
    shown = (changed[: PANELS - min(len(kept), KEPT_PANELS)] + kept)[:PANELS]
    columns = min(4, max(1, len(shown)))
    rows = max(1, -(-len(shown) // columns))
    figure = Figure(figsize=(3.2 * columns, 3.5 * rows), layout="constrained")
    FigureCanvasAgg(figure)
    for place, story in enumerate(shown, start=1):
        _, dy, dx = proposal.grid.spacing
        box, z = _view(proposal, story.component)
        slab = proposal.image[box][0].astype(np.float32)
        low, high = WINDOW_HU if proposal.is_ct else np.percentile(slab, [1, 99])
        axes = figure.add_subplot(rows, columns, place)
        axes.imshow(slab, cmap="gray", vmin=low, vmax=max(high, low + 1), aspect=dy / dx, interpolation="nearest")
        organ = proposal.schema[story.end.class_name].inside
        if organ is not None:
            _contour(axes, proposal.mask(organ, box)[0], ORGAN_COLOR, 0.8)
        _contour(axes, Region(story.component.box, story.component.mask).read(box)[0], COLORS[story.end.outcome], 1.6)
        axes.set_title(
            f"{story.end.class_name} {story.end.component}, slice {z}: {story.end.outcome.value}\n"
            f"{story.end.rule} {story.end.measured:.2f} ({story.end.bound})",
            fontsize=8,
        )
        axes.set_axis_off()
    if not shown:
        figure.text(0.5, 0.5, "no rule looked at anything in this case", ha="center")
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, metadata={"Software": None})
    return buffer.getvalue()


def _view(proposal: Proposal, component: Component) -> tuple[Box, int]:
    z = component.box[0].start + int(component.mask.sum(axis=(1, 2)).argmax())
    sides = []
    for axis in (1, 2):
        extent, step = component.box[axis], proposal.grid.spacing[axis]
        wanted = max(FIELD_MM / step, 1.5 * (extent.stop - extent.start))
        middle = (extent.start + extent.stop) / 2
        start = max(0, int(middle - wanted / 2))
        sides.append(slice(start, min(proposal.grid.shape[axis], int(middle + wanted / 2) + 1)))
    return (slice(z, z + 1), sides[0], sides[1]), z


def _contour(axes: object, mask: Mask, color: str, width: float) -> None:
    if mask.any():
        padded = np.pad(mask, 1).astype(float)
        ys, xs = np.arange(padded.shape[0]) - 1, np.arange(padded.shape[1]) - 1
        axes.contour(xs, ys, padded, levels=[0.5], colors=[color], linewidths=width)  # type: ignore[attr-defined]
