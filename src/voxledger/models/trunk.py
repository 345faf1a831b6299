"""The trunk of a model: a network that stays as it is, run once over what its heads learn from.

A case is looked at in windows of the network's patch, where prediction would lay them: some that hold a voxel of the
classes to learn, by chance, and one other for each `OTHERS` of these. A case that is held out to judge by is looked at
whole. Features are kept as float16 on disk, so that training of heads reads them and nothing runs twice: who was killed
meanwhile goes on from the windows that are done, and the next round from those that it learns from again.
"""

from __future__ import annotations

import hashlib
import itertools
import json
import math
import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.casemap.job import Job, content, place
from voxledger.casemap.memo import forget
from voxledger.errors import VoxledgerError
from voxledger.imaging.boxes import Box
from voxledger.imaging.volume import Volume
from voxledger.layout import MEMO
from voxledger.models.backend import backend_of
from voxledger.models.dataset import BRANCHES, HEADS
from voxledger.models.process import single_thread
from voxledger.models.training import Training, TrainingCase, taught
from voxledger.records.card import BRANCH_WEIGHTS, DATASET, HEAD_WEIGHTS, PLANS, load_tensors
from voxledger.registry import BACKENDS
from voxledger.textfile import read_json, replace_text

EACH = 2
"""Windows of a case that hold a class; more cost more than heads of so few iterations gain from them."""
OTHERS = 3
"""Windows that hold a class, for each that holds none."""
STEP = 0.5
"""Of the windows, as a share of the patch."""
FEATURES, LABELS = "features.npy", "labels.npy"
"""What is kept of a window."""

Labels = npt.NDArray[Any]
Image = npt.NDArray[np.float32]
Shape = tuple[int, int, int]


@dataclass(frozen=True)
class Trunk:
    """What a backend says of the network of a model."""

    network: Any
    decoders: Callable[[Any], Sequence[Any]]
    """Gives its modules whose outputs are features, the finest first."""
    decoder: Callable[[Any], Sequence[Any]]
    """Gives the modules that an added decoder has weights of its own for."""
    build: Callable[[int], Any]
    """The network with so many outputs, initialised."""
    patch: tuple[int, ...]
    mirror_axes: tuple[int, ...]
    """Axes of the patch along which predictions are mirrored."""
    prepare: Callable[[Volume, Labels], tuple[Image, Labels]]
    """Image and labels (z, y, x) as the network sees them; their axes are those of the patch."""


@dataclass(frozen=True)
class Kept:
    """What is kept of a window in the files `FEATURES` and `LABELS`.

    The first holds, one after the other as float16, the image and the features of every scale, the finest first, and
    the logits of the classes that the network says something of.
    """

    windows: int
    """How many there are in the case."""
    shapes: tuple[tuple[int, int, int, int], ...]
    """Of what stands in the first file, (channel, z, y, x) each; empty where the case has no windows."""

    @property
    def voxels(self) -> int:
        """Of the window."""
        return math.prod(self.shapes[0][1:]) if self.shapes else 0

    @property
    def bytes(self) -> int:
        """Of the features."""
        return sum(math.prod(shape) for shape in self.shapes) * np.dtype(np.float16).itemsize


def _trunk_of(training: Training) -> list[Any]:
    """What features depend on of a training: of its parent the network alone, which stays from round to round."""
    parent, region = training.start.parent, training.region
    backend = parent and [parent.card.backend, BACKENDS.origin(parent.card.backend)]
    network = parent and _network_sha256(parent.folder, parent.card.id)
    looked_at = region and region.model_dump(mode="json")
    return [backend, network, looked_at, taught(training.schema), taught(training.labels), training.seed]


@lru_cache(maxsize=1)
def _network_sha256(folder: Path, model_id: str) -> str:
    """SHA-256 of a model without its heads and branches."""
    from safetensors.torch import save

    own = {n: t for n, t in load_tensors(folder).items() if not n.startswith((HEAD_WEIGHTS, BRANCH_WEIGHTS))}
    described = {name: v for name, v in read_json(folder / DATASET).items() if name not in (HEADS, BRANCHES)}
    digest = hashlib.sha256(save(own))
    digest.update(json.dumps([described, read_json(folder / PLANS)], sort_keys=True).encode())
    return digest.hexdigest()


@dataclass(frozen=True, kw_only=True)
class Look:
    """What the trunk of a training looks at in a case."""

    training: Training = content(by=_trunk_of)
    case: TrainingCase
    wanted: tuple[str, ...]
    """Classes that are learned from the case."""
    whole: bool
    """Whether the whole case is looked at, as it lies."""
    device: str = place()

    @cached_property
    def opened(self) -> tuple[Trunk, Any]:
        """The trunk, and its network with features."""
        parent = self.training.start.parent
        assert parent is not None
        return _opened(backend_of(parent.card).package, parent.folder, parent.card.id, self.device)

    @cached_property
    def windows(self) -> list[tuple[Image, Labels]]:
        """Image and labels (z, y, x) of every window, in the order in which they are given up last."""
        painted = self.training.painted(self.case)
        if painted is None:
            return []
        trunk, _ = self.opened
        image, labels = padded(*trunk.prepare(*painted), trunk.patch)
        classes = [self.training.numbers_within(name) for name in self.wanted]
        rng = np.random.default_rng([self.training.seed, *self.case.case_id.encode()])
        boxes = tiles(labels.shape, trunk.patch) if self.whole else chosen(labels, classes, trunk.patch, rng)
        found = []
        for box in boxes:
            flip = tuple(axis for axis in trunk.mirror_axes if not self.whole and rng.random() < 0.5)
            found.append((np.flip(image[box], flip), np.flip(labels[box], flip)))
        return found


