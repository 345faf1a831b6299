"""An nnU-Net trainer for budgets of hundreds of iterations instead of 250,000.

nnU-Net's recipe, SGD with momentum 0.99 and heavy augmentation, does not leave Dice 0 within such a budget. Here:
AdamW, a learning rate that falls at every iteration (polynomial, exponent 0.9) after a short warm-up, every patch
centred on a class, a lesion or the background, in the same process. Augmentation, none by default, is nnU-Net's own
without mirroring, since organs have sides. Network, Dice with cross-entropy, deep supervision and loading are
nnU-Net's.

This module imports torch and nnunetv2 at once: import it only where a model is trained.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from nnunetv2.training.loss.deep_supervision import DeepSupervisionWrapper
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

from voxledger.models.centres import lesion_numbers
from voxledger.models.heads import learning
from voxledger.models.losses import HybridLoss
from voxledger.models.nnunet.centred import CentredDataset
from voxledger.models.start import Phase
from voxledger.models.training import Training

WARM_UP = 0.05
"""Share of the iterations over which the learning rate rises."""


class BudgetTrainer(nnUNetTrainer):  # type: ignore[misc]
    """Trains on all cases what the caller sets after construction."""

    wanted: Training
    phase = Phase(1)
    """What of the training the optimiser is for."""

    def configure_optimizers(self) -> tuple[Any, Any]:
        # Fused: PyTorch's own square root. Otherwise MKL's, which differs between makes of CPU.
        rate = self.wanted.model.learning_rate * self.phase.rate
        optimizer = torch.optim.AdamW(self.network.parameters(), rate, weight_decay=self.weight_decay, fused=True)
        return optimizer, torch.optim.lr_scheduler.LambdaLR(optimizer, self._share_of_rate)

    def _share_of_rate(self, step: int) -> float:
        warm_up = max(1, round(WARM_UP * self.phase.iterations))
        rest = max(0.0, 1 - step / self.phase.iterations)
        return float(min(1.0, (step + 1) / warm_up) * rest**0.9)

    @property
    def _strong(self) -> bool:
        return self.wanted.model.augmentation == "strong"

    def configure_rotation_dummyDA_mirroring_and_inital_patch_size(self) -> tuple[Any, bool, Any, None]:
        rotation, flat, size, _ = super().configure_rotation_dummyDA_mirroring_and_inital_patch_size()
        self.inference_allowed_mirroring_axes = None
        return (
            (rotation, flat, size, None) if self._strong else (None, False, self.configuration_manager.patch_size, None)
        )

    def get_training_transforms(self, patch_size: Any, rotation: Any, scales: Any, *more: Any, **kwargs: Any) -> Any:
        if self._strong:
            return super().get_training_transforms(patch_size, rotation, scales, *more, **kwargs)
        names = ("is_cascaded", "foreground_labels", "regions", "ignore_label")
        return nnUNetTrainer.get_validation_transforms(scales, *(kwargs[name] for name in names))

    def get_tr_and_val_datasets(self) -> tuple[Any, Any]:
        cases, validation = super().get_tr_and_val_datasets()
        centred = CentredDataset(self.preprocessed_dataset_folder, list(cases.identifiers))
        wanted = self.wanted
        self._chances = centred.centre(lesion_numbers(wanted.schema), wanted.model.lesion_share, wanted.seed)
        return centred, validation

    def get_dataloaders(self) -> tuple[Any, Any]:
        batches, validation = super().get_dataloaders()
        batches.data_loader.sampling_probabilities = self._chances
        return batches, validation

    def _build_loss(self) -> Any:
        loss = super()._build_loss()
        if self.wanted.model.loss == "dice_ce":
            return loss
        heads = self.label_manager.num_segmentation_heads
        hybrid = HybridLoss(heads, self.wanted.ignore, self.wanted.model.loss)

        def ours(logits: Any, labels: Any) -> Any:
            return hybrid(logits.float(), labels[:, 0].long())

        return DeepSupervisionWrapper(ours, loss.weight_factors) if self.enable_deep_supervision else ours

    def _do_i_compile(self) -> bool:
        return False

    def fit(self, begin: Callable[[Any], None], report: Callable[[float], None], build: Callable[[int], Any]) -> Any:
        """Train; `begin` gets the initialised network, `report` the loss of every step; `build` as for `learning`."""
        self.initialize()
        begin(self.network)
        batches, _ = self.get_dataloaders()
        self.set_deep_supervision_enabled(self.enable_deep_supervision)
        for phase in self.wanted.start.phases:
            self.phase = phase
            with learning(phase, self.network, build):
                self.optimizer, self.lr_scheduler = self.configure_optimizers()
                for _ in range(phase.iterations):
                    report(float(self.train_step(next(batches))["loss"]))
                    self.lr_scheduler.step()
        return self.network
