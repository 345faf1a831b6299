"""What the network sees of the clicks so far."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import numpy.typing as npt

from voxledger.models.clicks.network import GUIDES
from voxledger.models.interaction import Click, Labels

RADIUS = 2
"""Of the ball that the network sees of a click, in voxels at its working spacing; single voxels teach it to look past
them."""


def guidance(labels: Labels, clicks: Iterable[Click], classes: int) -> npt.NDArray[np.float32]:
    """What the network sees (channel, z, y, x): of every class the previous mask, and balls around its clicks.

    Parameters
    ----------
    labels
        The previous answer (z, y, x), classes numbered from 1.
    clicks
        With voxels of the same array; they may lie outside of it.
    classes
        How many there are.
    """
    seen = np.zeros((classes, GUIDES, *labels.shape), np.float32)
    for number in range(1, classes + 1):
        seen[number - 1, 0] = labels == number
    for click in clicks:
        _draw_ball(seen[click.number - 1, 1 if click.present else 2], click.voxel)
    return seen.reshape(classes * GUIDES, *labels.shape)


def _draw_ball(volume: npt.NDArray[np.float32], voxel: Sequence[int]) -> None:
    box = tuple(
        slice(max(v - RADIUS, 0), min(v + RADIUS + 1, n)) if -RADIUS <= v < n + RADIUS else slice(0, 0)
        for v, n in zip(voxel, volume.shape, strict=True)
    )
    z, y, x = (np.arange(s.start, s.stop) - v for s, v in zip(box, voxel, strict=True))
    inside = z[:, None, None] ** 2 + y[:, None] ** 2 + x**2 <= RADIUS**2
    volume[box][inside] = 1.0
