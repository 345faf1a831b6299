"""An nnU-Net trainer for budgets of hundreds of iterations instead of 250,000.

nnU-Net's recipe, SGD with momentum 0.99 and heavy augmentation, does not leave Dice 0 within such a budget. Here:
AdamW, a learning rate that falls at every iteration (polynomial, exponent 0.9) after a short warm-up, every patch
centred on foreground, and light augmentation in the same process. Network, loss, deep supervision and loading are
nnU-Net's own.

This module imports torch and nnunetv2 at once: import it only where a model is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

WARM_UP = 0.05
"""Share of the iterations over which the learning rate rises."""


class BudgetTrainer(nnUNetTrainer):  # type: ignore[misc]
    """Trains `iterations` steps on all cases; the caller sets these fields after construction."""

    iterations: int
    learning_rate: float

    def configure_optimizers(self) -> tuple[Any, Any]:
        # Fused: PyTorch's own square root. Otherwise MKL's, which differs between makes of CPU.
        optimizer = torch.optim.AdamW(
            self.network.parameters(), self.learning_rate, weight_decay=self.weight_decay, fused=True
        )
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, self._share_of_rate)

    def _share_of_rate(self, step: int) -> float:
        warm_up = max(1, round(WARM_UP * self.iterations))
        rest = max(0.0, 1 - step / self.iterations)
        return float(min(1.0, (step + 1) / warm_up) * rest**0.9)

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, bool, Any, None]:
        self.inference_allowed_mirroring_axes = None
        return None, False, self.configuration_manager.patch_size, None

    @staticmethod
    def get_training_transforms(
        patch_size: Any,
        rotation_for_DA: Any,
        deep_supervision_scales: Any,
        mirror_axes: Any,
        do_dummy_2d_data_aug: bool,
        use_mask_for_norm: Any = None,
        is_cascaded: bool = False,
        foreground_labels: Any = None,
        regions: Any = None,
        ignore_label: int | None = None,
    ) -> Any:
        return nnUNetTrainer.get_validation_transforms(
            deep_supervision_scales, is_cascaded, foreground_labels, regions, ignore_label
        )

    def _do_i_compile(self) -> bool:
        return False

    def fit(self, begin: Callable[[Any], None], report: Callable[[float], None]) -> Any:
        """Train; `begin` gets the initialised network, and `report` the loss of every step."""
        self.initialize()
        begin(self.network)
        batches, _ = self.get_dataloaders()
        self.set_deep_supervision_enabled(self.enable_deep_supervision)
        self.network.train()
        for _ in range(self.iterations):
            report(float(self.train_step(next(batches))["loss"]))
            self.lr_scheduler.step()
        return self.network
