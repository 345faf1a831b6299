"""Training of heads on the features of a network that stays as it is (Continual Tuning).

Every head is trained by itself, on Dice + cross-entropy of its class against all else, in parts of the windows that
`models/trunk.py` keeps: what is known of one class is all that its head needs to know.
"""

from __future__ import annotations

import math
import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.casemap.memo import folder_of, forget
from voxledger.casemap.once import files_of, once
from voxledger.models.channels import inside
from voxledger.models.dataset import HEADS, channels, heads, untaught
from voxledger.models.model import Model
from voxledger.models.process import seed_everything
from voxledger.models.start import HeadStart, Lesson
from voxledger.models.training import Training
from voxledger.models.trunk import Kept, RunTrunk
from voxledger.progress import progress
from voxledger.records.card import DATASET, HEAD_WEIGHTS, PLANS, head_of, load_tensors, save_tensors, to_json
from voxledger.textfile import read_json, replace_text

RATE = 5.0
"""Learning rate of heads, as a multiple of that of the model: a lower one does not leave the plateau that they begin on
in so few iterations."""
_SEEN = 0.67
"""Share of the parts that are laid around a voxel of the class; others lie anywhere."""
_VOXELS = 2000
"""Voxels of a class in a window that parts may be laid around."""
_LOOKED_AT = 16
"""Windows that mean and standard deviation of features are taken from."""
_RAREST = 1e-4
"""Least share of voxels that a new head begins with as the probability of its class."""


def learn_heads(training: Training, folder: Path, portable: bool) -> str:
    """Train the heads that the start asks for, write the model into the folder, and return the architecture.

    Weights of the network, its plans, and heads of other classes are those of the parent, byte for byte.

    Parameters
    ----------
    folder
        The next home of the model.
    portable
        See `RunTrunk`.
    """
    start = training.start
    assert isinstance(start, HeadStart)
    parent, dataset = _parent(training)
    corrected = heads(dataset)
    before = frozenset(corrected)
    for lesson in start.lessons:
        corrected.setdefault(lesson.class_name, _inherited(training, lesson.class_name))
    jobs = _jobs(training, corrected, portable)
    kept = _run_trunk(training, jobs)
    weights = _weights_of_parent(training)
    for lesson in start.lessons:
        windows = _windows(training, lesson, jobs, kept)
        name = lesson.class_name
        if windows:
            weights |= _fit(training, name, windows, bool(corrected[name]), head_of(weights, name))
        elif name not in before:
            del corrected[name]
    shutil.copyfile(parent.folder / PLANS, folder / PLANS)
    own = {**read_json(parent.folder / DATASET), HEADS: {name: list(found) for name, found in corrected.items()}}
    replace_text(folder / DATASET, to_json(own))
    save_tensors(folder, weights)
    for job in jobs.values():
        forget(Path(folder_of(job)))
    return f"{parent.card.architecture.removesuffix(_SUFFIX)}{_SUFFIX}"


_SUFFIX = " with heads"


def _parent(training: Training) -> tuple[Model, dict[str, Any]]:
    """The model whose network stays, and its `dataset.json` by the names of today."""
    parent, dataset = training.start.parent, training.start.dataset
    assert parent is not None
    assert dataset is not None
    return parent, dataset


def _inherited(training: Training, name: str) -> tuple[int, ...]:
    """Channels of the parent that a new head corrects; none where it was never taught the class."""
    parent, dataset = _parent(training)
    of = channels(dataset)
    if name not in {parent.schema.renamed(n) for n in of.keys() - untaught(dataset)}:
        return ()
    return tuple(inside(of, parent.schema, name))


def _weights_of_parent(training: Training) -> dict[str, Any]:
    """All weights of the parent; heads by the names of today."""
    parent, _ = _parent(training)
    found = {}
    for key, tensor in load_tensors(parent.folder).items():
        if key.startswith(HEAD_WEIGHTS):
            _, name, layer = key.split("/", 2)
            key = f"{HEAD_WEIGHTS}{parent.schema.renamed(name) or name}/{layer}"
        found[key] = tensor
    return found


def _jobs(training: Training, corrected: dict[str, tuple[int, ...]], portable: bool) -> dict[str, RunTrunk]:
    """One job for each case that teaches something."""
    start = training.start
    assert isinstance(start, HeadStart)
    wanted: dict[str, list[str]] = {}
    for lesson in start.lessons:
        for case_id in (*lesson.people, *lesson.model):
            wanted.setdefault(case_id, []).append(lesson.class_name)
    said = {lesson.class_name: corrected[lesson.class_name] for lesson in start.lessons}
    return {
        case.case_id: RunTrunk(
            name=case.case_id,
            training=training,
            case=case,
            wanted=tuple(wanted[case.case_id]),
            corrected={name: found for name, found in said.items() if found},
            room=start.room // len(wanted),
            portable=portable,
            device=training.device,
        )
        for case in training.cases
        if case.case_id in wanted
    }


def _run_trunk(training: Training, jobs: dict[str, RunTrunk]) -> dict[str, tuple[Kept, Path]]:
    """What is kept of every case, and where."""
    bar, found = progress(f"trunk of {training.name}", len(jobs)), {}
    for case_id, job in jobs.items():
        found[case_id] = once(job), files_of(job)
        bar.step(case_id)
    bar.close()
    return found


