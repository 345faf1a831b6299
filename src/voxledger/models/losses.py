"""Losses of trainings: an overlap of classes plus a term by voxel, over the voxels that are known.

dice_ce     Dice + cross-entropy
dice_focal  Dice + focal loss, −(1 − p)² ln p (Lin et al. 2017): well classified voxels count little
tversky_ce  Tversky index (Salehi et al. 2017) with 0.3 for a voxel too many and 0.7 for a missed one + cross-entropy

Overlaps are over the whole batch and leave the background out.
"""

from __future__ import annotations

from typing import Any

FOCUS = 2.0
"""Exponent of the focal loss."""
TOO_MANY, MISSED = 0.3, 0.7
"""Weights of false positive and false negative voxels in the Tversky index."""


class HybridLoss:
    """Overlap plus voxel term over the voxels that are known.

    Parameters
    ----------
    outputs
        Channels of the network, background first.
    ignore
        Label of voxels that have no say in either term.
    kind
        `dice_ce`, `dice_focal` or `tversky_ce`.
    """

    def __init__(self, outputs: int, ignore: int, kind: str = "dice_ce") -> None:
        from monai.losses import DiceLoss, FocalLoss, TverskyLoss

        common = {"include_background": False, "batch": True, "smooth_nr": 1e-5, "smooth_dr": 1e-5}
        self._outputs, self._ignore = outputs, ignore
        self._overlap = (
            TverskyLoss(alpha=TOO_MANY, beta=MISSED, **common) if kind == "tversky_ce" else DiceLoss(**common)
        )
        self._focal = FocalLoss(gamma=FOCUS, use_softmax=True, reduction="none") if kind == "dice_focal" else None

    def __call__(self, logits: Any, labels: Any) -> Any:
        """Loss of logits (batch, channel, z, y, x) against labels (batch, z, y, x)."""
        import torch
        from torch.nn.functional import cross_entropy, one_hot

        known = labels != self._ignore
        if not known.any():
            return logits.sum() * 0.0
        wanted = one_hot(torch.where(known, labels, 0), self._outputs).movedim(-1, 1)
        overlap = self._overlap(logits.softmax(1) * known[:, None], wanted * known[:, None])
        if self._focal is None:
            return overlap + cross_entropy(logits, labels, ignore_index=self._ignore)
        voxels = self._focal(logits, wanted.to(logits.dtype)).sum(1)
        return overlap + (voxels * known).sum() / known.sum()


def one_class(logits: Any, mask: Any) -> Any:
    """Dice + cross-entropy of a class against all else; logits and mask of one shape, the overlap over all of it."""
    from torch.nn.functional import binary_cross_entropy_with_logits

    found = logits.sigmoid()
    overlap = (2 * (found * mask).sum() + 1e-5) / (found.sum() + mask.sum() + 1e-5)
    return 1 - overlap + binary_cross_entropy_with_logits(logits, mask)
