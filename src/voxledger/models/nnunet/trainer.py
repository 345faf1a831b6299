"""nnU-Net's trainer as it is, on all cases of a cohort.

Planner, network, augmentation, loss, SGD and schedule are nnU-Net's own. Left out is what changes no weight: the
validation after every epoch, on the cases that it trains on, checkpoints and drawings.

This module imports torch and nnunetv2 at once: import it only where a model is trained.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from voxledger.models.heads import learning
from voxledger.models.start import Phase


class RecipeTrainer(nnUNetTrainer):  # type: ignore[misc]
    """Trains the epochs of some phases; the caller sets `mirrored` after construction."""

    initial_lr: float
    mirrored: tuple[int, ...]
    """Axes along which patches are mirrored; none where a model from elsewhere tells left from right."""

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, bool, Any, Any]:
        rotation, dummy, patch, _ = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        self.inference_allowed_mirroring_axes = self.mirrored or None
        return rotation, dummy, patch, self.inference_allowed_mirroring_axes

    def _do_i_compile(self) -> bool:
        return False

    def fit(
        self,
        begin: Callable[[Any], None],
        report: Callable[[float], None],
        phases: Sequence[Phase],
        build: Callable[[int], Any],
    ) -> None:
        """Train; `begin` gets the initialised network, `report` the loss of every step; `build` as for `learning`."""
        self.disable_checkpointing = True
        self.initialize()
        begin(self.network)
        self.dataloader_train, self.dataloader_val = self.get_dataloaders()
        self.set_deep_supervision_enabled(self.enable_deep_supervision)
        rate: float = self.initial_lr
        for phase in phases:
            self.initial_lr, self.current_epoch = rate * phase.rate, 0
            self.num_epochs = phase.iterations // self.num_iterations_per_epoch
            with learning(phase, self.network, build):
                self.optimizer, self.lr_scheduler = self.configure_optimizers()
                for _ in range(self.num_epochs):
                    self.on_train_epoch_start()
                    self.network.train(not phase.outputs_only)
                    for _ in range(self.num_iterations_per_epoch):
                        report(float(self.train_step(next(self.dataloader_train))["loss"]))
                    self.current_epoch += 1
        self.on_train_end()
