"""Clicks: where a reader puts one, and what answers it.

A backend that says `interactive` has `session.py`, which holds the class `Session`:

    Session(model, image, device)                   a model in front of one image
    session.automatic(params) -> labels             what it says without clicks
    session.start(labels) -> Answer                 begin with a label map
    session.click(answer, click) -> Answer          the next answer; the one before it can be clicked on again

Labels are numbered as the outputs of the network; clicks lie at voxels of the image.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from voxledger.imaging.components import connected_components
from voxledger.params import InferParams

Labels = npt.NDArray[Any]


@dataclass(frozen=True)
class Click:
    """One click about a class at a voxel (z, y, x)."""

    number: int
    """Of the class among the outputs of the network, from 1."""
    voxel: tuple[int, int, int]
    present: bool
    """Whether it says that the class is there, or that it is not."""


class Answer(Protocol):
    """What a network says after some clicks."""

    @property
    def labels(self) -> Labels:
        """On the grid of the image (z, y, x)."""


class Session(Protocol):
    """A network in front of one image."""

    def automatic(self, params: InferParams) -> Labels:
        """What it says without clicks, a label map (z, y, x) on the grid of the image."""

    def start(self, labels: Labels) -> Any:
        """Begin with a label map (z, y, x) on the grid of the image."""

    def click(self, answer: Any, click: Click) -> Any:
        """The next answer."""


def click_at_error(labels: Labels, truth: Labels, number: int, ignore: int | None = None) -> Click | None:
    """A click in the middle of the largest error of a class; None where there is no error.

    Of the connected regions in which the class is missed, or is there in error, the largest, and of it the voxel that
    is deepest inside.

    Parameters
    ----------
    labels, truth
        Label maps (z, y, x).
    number
        Label of the class in both.
    ignore
        Label in `truth` of what nobody knows; it is no error.

    Examples
    --------
    >>> labels, truth = np.zeros((2, 1, 5, 5), int)
    >>> truth[0, 1:4, 1:4], labels[0, 0, 0] = 1, 1
    >>> click_at_error(labels, truth, 1)
    Click(number=1, voxel=(0, 2, 2), present=True)
    """
    has, should = labels == number, truth == number
    extra = has & ~should if ignore is None else has & ~should & (truth != ignore)
    missed = _largest(should & ~has)
    error = max(missed, _largest(extra), key=np.count_nonzero)
    return Click(number, _deepest(error), error is missed) if error.any() else None


def _largest(mask: Labels) -> Labels:
    """The largest component of a mask, the first of several; of an empty one nothing."""
    pieces, _ = connected_components(mask)
    sizes = np.bincount(pieces.ravel())
    sizes[0] = 0
    largest: Labels = (pieces == sizes.argmax()) & mask
    return largest


def _deepest(mask: Labels) -> tuple[int, int, int]:
    """The voxel of a mask that is farthest from its border, of several the one nearest to the middle of the mask.

    The edge of the array counts as a border. In a thin shell most voxels are as far from it as the next.
    """
    from scipy.ndimage import distance_transform_edt, find_objects

    (box,) = find_objects(mask.view(np.uint8))
    depth = distance_transform_edt(np.pad(mask[box], 1))[1:-1, 1:-1, 1:-1]
    deepest, middle = np.argwhere(depth == depth.max()), np.argwhere(mask[box]).mean(0)
    at = deepest[((deepest - middle) ** 2).sum(1).argmin()]
    z, y, x = (int(i) + part.start for i, part in zip(at, box, strict=True))
    return z, y, x


@dataclass(frozen=True)
class Played:
    """What clicks made of an image."""

    labels: Labels
    """The last answer (z, y, x)."""
    clicks: tuple[tuple[Click, bool], ...]
    """In their order, and whether each helped; the answer to one that did not is taken back."""


def play(
    session: Session, labels: Labels, truth: Labels, numbers: Sequence[int], most: int, helps: Callable[..., bool]
) -> Played:
    """Click at the largest error of one class after another, `most` times each, until a click no longer helps.

    Parameters
    ----------
    labels, truth
        Where it begins, and the reference (z, y, x), both numbered as the outputs of the network.
    numbers
        Classes to click at.
    helps
        Whether a label map is better than the one before it, both as arguments: after one that is not, nothing more is
        clicked at its class.
    """
    answer, going = session.start(labels), list(numbers)
    made: list[tuple[Click, bool]] = []
    for _ in range(most):
        for number in list(going):
            click = click_at_error(answer.labels, truth, number)
            if click is None:
                continue
            after = session.click(answer, click)
            helped = helps(answer.labels, after.labels)
            made.append((click, helped))
            if helped:
                answer = after
            else:
                going.remove(number)
    return Played(answer.labels, tuple(made))


def mean_iou(labels: Labels, truth: Labels, numbers: Sequence[int]) -> float:
    """Mean intersection over union of some classes; of a class that both lack it is 1.

    Examples
    --------
    >>> mean_iou(np.array([1, 1, 2]), np.array([1, 2, 2]), [1, 2])
    0.5
    """
    return float(np.mean([_iou(labels == number, truth == number) for number in numbers]))


def _iou(a: Labels, b: Labels) -> float:
    either = int(np.count_nonzero(a | b))
    return int(np.count_nonzero(a & b)) / either if either else 1.0
