"""MONAI networks: U-Net, SegResNet or Swin UNETR, trained on patches around foreground."""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from voxledger.models.dataset import describe, with_untaught
from voxledger.models.heads import take_over
from voxledger.models.losses import HybridLoss
from voxledger.models.monai.network import architecture_name, build_network
from voxledger.models.monai.patches import Patches
from voxledger.models.monai.plan import plan
from voxledger.models.training import Training
from voxledger.records.card import DATASET, PLANS, load_tensors, save_weights, to_json
from voxledger.textfile import read_json, replace_text

_WARM_UP = 0.05
"""Share of the iterations over which the learning rate rises."""


def train(training: Training, folder: Path) -> str:
    """Train, write weights, plans and `dataset.json` into the folder, and return the architecture.

    Parameters
    ----------
    training
        Model, cases with what is to be learned of them, where training starts, seed and device.
    folder
        An empty folder, the next home of the model.

    Raises
    ------
    VoxledgerError
        The cohort teaches nothing: no class has a voxel, or nothing tells what is background; or the loss diverged.
    """
    dataset = describe(
        training.schema, (case.modality for case in training.cases), len(training.cases), training.ignores
    )
    ct = dataset["channel_names"]["0"] == "CT"
    plans = plan(training, ct) if training.start.parent is None else read_json(training.start.parent.folder / PLANS)
    replace_text(folder / PLANS, to_json(plans))
    work = folder / "work"
    work.mkdir()
    patches = Patches(training, plans, work)
    replace_text(folder / DATASET, to_json(with_untaught(dataset, patches.learned, training.start.dataset)))
    network = _fit(training, plans, dataset, patches)
    shutil.rmtree(work)
    save_weights(folder, network)
    return architecture_name(plans)


def _fit(training: Training, plans: dict[str, Any], dataset: dict[str, Any], patches: Patches) -> Any:
    import torch

    iterations = training.start.iterations
    network = build_network(plans, len(training.schema.classes) + 1)
    if training.start.parent is not None and training.start.dataset is not None:
        weights = load_tensors(training.start.parent.folder)
        take_over(network, weights, training.start.dataset, dataset, lambda count: build_network(plans, count))
    network.to(training.device).train()
    # Fused: PyTorch's own square root. Otherwise MKL's, which differs between makes of CPU.
    optimizer = torch.optim.AdamW(network.parameters(), training.model.learning_rate, weight_decay=1e-4, fused=True)
    warm_up = max(1, round(_WARM_UP * iterations))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warm_up) * max(0.0, 1 - step / iterations) ** 0.9
    )
    loss = HybridLoss(len(training.schema.classes) + 1, training.ignore, training.model.loss)
    with training.report() as report:
        for _ in range(iterations):
            images, labels = patches.batch(training.model.batch)
            optimizer.zero_grad(set_to_none=True)
            value = loss(_finest(network(images.to(training.device))), labels.to(training.device))
            value.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
            optimizer.step()
            schedule.step()
            report(value.item())
    return network


def _finest(outputs: Any) -> Any:
    """Logits (batch, channel, patch) of the finest output, of networks that train several (DynUNet, SegResNetDS)."""
    if isinstance(outputs, list | tuple):
        return outputs[0]
    return outputs[:, 0] if outputs.ndim == 6 else outputs
