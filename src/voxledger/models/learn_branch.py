"""Training of a branch: where features of the network are not enough for some classes, they get some of their own.

It begins where the heads ended: they stand on the branch, which says what the network says, and go on with it.
"""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.casemap.job import Job, content, place
from voxledger.models.backend import backend_of
from voxledger.models.crops import Crop, Crops
from voxledger.models.learn_heads import OWN, Learned, judged
from voxledger.models.losses import one_class
from voxledger.models.process import seed_everything
from voxledger.models.start import HeadStart, Lesson
from voxledger.models.training import Training
from voxledger.models.trunk import Trunk
from voxledger.models.windows import Window
from voxledger.records.card import HEAD_WEIGHTS

DECODER, ADAPTERS = "decoder", "adapters"


class LearnBranch(Job[Learned]):
    """Trains a branch and heads on it; leaves what it has of its own, and weights of the heads by class and layer."""

    stage, algorithms = "branches", ("retrain",)
    training: Training = content()
    kind: str = content()
    """`decoder` or `adapters`."""
    lessons: tuple[Lesson, ...] = content()
    held_out: dict[str, tuple[str, ...]] = content()
    """Cases that it is judged by, by class."""
    heads: dict[str, Path] = content()
    """Files of weights of the heads that go on, by class, as `LearnHead` leaves them."""
    grown_from: int = content()
    """Number of the branch of the parent that it goes on from; 0 is the network."""
    corrects: dict[str, tuple[int, ...]] = content()
    """Channels of the network that each head corrects, by class."""
    portable: bool = content()
    """Whether it computes with instructions that every CPU has: other ones give other last bits."""
    judges: dict[str, Sequence[Window]] = place()
    """Of the cases that are held out for each class."""

    def compute(self, folder: Path) -> Learned:
        """Train, judge, and write the weights."""
        from safetensors.torch import save_file

        from voxledger.models.branch import joined, own_weights

        trunk, network, before = self._network()
        work = folder / "work"
        work.mkdir()
        voxels, dice = self._fit(network, Crops(self.training, trunk, self.lessons, work)), dict[str, float]()
        shutil.rmtree(work)
        for number, lesson in enumerate(self.lessons):
            name = lesson.class_name
            found = judged(name, self.judges[name], partial(self._logits, network, number))
            dice |= {} if found is None else {name: found}
            voxels += sum(window.mask.size for window in self.judges[name])
        weights = joined(before, own_weights(network.branches["1"]))
        for lesson, head in zip(self.lessons, network.heads, strict=True):
            state = head.cpu().state_dict()
            weights |= {f"{HEAD_WEIGHTS}{lesson.class_name}/{layer}": t.contiguous() for layer, t in state.items()}
        save_file(weights, folder / OWN)
        return Learned(voxels, dice)

    @property
    def device(self) -> str:
        """Where it computes."""
        return self.training.device

    @property
    def _names(self) -> list[str]:
        return [lesson.class_name for lesson in self.lessons]

    def _logits(self, network: Any, number: int, window: Window) -> npt.NDArray[np.float32]:
        """What the head of a number says of a window, (1, z, y, x)."""
        import torch

        with torch.inference_mode():
            features = network.eval().features_of_branch(1, _tensor(window.part(0), self.device))
            return np.asarray(network.heads[number](features)[0].cpu())

    def _network(self) -> tuple[Trunk, Any, dict[str, Any]]:
        """The network, that with the branch as number 1 and heads on it, and what the branch has of its own already."""
        from safetensors.torch import load_file

        from voxledger.models.branch import grown, with_adapters, with_decoder
        from voxledger.models.frozen import Frozen, head_with
        from voxledger.records.card import BRANCH_WEIGHTS, load_tensors

        seed_everything(self.training.seed)
        parent = self.training.start.parent
        assert parent is not None
        trunk = backend_of(parent.card).trunk(parent.folder)
        prefix = f"{BRANCH_WEIGHTS}{self.grown_from}/"
        before = load_tensors(parent.folder, prefix) if self.grown_from else {}
        start = grown(trunk.network, before)
        branch = with_decoder(start, trunk.decoder(start)) if self.kind == DECODER else with_adapters(start)
        heads = [(head_with(load_file(self.heads[name])), self.corrects[name], 1) for name in self._names]
        return trunk, Frozen(trunk.network, trunk.decoders, heads, {1: branch}).to(self.device), before

    def _fit(self, network: Any, crops: Crops) -> int:
        """Train the branch and its heads in place; returns how many voxels they were trained on."""
        import torch

        from voxledger.models.optimisation import adamw

        training, start = self.training, self.training.start
        assert isinstance(start, HeadStart)
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        optimizer, schedule = adamw(weights, training.model.learning_rate, start.grown)
        network.train()
        voxels = 0
        with training.report(self.kind, start.grown) as report:
            for _ in range(start.grown):
                batch = crops.batch(training.model.batch)
                voxels += sum(crop.labels.size for crop in batch) * (2 if any(self.corrects.values()) else 1)
                optimizer.zero_grad(set_to_none=True)
                value = self._loss(network, batch)
                value.backward()
                torch.nn.utils.clip_grad_norm_(weights, 12)
                optimizer.step()
                schedule.step()
                report(value.item())
        return voxels

    def _loss(self, network: Any, batch: Sequence[Crop]) -> Any:
        """Mean of the losses of all classes that any of some patches teaches."""
        from voxledger.models.frozen import log_odds

        images = _tensor([crop.image[None] for crop in batch], self.device)
        features = network.features_of_branch(1, images)
        said = network.features(images)[0] if any(self.corrects.values()) else None
        losses = []
        for lesson, head in zip(self.lessons, network.heads, strict=True):
            taught = [n for n, crop in enumerate(batch) if crop.case_id in {*lesson.people, *lesson.model}]
            if not taught:
                continue
            name, logits = lesson.class_name, head(features)
            if self.corrects[name]:
                logits = logits + log_odds(said, self.corrects[name])
            numbers = self.training.numbers_within(name)
            masks = [np.isin(batch[n].labels, numbers)[None] for n in taught]
            losses.append(one_class(logits[taught], _tensor(masks, self.device)))
        return sum(losses) / len(losses)


def _tensor(values: Sequence[Any], device: str) -> Any:
    import torch

    return torch.from_numpy(np.stack(values).astype(np.float32)).to(device)
