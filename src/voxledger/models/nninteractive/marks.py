"""Prompts as the network sees them: channels of a patch around the middle of the prompts."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import Box, intersection, union, view, whole
from voxledger.models.nninteractive.network import MARKS, SHARED
from voxledger.weak.prompt import Prompt


def box_of(prompt: Prompt) -> Box:
    """The box of the image that a prompt fills."""
    z, y, x = (slice(a, a + n) for a, n in zip(prompt.start, prompt.mask.shape, strict=True))
    return z, y, x


def marking(prompts: Sequence[Prompt]) -> list[Prompt]:
    """Those that say where to look: all but a guess."""
    return [prompt for prompt in prompts if prompt.kind != "guess"]


def guessed(prompts: Sequence[Prompt], box: Box) -> npt.NDArray[np.bool_]:
    """What of the guesses lies in a box of the image (z, y, x): the mask before there is one."""
    out = np.zeros([s.stop - s.start for s in box], np.bool_)
    for prompt in prompts:
        if prompt.kind == "guess":
            out |= cut(prompt.mask, box, prompt.start)
    return out


def centre_of(prompts: Sequence[Prompt]) -> tuple[int, int, int]:
    """What nnInteractive centres its patch on: the voxel (z, y, x) in the middle of prompts.

    Examples
    --------
    >>> line = Prompt("scribble", (4, 10, 20), np.ones((1, 1, 9), bool))
    >>> centre_of([line])
    (4, 10, 24)
    """
    shown = marking(prompts)
    if len(shown) == 1 and shown[0].kind == "point":
        return shown[0].start
    around = union(map(box_of, shown))
    assert around is not None
    z, y, x = (round((s.start + s.stop) / 2) for s in around)
    return z, y, x


def in_one_patch(prompts: Sequence[Prompt], patch: Sequence[int]) -> tuple[int, int, int] | None:
    """The middle of all prompts (z, y, x); None where they do not lie close together in a patch."""
    shown = marking(prompts)
    around = [s.stop - s.start for s in union(map(box_of, shown)) or ()]
    near = len(shown) == 1 or all(side <= ROOM * n for side, n in zip(around, patch, strict=True))
    return centre_of(prompts) if near else None


def looked_at(prompts: Sequence[Prompt], patch: Sequence[int], shape: tuple[int, ...]) -> Box | None:
    """The box of an image of `shape` (z, y, x) that a network of a patch looks at; None where it zooms out as it needs.

    Examples
    --------
    >>> line = Prompt("scribble", (4, 10, 20), np.ones((1, 1, 9), bool))
    >>> looked_at([line], (8, 16, 16), (40, 40, 40))
    (slice(0, 8, None), slice(2, 18, None), slice(16, 32, None))
    """
    if min(patch) >= LARGE:
        return None
    together = in_one_patch(prompts, patch)
    centres = [centre_of([prompt]) for prompt in marking(prompts)] if together is None else [together]
    return intersection(union(patch_around(centre, patch) for centre in centres), whole(shape))


def patch_around(centre: Sequence[int], patch: Sequence[int]) -> Box:
    """The box of a patch around a voxel, as nnInteractive lays it; it may reach beyond the image."""
    z, y, x = (slice(c - p // 2, c + p // 2 + p % 2) for c, p in zip(centre, patch, strict=True))
    return z, y, x


LARGE = 64
"""Shortest side of a patch, in voxels, from which nnInteractive's zooming out works: it refines in patches less a
margin of 24 voxels on every side, and with patches of 40 voxels stops with an error."""
ROOM = 0.75
"""Share of the patch that all prompts of an object may fill to be looked at together."""

Kind = TypeVar("Kind", bound=np.generic)


def cut(array: npt.NDArray[Kind], box: Box, start: Sequence[int] = (0, 0, 0)) -> npt.NDArray[Kind]:
    """What of an array (z, y, x), whose first voxel is `start` of the image, lies in a box; zero beyond it."""
    z, y, x = (slice(a, a + n) for a, n in zip(start, array.shape, strict=True))
    out = np.zeros([s.stop - s.start for s in box], array.dtype)
    shared = intersection((z, y, x), box)
    if shared is not None:
        view(out, box, shared)[:] = view(array, (z, y, x), shared)
    return out


def encode(
    prompts: Sequence[Prompt], box: Box, ball: npt.NDArray[np.float32], shape: tuple[int, ...]
) -> npt.NDArray[np.float32]:
    """Channels (`MARKS` - 1, z, y, x) of prompts in a box of the image.

    Parameters
    ----------
    ball
        What a point becomes (z, y, x), of odd sides, its middle the point.
    shape
        Of the image (z, y, x): beyond it there are no prompts.
    """
    out = np.zeros((MARKS - 1, *(s.stop - s.start for s in box)), np.float32)
    for prompt in marking(prompts):
        start, mask = prompt.start, prompt.mask.astype(np.float32)
        if prompt.kind == "point":
            z, y, x = (a - n // 2 for a, n in zip(start, ball.shape, strict=True))
            start, mask = (z, y, x), ball
        channel = out[SHARED[prompt.kind] - prompt.positive]
        np.maximum(channel, cut(mask, box, start), out=channel)
    inside = intersection(box, whole(shape))
    beyond = np.ones(out.shape[1:], np.bool_)
    if inside is not None:
        view(beyond, box, inside)[:] = False
    out[:, beyond] = 0
    return out


def ball_of(radius: float) -> npt.NDArray[np.float32]:
    """What a point of nnInteractive becomes (z, y, x): 1 in the middle, less towards the border."""
    from nnInteractive.interaction.point import build_point

    return np.asarray(build_point((radius,) * 3, True, False), np.float32)
