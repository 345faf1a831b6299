"""Training of a branch: outputs, and a decoder or adapters, of its own for classes that heads are not enough for."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger import layout
from voxledger.casemap.job import Job, content, place
from voxledger.errors import VoxledgerError
from voxledger.models.backend import backend_of
from voxledger.models.channels import inside
from voxledger.models.crops import Crop, Crops
from voxledger.models.dataset import BACKGROUND, Branch
from voxledger.models.heads import take_over
from voxledger.models.learn_heads import OWN, Learned, judged
from voxledger.models.losses import one_class
from voxledger.models.process import seed_everything
from voxledger.models.start import HeadStart, Lesson
from voxledger.models.training import Training
from voxledger.models.trunk import Trunk
from voxledger.models.windows import Window
from voxledger.records.card import BRANCH_WEIGHTS, load_tensors, weights_of

DECODER, ADAPTERS = "decoder", "adapters"
RATE = 2.5
"""Learning rate of branches, as a multiple of that of the model: outputs of their own begin on a plateau, and of so few
iterations many go by before they leave it."""


class LearnBranch(Job[Learned]):
    """Trains a branch that speaks for some classes; leaves what it has of its own."""

    stage, algorithms = "branches", ("retrain",)
    training: Training = content()
    branch: Branch = content()
    """What is made, with its number in the next model."""
    grown_from: int = content()
    """Number of the branch of the parent that it goes on from; 0 is the network."""
    lessons: tuple[Lesson, ...] = content()
    portable: bool = content()
    """Whether it computes with instructions that every CPU has: other ones give other last bits."""
    origin: Branch | None = place()
    """The branch of the parent that it goes on from."""
    judges: dict[str, Sequence[Window]] = place()
    """Of the cases that are held out for each class."""

    def compute(self, folder: Path) -> Learned:
        """Train, judge, and write the weights."""
        from safetensors.torch import save_file

        from voxledger.models.branch import joined, own_weights

        network, trunk, outputs, before = self._begun()
        work = folder / "work"
        work.mkdir()
        voxels, dice = self._fit(network, Crops(self.training, trunk, self.lessons, work)), dict[str, float]()
        shutil.rmtree(work)
        for name, windows in self.judges.items():
            found = judged(name, windows, self._logits_of(network, name), corrects=False)
            dice |= {} if found is None else {name: found}
            voxels += sum(window.mask.size for window in windows)
        save_file(joined(before, own_weights(network, outputs)), folder / OWN)
        return Learned(voxels, dice)

    def _begun(self) -> tuple[Any, Trunk, set[str], dict[str, Any]]:
        """The branch to train, what the backend says of the network, names of the tensors that are outputs, and what
        the branch that it goes on from has of its own.

        Raises `VoxledgerError` where the network is none that takes other numbers of outputs.
        """
        from voxledger.models.branch import add_adapters, free_decoder, outputs_of
        from voxledger.models.frozen import load_branch

        parent, dataset = self.training.start.parent, self.training.start.dataset
        assert parent is not None
        assert dataset is not None
        seed_everything(self.training.seed)
        trunk = backend_of(parent.card).trunk(parent.folder)
        start, known, before = trunk.network, dataset, dict[str, Any]()
        if self.origin is not None:
            start, known = load_branch(parent.folder, start, trunk.build, self.origin), _dataset(self.origin.classes)
            before = load_tensors(parent.folder, f"{BRANCH_WEIGHTS}{self.origin.number}/")
        try:
            network, outputs = trunk.build(len(self.branch.classes) + 1), outputs_of(trunk.build)
        except ValueError as error:  # a group normalisation of the outputs
            raise VoxledgerError(
                f"{parent.card.name}: its network cannot be built with other numbers of outputs ({error}), so that no "
                f"{self.branch.kind} can stand beside it",
                f"say `retrain.continual: heads` in {layout.PARAMS}",
            ) from None
        take_over(network, weights_of(start), known, _dataset(self.branch.classes), trunk.build)
        if self.branch.kind == DECODER:
            free_decoder(network, trunk.decoder(network), outputs)
        else:
            add_adapters(network, outputs)
        return network.to(self.training.device).eval(), trunk, outputs, before

    def _fit(self, network: Any, crops: Crops) -> int:
        """Train the branch in place; returns how many voxels it was trained on. Its normalisation stays as it is."""
        import torch

        from voxledger.models.optimisation import adamw

        training, start = self.training, self.training.start
        assert isinstance(start, HeadStart)
        weights = [weight for weight in network.parameters() if weight.requires_grad]
        optimizer, schedule = adamw(weights, RATE * training.model.learning_rate, start.grown)
        voxels = 0
        with training.report(self.branch.kind, start.grown) as report:
            for _ in range(start.grown):
                batch = crops.batch(training.model.batch)
                voxels += sum(crop.labels.size for crop in batch)
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
        from voxledger.models.frozen import against_others

        logits, losses = network(_tensor([crop.image[None] for crop in batch], self.training.device)), []
        for lesson in self.lessons:
            taught = [n for n, crop in enumerate(batch) if crop.case_id in {*lesson.people, *lesson.model}]
            if taught:
                numbers = self.training.numbers_within(lesson.class_name)
                masks = [np.isin(batch[n].labels, numbers)[None] for n in taught]
                found = against_others(logits[taught], self.branch.channels[lesson.class_name])
                losses.append(one_class(found, _tensor(masks, self.training.device)))
        return sum(losses) / len(losses)

    def _logits_of(self, network: Any, name: str) -> Callable[[Window], npt.NDArray[np.float32]]:
        """What the branch says of a class in a window, (1, z, y, x)."""
        import torch

        from voxledger.models.frozen import log_odds

        def logits(window: Window) -> npt.NDArray[np.float32]:
            with torch.inference_mode():
                found = network(_tensor(window.part(0), self.training.device))
                return np.asarray(log_odds(found, self.branch.channels[name])[0].cpu())

        return logits


def branch_for(number: int, kind: str, training: Training, classes: Sequence[str]) -> Branch:
    """A branch that speaks for some classes; what lies in one of them counts as that, too."""
    of = {name: (channel,) for channel, name in enumerate(classes, start=1)}
    return Branch(number, kind, tuple(classes), {name: tuple(inside(of, training.labels, name)) for name in classes})


def _dataset(classes: Sequence[str]) -> dict[str, Any]:
    """What `take_over` wants to know of the outputs of a branch."""
    return {"labels": {BACKGROUND: 0, **{name: channel for channel, name in enumerate(classes, start=1)}}}


def _tensor(values: Sequence[Any], device: str) -> Any:
    import torch

    return torch.from_numpy(np.stack(values).astype(np.float32)).to(device)
