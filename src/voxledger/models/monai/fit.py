"""The optimisation: AdamW, the learning rate rises and falls, over batches that somebody draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voxledger.models.losses import HybridLoss
from voxledger.models.optimisation import adamw
from voxledger.models.training import Training

Batch = tuple[tuple[Any, ...], tuple[tuple[Any, float], ...]]
"""What the network is called with, each (batch, channel, z, y, x); label maps (batch, z, y, x), and the weights with
which their losses are added, the first of them 1."""


def fit(training: Training, network: Any, draw: Callable[[], Batch]) -> None:
    """Train a network in place; `draw` gives the batch of every iteration."""
    import torch

    iterations = training.start.iterations
    network.to(training.device).train()
    optimizer, schedule = adamw(network.parameters(), training.model.learning_rate, iterations)
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
