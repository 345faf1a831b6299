"""Pools for `benchmarks/quality_per_minute.py`: cases, and what two small networks that learned from few propose.

`hippocampus`: the whole hippocampus in MR. Networks learn from 10 cases of the decathlon; the pool has 60 further ones,
40 that were spoilt by transforms (slices three times as thick, motion ghosts, a bias field, noise), and 30 of another
site. `phantoms`: four organs in CT-like phantoms (`voxledger.phantom`). Networks learn from 6 cases of site a; the pool
has 20 of it and 20 of site b, which has other voxels, more noise and another phase of contrast by habit.

A pool is kept in a folder, case by case, so that networks are trained once.
"""

from __future__ import annotations

import json
import re
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import acquisition
import numpy as np
from acquisition import DIVISOR, Sample

START, PLAIN, SPOILT, OUTSIDE = 10, 60, 40, 30
"""Cases of the hippocampus."""
PHANTOMS_START, PHANTOMS_A, PHANTOMS_B = 6, 20, 20
ORGANS = {"liver": ("liver",), "spleen": ("spleen",), "kidneys": ("kidney_right", "kidney_left"), "spine": ("spine",)}
"""By class of the pool, those of the phantoms."""
HU = (-160.0, 240.0)
"""Beyond these grey values phantoms are clipped."""
FIELD_MM = (232.0, 250.0, 340.0)
"""About the middle (z, y, x), what of a phantom is looked at: all of the organs, but for the ends of the spine."""
CROP, CROPS = (24, 32, 32), 3
"""Voxels (z, y, x) of what networks learn from of a phantom, and how many of each organ."""
Drawn = tuple[list[Sample], list[tuple[str, Sample]]]
"""What networks learn from; and the pool, with the kind of each case."""


@dataclass(frozen=True)
class Pool:
    """A sort of pool."""

    classes: tuple[str, ...]
    """Ids from 1."""
    kinds: tuple[str, ...]
    draw: Callable[[Path, int], Drawn]
    """From the folder of real images and a seed."""
    plans: tuple[dict[str, Any], ...]
    """Of the networks."""
    steps: int


@dataclass(frozen=True)
class Proposed:
    """A case, and the probabilities that networks gave of it."""

    case_id: str
    kind: str
    image: np.ndarray
    """Normalised (z, y, x)."""
    truth: np.ndarray
    """Ids (z, y, x)."""
    grid: Any
    soft: tuple[Any, ...]
    """Predictions, one a network, opened."""


def spoil(image: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """A normalised image (z, y, x) with one or two of four troubles, of a strength that is drawn, too."""
    from scipy.ndimage import zoom

    def thick(a: np.ndarray) -> np.ndarray:
        few = zoom(a, (1 / 3, 1, 1), order=1)
        return zoom(few, [n / m for n, m in zip(a.shape, few.shape, strict=True)], order=1)

    def ghosts(a: np.ndarray) -> np.ndarray:
        shift = int(rng.integers(4, 12))
        return a + rng.uniform(0.2, 0.6) * (np.roll(a, shift, 1) + np.roll(a, -shift, 1)) / 2

    def bias(a: np.ndarray) -> np.ndarray:
        z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in a.shape), indexing="ij")
        c = rng.uniform(-0.6, 0.6, 6)
        field = np.exp(c[0] * z + c[1] * y + c[2] * x + c[3] * z * y + c[4] * y * x + c[5] * z * x)
        return (a - a.min()) * field

    def noise(a: np.ndarray) -> np.ndarray:
        return a + rng.normal(0, rng.uniform(0.3, 0.9), a.shape)

    for trouble in rng.permutation(4)[: int(rng.integers(1, 3))]:
        image = (thick, ghosts, bias, noise)[trouble](image)
    return normalised(image)


def normalised(image: np.ndarray) -> np.ndarray:
    """Mean 0, spread 1."""
    found: np.ndarray = ((image - image.mean()) / max(float(image.std()), 1e-6)).astype(np.float32)
    return found


def patient(case_id: str) -> str:
    """Of a case of any pool: both sides of a brain of OASIS are one, `malf_1000_left` and `malf_1000_right`."""
    return re.sub(r"_(left|right)$", "", case_id)


def hippocampus(data: Path, seed: int) -> Drawn:
    """The whole hippocampus, from `data/hippocampus` and `data/hippocampus-external`."""
    rng = np.random.default_rng(seed)
    home, outside = (acquisition.load(data / name) for name in ("hippocampus", "hippocampus-external"))
    for sample in (*home, *outside):
        sample.labels = (sample.labels > 0).astype(np.uint8)
    home = [home[i] for i in rng.permutation(len(home))[: START + PLAIN + SPOILT]]
    outside = [outside[i] for i in sorted(rng.permutation(len(outside))[:OUTSIDE])]
    for sample in home[START + PLAIN :]:
        sample.image = spoil(sample.image, rng)
    kinds = ["plain"] * PLAIN + ["spoilt"] * SPOILT + ["outside"] * OUTSIDE
    return home[:START], list(zip(kinds, [*home[START:], *outside], strict=True))