@dataclass(frozen=True, eq=False)
class _Window:
    """One window of a case as the head of a class learns from it."""

    kept: Path
    shapes: tuple[tuple[int, int, int, int], ...]
    """Of what `kept` holds, as `trunk.Kept` says."""
    said: int | None
    """Which of these is what the network says of the class; None where it says nothing."""
    scales: int
    """How many of these, from the first on, are the image and the features."""
    mask: npt.NDArray[np.bool_]
    voxels: npt.NDArray[np.intp]
    """Some voxels of the class, (number, 3)."""

    def part(self, *numbers: int) -> list[npt.NDArray[np.float16]]:
        """Some of what is kept, (channel, z, y, x) each; of these only what is used is read."""
        values = np.load(self.kept, mmap_mode="r")
        ends = [0, *np.cumsum([math.prod(shape) for shape in self.shapes]).tolist()]
        return [values[ends[n] : ends[n + 1]].reshape(self.shapes[n]) for n in numbers]


def _windows(
    training: Training, lesson: Lesson, jobs: dict[str, RunTrunk], kept: dict[str, tuple[Kept, Path]]
) -> list[_Window]:
    """What is kept of the cases that teach a class."""
    name, found = lesson.class_name, []
    numbers, rng = training.numbers_within(name), np.random.default_rng(training.seed)
    for case_id in sorted((*lesson.people, *lesson.model)):
        (case, folder), spoken = kept[case_id], sorted(jobs[case_id].corrected)
        scales = len(case.shapes) - len(spoken)
        said = scales + spoken.index(name) if name in spoken else None
        for number in range(case.windows):
            mask = np.isin(np.load(folder / f"{number}.labels.npy"), numbers)
            voxels = np.argwhere(mask)
            if len(voxels) > _VOXELS:
                voxels = voxels[rng.choice(len(voxels), _VOXELS, replace=False)]
            found.append(_Window(folder / f"{number}.npy", case.shapes, said, scales, mask, voxels))
    return found


def _fit(
    training: Training, name: str, windows: Sequence[_Window], corrects: bool, known: dict[str, Any]
) -> dict[str, Any]:
    """Train the head of a class, a new one or one of known weights; returns its weights as they are saved."""
    import torch
    from torch.nn.functional import binary_cross_entropy_with_logits

    from voxledger.models.frozen import ClassHead, weights_of_head
    from voxledger.models.optimisation import adamw

    seed_everything(training.seed)
    head = ClassHead([shape[0] for shape in windows[0].shapes[: windows[0].scales]], corrects)
    if known:
        head.load_state_dict(known)
    else:
        _begin(head, windows, corrects)
    head.to(training.device).train()
    rate, iterations = RATE * training.model.learning_rate, training.start.iterations
    optimizer, schedule = adamw(head.parameters(), rate, iterations)
    draw = _Parts(windows, training.seed)
    with training.report(name) as report:
        for _ in range(iterations):
            features, said, wanted = (
                [torch.from_numpy(one).to(training.device) for one in values]
                for values in draw.batch(training.model.batch)
            )
            optimizer.zero_grad(set_to_none=True)
            logits = head(features) + (said[0] if said else 0)
            found, true = logits.sigmoid(), wanted[0]
            overlap = (2 * (found * true).sum() + 1e-5) / (found.sum() + true.sum() + 1e-5)
            value = 1 - overlap + binary_cross_entropy_with_logits(logits, true)
            value.backward()
            torch.nn.utils.clip_grad_norm_(head.parameters(), 12)
            optimizer.step()
            schedule.step()
            report(value.item())
    return weights_of_head(head.cpu(), name)


def _begin(head: Any, windows: Sequence[_Window], corrects: bool) -> None:
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


class _Parts:
    """Draws batches of parts of windows, half as long as these where the scales of the features allow it."""

    def __init__(self, windows: Sequence[_Window], seed: int) -> None:
        self._rng = np.random.default_rng(seed)
        self._windows, self._holding = windows, [w for w in windows if len(w.voxels)]
        shapes = np.array([shape[1:] for shape in windows[0].shapes[: windows[0].scales]])
        coarsest = shapes.min(0)
        self._cells = np.where((shapes % coarsest == 0).all(0), coarsest, 1)
        """Into how many cells, of whole voxels at every scale, each axis is cut."""
        self._taken = -(-self._cells // 2)

    def batch(self, size: int) -> tuple[list[Any], list[Any], list[Any]]:
        """Features of every scale; what the network says, if it does; and the wanted mask, all float32."""
        drawn = [self._draw() for _ in range(size)]
        features = [np.stack(scale) for scale in zip(*(d[0] for d in drawn), strict=True)]
        said = [np.stack([d[1] for d in drawn if d[1] is not None])] if drawn[0][1] is not None else []
        return features, said, [np.stack([d[2] for d in drawn])]

    def _draw(self) -> tuple[list[Any], Any, Any]:
        around = bool(self._holding) and self._rng.random() < _SEEN
        windows = self._holding if around else self._windows
        window = windows[int(self._rng.integers(len(windows)))]
        size = np.array(window.mask.shape)
        centre = window.voxels[self._rng.integers(len(window.voxels))] if around else self._rng.integers(size)
        cell = centre * self._cells // size
        first = np.clip(cell - self._rng.integers(self._taken), 0, self._cells - self._taken)

        def cut(values: npt.NDArray[Any]) -> npt.NDArray[np.float32]:
            long = np.array(values.shape[-3:]) // self._cells
            z, y, x = (slice(a * n, (a + t) * n) for a, t, n in zip(first, self._taken, long, strict=True))
            return np.asarray(values[..., z, y, x], np.float32)

        said = None if window.said is None else cut(window.part(window.said)[0])
        return [cut(one) for one in window.part(*range(window.scales))], said, cut(window.mask)[None]
