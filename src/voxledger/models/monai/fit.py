"""The optimisation: AdamW, the learning rate rises and falls, over batches that somebody draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voxledger.models.losses import HybridLoss
from voxledger.models.training import Training

_WARM_UP = 0.05
"""Share of the iterations over which the learning rate rises."""

Batch = tuple[tuple[Any, ...], tuple[tuple[Any, float], ...]]
"""What the network is called with, each (batch, channel, z, y, x); label maps (batch, z, y, x), and the weights with
which their losses are added, the first of them 1."""


def fit(training: Training, network: Any, draw: Callable[[], Batch]) -> None:
    """Train a network in place; `draw` gives the batch of every iteration."""
    import torch

    iterations = training.start.iterations
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
            inputs, wanted = draw()
            optimizer.zero_grad(set_to_none=True)
            answer = _finest(network(*(one.to(training.device) for one in inputs)))
            value = loss(answer, wanted[0][0].to(training.device))
            for labels, weight in wanted[1:]:
                value = value + weight * loss(answer, labels.to(training.device))
            value.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
            optimizer.step()
            schedule.step()
            report(value.item())


def _finest(outputs: Any) -> Any:
    """Logits (batch, channel, patch) of the finest output, of networks that train several (DynUNet, SegResNetDS)."""
    if isinstance(outputs, list | tuple):
        return outputs[0]
    return outputs[:, 0] if outputs.ndim == 6 else outputs
