"""What several readers say of one class of one case, and what the methods of consensus are made of.

A reader who accepts a class stands behind its mask as it was proposed; one who revises it, behind the mask that came
back; one who rejects it, behind no mask: that the label is wrong does not say where the structure is.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from voxledger.bundles.merge import Mask


@dataclass(frozen=True, eq=False)
class Votes:
    """All readings of one class of one case; masks (z, y, x) are cut to a box that holds them all."""

    readers: int
    """How many people read the class."""
    rejected: int
    """How many of them reject it."""
    masks: tuple[Mask, ...]
    """Of those who keep it."""
    drawn: tuple[bool, ...]
    """Which of these masks were drawn: their readers revised the class, and the others accepted it."""
    proposed: Mask
    """As it was sent to them."""

    @property
    def keeps(self) -> int:
        """How many keep it."""
        return len(self.masks)


@dataclass(frozen=True)
class Consensus:
    """One method; the file that holds it, as `CONSENSUS`, has its name."""

    dispute: Callable[[Votes, float], str]
    """Why the readers disagree beyond a bound on Dice, in words for people; empty where they do not. It is asked only
    of classes that more than half of their readers keep."""
    draw: Callable[[Votes], Mask]
    """The mask (z, y, x) of a class of which they do not."""
    adjudicated: bool = False
    """Whether the round waits for the adjudicator where they do; otherwise nothing of the class enters the release."""


def dice(a: Mask, b: Mask) -> float:
    """Dice of two masks (z, y, x); 1 where both are empty.

    >>> dice(np.array([True, True]), np.array([True, False]))
    0.6666666666666666
    """
    total = int(np.count_nonzero(a)) + int(np.count_nonzero(b))
    return 2 * int(np.count_nonzero(a & b)) / total if total else 1.0


def split(votes: Votes) -> str:
    """Why there is no majority on whether there is a mask at all, in words; empty where there is one.

    More than half of those who read the class have to keep it, or to reject it.
    """
    if 2 * max(votes.keeps, votes.rejected) > votes.readers:
        return ""
    silent = votes.readers - votes.keeps - votes.rejected
    said = [f"{votes.keeps} keep it", f"{votes.rejected} reject it", *([f"{silent} say nothing"] if silent else [])]
    return f"of {votes.readers} readers {', '.join(said)}"


def vote(votes: Votes) -> Mask:
    """The voxels (z, y, x) that more than half of those who keep the class say are of it.

    Of voxels on which they are tied, those that more were drawn as than accepted as: revised counts more than accepted,
    as everywhere. Where that is a tie, too, the voxel is as it was proposed.
    """
    sizes = votes.proposed.shape
    yes, drawn_yes = np.zeros(sizes, np.int16), np.zeros(sizes, np.int16)
    for mask, drawn in zip(votes.masks, votes.drawn, strict=True):
        yes += mask
        if drawn:
            drawn_yes += mask
    balance = 2 * yes - votes.keeps
    by_drawing = 2 * drawn_yes - sum(votes.drawn)
    settled: Mask = np.where(balance != 0, balance > 0, np.where(by_drawing != 0, by_drawing > 0, votes.proposed))
    return settled


def open_ties(votes: Votes, agreement: float) -> str:
    """Whether ties leave the mask open by more than the bound: Dice of the smallest and the largest mask they allow.

    Of two readers that is the Dice of their masks; of an odd number there are no ties.
    """
    yes = np.zeros(votes.proposed.shape, np.int16)
    for mask in votes.masks:
        yes += mask
    found = dice(2 * yes > votes.keeps, 2 * yes >= votes.keeps) if votes.keeps else 1.0
    return f"ties leave the mask open: Dice {found:.3f} of the least and the most" if found < agreement else ""


def unlike_most(votes: Votes, mask: Mask, agreement: float) -> str:
    """Whether a mask (z, y, x) that was made of several speaks for too few of them, in words; empty where it does not.

    Its Dice is below the bound with at least half of the masks of those who keep the class; or, whatever the bound, it
    is empty, and more than half of those are not.
    """
    found = [dice(mask, own) for own in votes.masks]
    if 2 * sum(own.any() for own in votes.masks) > votes.keeps and not mask.any():
        return f"no voxel is left of the masks of {votes.keeps} readers"
    unlike = sum(value < agreement for value in found)
    if not unlike or 2 * unlike < votes.keeps:
        return ""
    return f"what they make together is unlike {unlike} of {votes.keeps} masks: Dice from {min(found):.3f}"


def any_pair(votes: Votes, agreement: float) -> str:
    """Whether a reader stands against the others: one rejects the class or says nothing, or two masks are unlike."""
    if votes.keeps != votes.readers:
        return f"{votes.keeps} of {votes.readers} readers keep it"
    found = min((dice(a, b) for a, b in combinations(votes.masks, 2)), default=1.0)
    return f"Dice of two readers is {found:.3f}" if found < agreement else ""
