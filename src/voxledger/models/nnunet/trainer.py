"""nnU-Net's trainer as it is, on all cases of a cohort.

Planner, network, augmentation, loss, SGD and schedule are nnU-Net's own. Left out is what changes no weight: the
validation after every epoch, on the cases that it trains on, checkpoints and drawings.

This module imports torch and nnunetv2 at once: import it only where a model is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer


class RecipeTrainer(nnUNetTrainer):  # type: ignore[misc]
    """Trains `num_epochs` epochs; the caller sets that and `mirrored` after construction."""

    mirrored: tuple[int, ...]
    """Axes along which patches are mirrored; none where a model from elsewhere tells left from right."""

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, bool, Any, Any]:
        rotation, dummy, patch, _ = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        self.inference_allowed_mirroring_axes = self.mirrored or None
        return rotation, dummy, patch, self.inference_allowed_mirroring_axes

    def _do_i_compile(self) -> bool:
        return False

    def fit(self, begin: Callable[[Any], None], report: Callable[[float], None]) -> None:
        """Train; `begin` gets the initialised network, and `report` the loss of every step."""
        self.disable_checkpointing = True
        self.initialize()
        begin(self.network)
        self.dataloader_train, self.dataloader_val = self.get_dataloaders()
        self.set_deep_supervision_enabled(self.enable_deep_supervision)
        for _ in range(self.num_epochs):
            self.on_train_epoch_start()
            for _ in range(self.num_iterations_per_epoch):
                report(float(self.train_step(next(self.dataloader_train))["loss"]))
            self.current_epoch += 1
        self.on_train_end()