class RunTrunk(Job[Kept]):
    """Runs the trunk of a training over one window of a case."""

    stage, algorithms = "trunk", ("retrain",)
    look: Look = content()
    number: int = content()
    """Of the window; in a case without windows 0."""
    corrected: dict[str, tuple[int, ...]] = content()
    """Channels of the network, by class, whose logits against all others are kept."""
    portable: bool = content()
    """Whether it computes with instructions that every CPU has: other ones give other last bits."""

    def compute(self, folder: Path) -> Kept:
        """Write features and labels."""
        with single_thread(self.look.device):
            windows = self.look.windows
            if not windows:
                return Kept(0, ())
            image, labels = windows[self.number]
            parts = self._features(self.look.opened[1], image.copy())
        np.save(folder / FEATURES, np.concatenate([part.ravel() for part in parts]))
        np.save(folder / LABELS, labels.astype(np.int16))
        return Kept(len(windows), tuple(part.shape for part in parts))

    def _features(self, network: Any, window: Image) -> list[npt.NDArray[np.float16]]:
        import torch

        from voxledger.models.frozen import log_odds

        with torch.inference_mode():
            logits, found = network.features(torch.from_numpy(window)[None, None].to(self.look.device))
            found += [log_odds(logits, channels) for _, channels in sorted(self.corrected.items())]
        largest = float(np.finfo(np.float16).max)
        return [np.asarray(one[0].float().clamp(-largest, largest).half().cpu()) for one in found]


_FEATURES = MEMO / RunTrunk.stage
_KEY = re.compile("[0-9a-f]{64}")


def keep_for_next_round(model: str, keys: Iterable[str]) -> None:
    """Note what these jobs left for the next training of a model."""
    replace_text(_FEATURES / f"{model}.json", json.dumps({"keys": sorted(keys)}))


def kept_of(model: str) -> list[str]:
    """Keys of the features that the last training of a model left."""
    try:
        keys = read_json(_FEATURES / f"{model}.json", "keys")["keys"]
        return [key for key in keys if _KEY.fullmatch(key)]
    except (OSError, VoxledgerError, TypeError):
        return []


def forget_others(kept: Iterable[str]) -> None:
    """Remove all features but those of some keys, whoever left them; not while anything is trained."""
    keys = set(kept)
    for entry in _FEATURES.iterdir() if _FEATURES.is_dir() else ():
        if _KEY.fullmatch(entry.name) and entry.name not in keys:
            forget(entry)


@lru_cache(maxsize=1)
def _opened(package: str, folder: Path, model_id: str, device: str) -> tuple[Trunk, Any]:
    """The network of a model, kept for the next case of this process."""
    from importlib import import_module

    from voxledger.models.frozen import Frozen

    trunk: Trunk = import_module(f"{package}.trunk").open_trunk(folder)
    return trunk, Frozen(trunk.network, trunk.decoders(trunk.network), ()).to(device).eval()


def padded(image: Image, labels: Labels, patch: Sequence[int]) -> tuple[Image, Labels]:
    """Image and labels (z, y, x) with zeros around them where they are smaller than the patch, as in prediction."""
    lacking = [max(0, p - n) for p, n in zip(patch, image.shape, strict=True)]
    pads = [(n // 2, n - n // 2) for n in lacking]
    return np.pad(image, pads), np.pad(labels, pads)


def chosen(
    labels: Labels, classes: Sequence[Sequence[int]], patch: Sequence[int], rng: np.random.Generator
) -> list[Box]:
    """Windows to look at, in the order in which they are given up last where there is no room for all.

    Parameters
    ----------
    labels
        Label map (z, y, x), at least as large as the patch.
    classes
        Labels of each class that is to be learned.

    Examples
    --------
    >>> labels = np.zeros((4, 4, 8), int)
    >>> labels[0, 0, 0] = 2
    >>> boxes = chosen(labels, [[2]], (4, 4, 4), np.random.default_rng(0))
    >>> [bool((labels[box] == 2).any()) for box in boxes]
    [True, False]
    """
    boxes = tiles(labels.shape, patch, STEP)
    masks, lacking = [np.isin(labels, numbers) for numbers in classes], [EACH] * len(classes)
    holding, others = list[Box](), list[Box]()
    for box in (boxes[i] for i in rng.permutation(len(boxes))):
        here = [number for number, mask in enumerate(masks) if mask[box].any()]
        if not here:
            others.append(box)
        elif any(lacking[number] > 0 for number in here):
            holding.append(box)
            for number in here:
                lacking[number] -= 1
    if not holding:
        return others[: OTHERS * EACH]
    found = []
    for number, box in enumerate(holding):
        found.append(box)
        if number % OTHERS == 0:
            found += others[number // OTHERS : number // OTHERS + 1]
    return found


def tiles(shape: Sequence[int], patch: Sequence[int], step: float = 1.0) -> list[Box]:
    """Windows that cover an image, as far apart as a share of the patch at most.

    Examples
    --------
    >>> [box[2].start for box in tiles((4, 4, 10), (4, 4, 4))]
    [0, 3, 6]
    """
    starts = itertools.product(*(_starts(n, p, step) for n, p in zip(shape, patch, strict=True)))
    return [(slice(z, z + patch[0]), slice(y, y + patch[1]), slice(x, x + patch[2])) for z, y, x in starts]


def _starts(size: int, patch: int, step: float) -> list[int]:
    """Where windows begin along an axis: evenly, at most a share of the patch apart, up to the end."""
    steps = math.ceil((size - patch) / (patch * step)) + 1
    return [round(i * (size - patch) / max(1, steps - 1)) for i in range(steps)]
