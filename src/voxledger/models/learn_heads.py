"""Training of heads on the features of a network that stays as it is (Continual Tuning).

Every head is trained by itself, on Dice + cross-entropy of its class against all else, in parts of the windows that
`models/trunk.py` keeps: what is known of one class is all that its head needs to know.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.casemap.job import Job, content, place
from voxledger.models.losses import one_class
from voxledger.models.process import seed_everything
from voxledger.models.start import Lesson
from voxledger.models.training import Training
from voxledger.models.windows import Parts, Window

RATE = 5.0
"""Learning rate of heads, as a multiple of that of the model: a lower one does not leave the plateau that they begin on
in so few iterations."""
_LOOKED_AT = 16
"""Windows that mean and standard deviation of features are taken from."""
_RAREST = 1e-4
"""Least share of voxels that a new head begins with as the probability of its class."""
HEADS = "heads"
"""What this step is called."""
OWN = "own.safetensors"
"""What a job leaves of weights."""


@dataclass(frozen=True)
class Learned:
    """What came of a training."""

    voxels: int
    """Voxels that weights were trained on, iteration by iteration, and that it was judged by."""
    dice: dict[str, float]
    """By class, over the cases that are held out; none where none of these shows the class."""


class LearnHead(Job[Learned]):
    """Trains the head of one class; leaves its weights by layer."""

    stage, algorithms = "heads", ("retrain",)
    training: Training = content()
    lesson: Lesson = content()
    corrects: tuple[int, ...] = content()
    """Channels of the network that it corrects."""
    portable: bool = content()
    """Whether it computes with instructions that every CPU has: other ones give other last bits."""
    known: dict[str, Any] = place()
    """Weights of the head that it goes on from, if any."""
    windows: Sequence[Window] = place()
    """Of the cases of the lesson."""
    judges: Sequence[Window] = place()
    """Of the cases that are held out."""

    def compute(self, folder: Path) -> Learned:
        """Train, judge, and write the weights."""
        from safetensors.torch import save_file

        head, voxels = self._fit()
        found = judged(self.lesson.class_name, self.judges, self._logits_of(head), corrects=True)
        save_file({name: tensor.contiguous() for name, tensor in head.cpu().state_dict().items()}, folder / OWN)
        voxels += sum(window.mask.size for window in self.judges)
        return Learned(voxels, {} if found is None else {self.lesson.class_name: found})

    def _fit(self) -> tuple[Any, int]:
        import torch

        from voxledger.models.frozen import ClassHead, restored
        from voxledger.models.optimisation import adamw

        training, name = self.training, self.lesson.class_name
        seed_everything(training.seed)
        channels = [shape[0] for shape in self.windows[0].shapes[: self.windows[0].scales]]
        if self.known:
            head = restored(channels, self.known)
        else:
            head = ClassHead(channels, bool(self.corrects), self.lesson.embedding)
            _begin(head, self.windows, bool(self.corrects))
        head.to(training.device).train()
        iterations = training.start.iterations
        optimizer, schedule = adamw(head.parameters(), RATE * training.model.learning_rate, iterations)
        draw = Parts(self.windows, name, training.seed)
        with training.report(name) as report:
            for _ in range(iterations):
                features, said, wanted = (
                    [torch.from_numpy(one).to(training.device) for one in values]
                    for values in draw.batch(training.model.batch)
                )
                optimizer.zero_grad(set_to_none=True)
                value = one_class(head(features) + (said[0] if said else 0), wanted[0])
                value.backward()
                torch.nn.utils.clip_grad_norm_(head.parameters(), 12)
                optimizer.step()
                schedule.step()
                report(value.item())
        return head, iterations * training.model.batch * draw.voxels

    def _logits_of(self, head: Any) -> Callable[[Window], npt.NDArray[np.float32]]:
        """What the head alone says of a window, (1, z, y, x)."""
        import torch

        def logits(window: Window) -> npt.NDArray[np.float32]:
            features = [
                torch.from_numpy(np.array(one, np.float32))[None].to(self.training.device)
                for one in window.part(*range(window.scales))
            ]
            with torch.inference_mode():
                return np.asarray(head.eval()(features)[0].cpu())

        return logits


def judged(
    name: str, windows: Sequence[Window], logits: Callable[[Window], npt.NDArray[np.float32]], corrects: bool
) -> float | None:
    """Mean Dice of a class over the cases that show it, by the windows that cover them; None where none does.

    Parameters
    ----------
    logits
        Gives what is said of a window, (1, z, y, x).
    corrects
        Whether that is added to what the network says, if it says anything.
    """
    counts: dict[str, list[int]] = {}
    for window in windows:
        said = window.said(name) if corrects else None
        found = logits(window)[0] + (0 if said is None else said[0]) > 0
        one = counts.setdefault(window.case_id, [0, 0, 0])
        for place_in, part in enumerate((found & window.mask, found, window.mask)):
            one[place_in] += int(np.count_nonzero(part))
    dice = [2 * both / (found + true) for both, found, true in counts.values() if true]
    return round(float(np.mean(dice)), 4) if dice else None


def _begin(head: Any, windows: Sequence[Window], corrects: bool) -> None:
    """Set what a new head brings features to the same scale with, and the probability that it begins with."""
    import torch

    for number in range(windows[0].scales):
        total = squares = 0.0
        voxels = 0
        for window in windows[:: -(-len(windows) // _LOOKED_AT)]:
            (found,) = window.part(number)
            values = np.asarray(found, np.float32).reshape(len(found), -1)
            total, squares = total + values.sum(1, dtype=np.float64), squares + (values**2).sum(1, dtype=np.float64)
            voxels += values.shape[1]
        mean = total / voxels
        deviation = np.sqrt(np.maximum(squares / voxels - mean**2, 0))
        getattr(head, f"mean_{number}").copy_(torch.from_numpy(np.asarray(mean)))
        getattr(head, f"deviation_{number}").copy_(torch.from_numpy(np.maximum(deviation, 1e-3)))
    if not corrects:
        share = sum(int(w.mask.sum()) for w in windows) / sum(w.mask.size for w in windows)
        share = min(max(share, _RAREST), 1 - _RAREST)
        torch.nn.init.constant_(head.last.bias, math.log(share / (1 - share)))
