"""The optimisation: AdamW, the learning rate rises and falls, over batches that somebody draws."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from voxledger.models.heads import learning
from voxledger.models.losses import HybridLoss
from voxledger.models.optimisation import adamw
from voxledger.models.training import Training

Batch = tuple[tuple[Any, ...], tuple[tuple[Any, float], ...]]
"""What the network is called with, each (batch, channel, z, y, x); label maps (batch, z, y, x), and the weights with
which their losses are added, the first of them 1."""


def fit(training: Training, network: Any, draw: Callable[[], Batch], build: Callable[[int], Any]) -> None:
    """Train a network in place; `draw` gives the batch of every iteration, `build` it with some number of outputs."""
    import torch

    network.to(training.device)
    loss = HybridLoss(len(training.schema.classes) + 1, training.ignore, training.model.loss)

    def judge(inputs: tuple[Any, ...], wanted: tuple[tuple[Any, float], ...]) -> Any:
        answer = _finest(network(*(one.to(training.device) for one in inputs)))
        value = loss(answer, wanted[0][0].to(training.device))
        for labels, weight in wanted[1:]:
            value = value + weight * loss(answer, labels.to(training.device))
        return value

    with training.report() as report:
        for phase in training.start.phases:
            with learning(phase, network, build) as parameters:
                optimizer, schedule = adamw(parameters, training.model.learning_rate * phase.rate, phase.iterations)
                for _ in range(phase.iterations):
                    batch = draw()
                    optimizer.zero_grad(set_to_none=True)
                    value = judge(*batch)
                    value.backward()
                    torch.nn.utils.clip_grad_norm_(parameters, 12)
                    optimizer.step()
                    schedule.step()
                    report(value.item())


def _finest(outputs: Any) -> Any:
    """Logits (batch, channel, patch) of the finest output, of networks that train several (DynUNet, SegResNetDS)."""
    if isinstance(outputs, list | tuple):
        return outputs[0]
    return outputs[:, 0] if outputs.ndim == 6 else outputs