def phantoms(_: Path, seed: int) -> Drawn:
    """Phantoms of both sites, cut to a multiple of what the networks divide by; networks learn from crops of some."""
    a = [_phantom(seed, "a", index) for index in range(PHANTOMS_START + PHANTOMS_A)]
    b = [_phantom(seed, "b", index) for index in range(PHANTOMS_B)]
    rng = np.random.default_rng(seed)
    start = [crop for sample in a[:PHANTOMS_START] for crop in _crops(sample, rng)]
    return start, [("site a", s) for s in a[PHANTOMS_START:]] + [("site b", s) for s in b]


def _crops(sample: Sample, rng: np.random.Generator) -> list[Sample]:
    """Boxes around voxels of each organ that are drawn: an eighth of the image, for eight times as many steps."""
    found = []
    for number in range(1, len(ORGANS) + 1):
        voxels = np.argwhere(sample.labels == number)
        for centre in voxels[rng.integers(len(voxels), size=CROPS)]:
            room = np.subtract(sample.image.shape, CROP)
            corner = np.clip(centre - np.array(CROP) // 2, 0, room)
            box = tuple(slice(at, at + n) for at, n in zip(corner.tolist(), CROP, strict=True))
            found.append(Sample(sample.case_id, sample.image[box], sample.labels[box], sample.grid))
    return found


def _phantom(seed: int, site: str, index: int) -> Sample:
    from voxledger.imaging.volume import Grid
    from voxledger.phantom.make import make_phantom
    from voxledger.phantom.materials import CLASSES
    from voxledger.phantom.scanner import SITES, Size

    made = make_phantom(seed, index, SITES[site], Size.SMALL)
    ids = np.zeros(max(CLASSES.values()) + 1, np.uint8)
    for number, names in enumerate(ORGANS.values(), start=1):
        ids[[CLASSES[name] for name in names]] = number
    sizes = [DIVISOR * round(mm / s / DIVISOR) for mm, s in zip(FIELD_MM, made.grid.spacing, strict=True)]
    field = tuple(slice((n - m) // 2, (n + m) // 2) for n, m in zip(made.image.shape, sizes, strict=True))
    image = normalised(np.clip(made.image[field].astype(np.float32), *HU))
    return Sample(f"{site}{index:03d}", image, ids[made.labels[field]], Grid.plain(image.shape, made.grid.spacing))


POOLS = {
    "hippocampus": Pool(
        ("hippocampus",), ("plain", "spoilt", "outside"), hippocampus, tuple(acquisition.PLANS), steps=160
    ),
    "phantoms": Pool(
        tuple(ORGANS),
        ("site a", "site b"),
        phantoms,
        ({"network": "unet", "features": [8, 16, 32]}, {"network": "unet", "features": [8, 16, 24]}),
        steps=1200,
    ),
}


def train(pool: Pool, start: list[Sample], seed: int) -> list[Any]:
    """The networks."""
    import torch

    from voxledger.models.monai.network import build_network

    networks = []
    for i, plans in enumerate(pool.plans):
        torch.manual_seed(10 * seed + i)
        network = build_network(plans, len(pool.classes) + 1)
        acquisition.fit(network, start, pool.steps, 10 * seed + i)
        networks.append(network.eval())
    return networks


def proposed(pool: Pool, data: Path, seed: int, folder: Path) -> tuple[list[Proposed], float]:
    """The pool of a seed, made where the folder does not hold it yet, and the CPU seconds that making it took."""
    from voxledger.imaging.soft import open_soft
    from voxledger.imaging.volume import Grid

    listed = folder / "pool.json"
    if not listed.is_file():
        _propose(pool, data, seed, folder)
    told, found = json.loads(listed.read_text("utf-8")), []
    for case_id, kind in told["cases"]:
        with np.load(folder / f"{case_id}.npz") as kept:
            image, truth, spacing = (kept[name] for name in ("image", "truth", "spacing"))
        soft = tuple(open_soft(folder / f"{case_id}-{i}.b2nd") for i in range(len(pool.plans)))
        found.append(Proposed(case_id, kind, image, truth, Grid.plain(image.shape, tuple(spacing.tolist())), soft))
    return found, float(told["cpu_s"])


def _propose(pool: Pool, data: Path, seed: int, folder: Path) -> None:
    """Draw cases, train networks, and write what they predict; the list of cases comes last."""
    import torch

    from voxledger.imaging.soft import write_soft

    started = time.process_time()
    folder.mkdir(parents=True, exist_ok=True)
    start, cases = pool.draw(data, seed)
    networks = train(pool, start, seed)
    for _, sample in cases:
        image = torch.from_numpy(sample.image)[None, None]
        for i, network in enumerate(networks):
            with torch.no_grad():
                p = torch.softmax(network(image), 1)[0].numpy()
            path, soft = folder / f"{sample.case_id}-{i}.b2nd", list(zip(pool.classes, p[1:], strict=True))
            write_soft(path, soft, list(pool.classes), sample.grid, str(i), "")
        arrays = {"image": sample.image, "truth": sample.labels, "spacing": np.array(sample.grid.spacing)}
        np.savez_compressed(folder / f"{sample.case_id}.npz", **arrays)
    told = {"cases": [[s.case_id, kind] for kind, s in cases], "cpu_s": round(time.process_time() - started, 1)}
    (folder / "pool.json.part").write_text(json.dumps(told), "utf-8")
    (folder / "pool.json.part").rename(folder / "pool.json")
