"""How weights of a small budget are optimised: AdamW, whose learning rate rises and falls."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

_WARM_UP = 0.05
"""Share of the iterations over which the learning rate rises."""


def adamw(parameters: Iterable[Any], learning_rate: float, iterations: int) -> tuple[Any, Any]:
    """Optimizer and schedule; the rate falls at every iteration (polynomial, exponent 0.9) after a short warm-up."""
    import torch

    # Fused: PyTorch's own square root. Otherwise MKL's, which differs between makes of CPU.
    optimizer = torch.optim.AdamW(parameters, learning_rate, weight_decay=1e-4, fused=True)
    warm_up = max(1, round(_WARM_UP * iterations))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warm_up) * max(0.0, 1 - step / iterations) ** 0.9
    )
    return optimizer, schedule
