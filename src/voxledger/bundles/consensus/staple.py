"""staple: the mask that is most likely, given how well each reader does against it (Warfield, Zou, Wells 2004).

Expectation maximisation estimates the true mask and, with it, every reader's sensitivity and specificity, so that a
reader who stands apart weighs less. The prior probability of a voxel is the mean share of the masks in the box that
it is computed on: here the box of all voxels that the readers do not agree to be outside, with a margin of one. The
specificity grows with that box without any end, so it is not reported. Two readers are too few to tell who does
better: ties that leave the mask open by more than `review.agreement` are a disagreement, as with `majority`.
"""

from __future__ import annotations

import numpy as np

from voxledger.bundles.merge import Mask
from voxledger.bundles.votes import Consensus, Votes, open_ties
from voxledger.imaging.boxes import bounding_box

LEAST = 0.5
"""Probability above which a voxel is of the class."""


def draw(votes: Votes) -> Mask:
    """The mask (z, y, x) by STAPLE of SimpleITK; where all masks are the same, that one.

    Examples
    --------
    >>> mask = np.zeros((4, 4, 4), bool)
    >>> mask[1:3, 1:3, 1:3] = True
    >>> bool((draw(Votes(2, 0, (mask, mask), (True, True), mask)) == mask).all())
    True
    """
    first = votes.masks[0]
    box = bounding_box(np.logical_or.reduce(votes.masks), 1)
    if box is None or all(np.array_equal(first, mask) for mask in votes.masks[1:]):
        return first
    import SimpleITK as sitk

    cropped = [sitk.GetImageFromArray(mask[box].astype(np.uint8)) for mask in votes.masks]
    found = np.zeros_like(first)
    found[box] = sitk.GetArrayFromImage(sitk.STAPLE(cropped, 1.0)) > LEAST
    return found


CONSENSUS = Consensus(dispute=open_ties, draw=draw)
