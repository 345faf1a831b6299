"""nnU-Net's trainer as it is, on all cases of a cohort.

Planner, network, augmentation, loss, SGD and schedule are nnU-Net's own. Left out is what changes no weight: the
validation after every epoch, on the cases that it trains on, checkpoints and drawings.

This module imports torch and nnunetv2 at once: import it only where a model is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from voxledger.records.card import load_weights


class RecipeTrainer(nnUNetTrainer):  # type: ignore[misc]
    """Trains `num_epochs` epochs, which the caller sets after construction."""

    def _do_i_compile(self) -> bool:
        return False

    def fit(self, parent: tuple[Path, str] | None, report: Callable[[float], None]) -> None:
        """Train, from the weights of a model folder and the prefix of their names if there is one.

        `report` gets the loss of every step.
        """
        self.disable_checkpointing = True
        self.initialize()
        if parent is not None:
            load_weights(parent[0], self.network, parent[1])
        self.dataloader_train, self.dataloader_val = self.get_dataloaders()
        self.set_deep_supervision_enabled(self.enable_deep_supervision)
        for _ in range(self.num_epochs):
            self.on_train_epoch_start()
            for _ in range(self.num_iterations_per_epoch):
                report(float(self.train_step(next(self.dataloader_train))["loss"]))
            self.current_epoch += 1
        self.on_train_end()
