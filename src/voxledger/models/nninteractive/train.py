"""A small network of nnInteractive, trained in minutes on a CPU.

nnInteractive has no public trainer. The recipe here: a plain U-Net, AdamW with a polynomial decay after a short
warm-up, Dice with cross-entropy; every patch lies around the last prompt, as it does when nnInteractive predicts.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.models.losses import HybridLoss
from voxledger.models.nninteractive.network import (
    OUTPUTS,
    architecture_name,
    build_network,
    describe_object,
    interactive_of,
    patch_of,
    require_installed,
)
from voxledger.models.nninteractive.plan import plan
from voxledger.models.nninteractive.samples import Samples
from voxledger.models.training import Training
from voxledger.records.card import DATASET, PLANS, load_weights, save_weights, to_json
from voxledger.textfile import read_json, replace_text

WARM_UP = 0.05
"""Share of the iterations over which the learning rate rises."""
CT = (-200.0, 400.0)
"""Bounds of the intensities in HU where all cases are CT: soft tissue, as its objects are seen in."""


def train(training: Training, folder: Path) -> str:
    """Train, write weights, plans and `dataset.json` into the folder, and return the architecture.

    Parameters
    ----------
    training
        Model, cases, where training starts, seed and device.
    folder
        An empty folder, the next home of the model.

    Raises
    ------
    VoxledgerError
        The cohort has no object to learn from, the patch does not fit the network, or the loss diverged.
    """
    require_installed()
    start, model = training.start, training.model
    ct = {case.modality for case in training.cases} == {"CT"}
    if start.parent is None:
        plans = plan(model.patch, model.features, CT if ct else None)
    else:
        plans = read_json(start.parent.folder / PLANS)
    replace_text(folder / PLANS, to_json(plans))
    replace_text(folder / DATASET, to_json(describe_object()))
    work = folder / "work"
    work.mkdir()
    known = interactive_of(plans)
    samples = Samples(training, patch_of(plans), known.point_radius, known.clip, work)
    network = _fit(training, plans, samples)
    shutil.rmtree(work)
    save_weights(folder, network)
    return architecture_name(plans)


def _fit(training: Training, plans: dict[str, Any], samples: Samples) -> Any:
    import torch

    iterations = training.start.iterations
    network = build_network(plans)
    if training.start.parent is not None:
        load_weights(training.start.parent.folder, network)
    network.to(training.device).train()
    # Fused: PyTorch's own square root. Otherwise MKL's, which differs between makes of CPU.
    optimizer = torch.optim.AdamW(network.parameters(), training.model.learning_rate, weight_decay=1e-4, fused=True)
    warm_up = max(1, round(WARM_UP * iterations))
    schedule = torch.optim.lr_scheduler.LambdaLR(
        optimizer, lambda step: min(1.0, (step + 1) / warm_up) * max(0.0, 1 - step / iterations) ** 0.9
    )
    loss = HybridLoss(OUTPUTS, OUTPUTS)

    def predict(inputs: npt.NDArray[np.float32]) -> npt.NDArray[np.bool_]:
        with torch.no_grad():
            logits = network(torch.from_numpy(inputs)[None].to(training.device))[0]
        found: npt.NDArray[np.bool_] = (logits.argmax(0) == 1).cpu().numpy()
        return found

    with training.report() as report:
        for _ in range(iterations):
            inputs, labels = samples.batch(training.model.batch, predict)
            optimizer.zero_grad(set_to_none=True)
            value = loss(network(inputs.to(training.device)), labels.to(training.device))
            value.backward()
            torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
            optimizer.step()
            schedule.step()
            report(value.item())
    return network
