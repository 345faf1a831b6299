"""Does attention choose better than chance? Rounds on the hippocampus MR, several seeds, on one CPU.

    python benchmarks/acquisition.py [--images ../shared/data/hippocampus] [--seeds 5] [--out TABLE.md]

For every seed: 12 labelled cases drawn by the seed, the rest of 112 is the pool, 40 fixed test cases. Two small
U-Nets of different depth are trained; soft predictions, attention and the choice of 10 cases are those of the
score stage. The reader takes the reference label: a case whose ensemble has a Dice of at least 0.8 in both
classes is accepted, any other revised. Then both networks go on from their weights with the larger cohort. Both
choices start from the same first networks, and the optimisation has the same number of steps.

Prints test Dice of the ensemble against revised cases, mean and standard deviation over the seeds.
"""

from __future__ import annotations

import argparse
import copy
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from multiprocessing import get_context
from pathlib import Path

import numpy as np

START, POOL, TEST = 12, 112, 40
BUDGET, ROUNDS = 10, 2
FIRST_STEPS, NEXT_STEPS = 120, 60
ACCEPT = 0.8
CLASSES = ("anterior", "posterior")
DIVISOR = 8
PLANS = [
    {"network": "unet", "features": [16, 32, 64]},
    {"network": "unet", "features": [12, 24, 48, 96]},
]


@dataclass
class Sample:
    case_id: str
    image: np.ndarray
    """Normalised and padded, (z, y, x)."""
    labels: np.ndarray
    grid: object


def load(folder: Path) -> list[Sample]:
    """All cases, normalised each by itself, padded to a multiple of what the networks divide by."""
    from voxledger.imaging.intact import read_whole, read_whole_label
    from voxledger.imaging.volume import Grid

    samples = []
    for path in sorted((folder / "images").glob("*.nii.gz")):
        volume = read_whole(path)
        labels = read_whole_label(folder / "labels" / path.name, volume.grid)
        image = volume.array.astype(np.float32)
        image = (image - image.mean()) / max(float(image.std()), 1e-6)
        pad = [(0, -n % DIVISOR) for n in image.shape]
        image, labels = np.pad(image, pad), np.pad(labels, pad)
        samples.append(
            Sample(path.name.removesuffix(".nii.gz"), image, labels, Grid.plain(image.shape, volume.grid.spacing))
        )
    return samples


def fit(network, cohort: list[Sample], steps: int, seed: int) -> None:
    """Whole images, one a step, flipped by chance; Dice and cross-entropy."""
    import torch
    from monai.losses import DiceCELoss

    torch.manual_seed(seed)
    rng = np.random.default_rng(seed)
    loss = DiceCELoss(to_onehot_y=True, softmax=True, batch=True)
    optimiser = torch.optim.AdamW(network.parameters(), 3e-3)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimiser, 3e-3, total_steps=steps)
    network.train()
    for _ in range(steps):
        sample = cohort[rng.integers(len(cohort))]
        image, labels = (torch.from_numpy(a)[None, None] for a in (sample.image, sample.labels.astype(np.int64)))
        scale = float(rng.uniform(0.8, 1.2))
        optimiser.zero_grad()
        loss(network(image * scale + float(rng.normal(0, 0.1))), labels).backward()
        torch.nn.utils.clip_grad_norm_(network.parameters(), 12)
        optimiser.step()
        schedule.step()


def predict(network, sample: Sample) -> dict[str, np.ndarray]:
    import torch

    network.eval()
    with torch.no_grad():
        p = torch.softmax(network(torch.from_numpy(sample.image)[None, None]), 1)[0].numpy()
    return {name: p[i] for i, name in enumerate(CLASSES, start=1)}


def dice(p: list[dict[str, np.ndarray]], sample: Sample) -> list[float]:
    """Dice of the ensemble, by class."""
    found = []
    for i, name in enumerate(CLASSES, start=1):
        mask, truth = np.mean([m[name] for m in p], axis=0) > 0.5, sample.labels == i
        total = np.count_nonzero(mask) + np.count_nonzero(truth)
        found.append(2 * np.count_nonzero(mask & truth) / total if total else 1.0)
    return found


def scored(sample: Sample, p: list[dict[str, np.ndarray]], schema, folder: Path):
    """Attention of a case, through the files of the contract."""
    from voxledger.imaging.attention_file import PUBLISHED
    from voxledger.imaging.soft import open_soft, write_soft
    from voxledger.params import ScoreParams
    from voxledger.score.attention import Attention
    from voxledger.score.table import CaseScore, ClassScore

    opened = []
    for i, model in enumerate(p):
        write_soft(folder / f"{i}.b2nd", model.items(), list(CLASSES), sample.grid, str(i), "")
        opened.append(open_soft(folder / f"{i}.b2nd"))
    attention = Attention(opened, schema, ScoreParams(opening=0))
    ml = sample.grid.voxel_ml
    scores = []
    for name in CLASSES:
        one = attention[name]
        volumes = [one.attention, *(one.voxels[c] for c in PUBLISHED), one.predicted]
        entropy = one.entropy / sample.image.size
        scores.append(ClassScore(sample.case_id, name, len(p), *(v * ml for v in volumes), entropy, 1.0, False))
    return CaseScore(sample.case_id, tuple(scores))


def play(samples: list[Sample], seed: int, strategies: list[str]) -> dict[str, list[tuple[int, int, float]]]:
    """By strategy and round: cases labelled beyond the start, cases revised of those, mean test Dice."""
    import torch

    from voxledger.models.monai.network import build_network
    from voxledger.params import ScoreParams
    from voxledger.schema import LabelClass, LabelSchema
    from voxledger.score.worklist import choose

    schema = LabelSchema(
        name="hippocampus", classes=tuple(LabelClass(id=i, name=n) for i, n in enumerate(CLASSES, start=1))
    )
    test, rest = samples[:TEST], samples[TEST : TEST + POOL]
    drawn = np.random.default_rng(seed).permutation(len(rest))
    start, pool = [rest[i] for i in drawn[:START]], [rest[i] for i in drawn[START:]]
    first = []
    for i, plans in enumerate(PLANS):
        torch.manual_seed(seed)
        network = build_network(plans, len(CLASSES) + 1)
        fit(network, start, FIRST_STEPS, 10 * seed + i)
        first.append(network)
    found: dict[str, list[tuple[int, int, float]]] = {}
    for strategy in strategies:
        networks = copy.deepcopy(first)
        cohort, left, revised = list(start), list(pool), 0
        trace = [(0, 0, float(np.mean([dice([predict(n, s) for n in networks], s) for s in test])))]
        for turn in range(ROUNDS):
            predictions = {s.case_id: [predict(n, s) for n in networks] for s in left}
            with tempfile.TemporaryDirectory() as folder:
                scores = [scored(s, predictions[s.case_id], schema, Path(folder)) for s in left]
            params = ScoreParams(budget=BUDGET, opening=0)
            chosen = choose(scores, len(CLASSES), params, f"{seed}/{turn}", {}, strategy)
            for sample in [s for s in left if s.case_id in chosen]:
                revised += min(dice(predictions[sample.case_id], sample)) < ACCEPT
                cohort.append(sample)
            left = [s for s in left if s.case_id not in chosen]
            for i, network in enumerate(networks):
                fit(network, cohort, NEXT_STEPS, 1000 * turn + 10 * seed + i)
            after = float(np.mean([dice([predict(n, s) for n in networks], s) for s in test]))
            trace.append((len(cohort) - START, revised, after))
        found[strategy] = trace
        print(
            f"seed {seed}, {strategy}: " + ", ".join(f"{n} labelled {r} revised {d:.4f}" for n, r, d in trace),
            flush=True,
        )
    return found


def alone(images: Path, strategies: list[str], seed: int) -> dict[str, list[tuple[int, int, float]]]:
    """One seed in a process of its own, on one core."""
    import torch

    torch.set_num_threads(1)
    return play(load(images), seed, strategies)


def table(results: list[dict[str, list[tuple[int, int, float]]]], strategies: list[str]) -> str:
    lines = ["| choice | cases added | cases revised | test Dice |", "| --- | --- | --- | --- |"]
    for strategy in strategies:
        for turn in range(ROUNDS + 1):
            added = results[0][strategy][turn][0]
            revised = np.array([r[strategy][turn][1] for r in results])
            reached = np.array([r[strategy][turn][2] for r in results])
            lines.append(
                f"| {strategy} | {added} | {revised.mean():.1f} ± {revised.std():.1f} "
                f"| {reached.mean():.4f} ± {reached.std():.4f} |"
            )
    for strategy in [s for s in strategies if s != "random"]:
        gain = np.array([r[strategy][-1][2] - r["random"][-1][2] for r in results])
        error = gain.std(ddof=1) / np.sqrt(len(gain)) if len(gain) > 1 else float("nan")
        lines.append("")
        lines.append(
            f"{strategy} against random after {ROUNDS} rounds, pairs of equal seed: "
            f"{gain.mean():+.4f} Dice, standard error {error:.4f}, better in {int((gain > 0).sum())} of {len(gain)}"
        )
    return "\n".join(lines)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=Path("../shared/data/hippocampus"))
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--strategies", nargs="+", default=["attention", "random"])
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    started = time.monotonic()
    with ProcessPoolExecutor(mp_context=get_context("spawn")) as pool:
        results = list(pool.map(partial(alone, given.images, given.strategies), range(given.seeds)))
    told = table(results, given.strategies) + f"\n\n{len(results)} seeds, {time.monotonic() - started:.0f} s."
    print(told)
    if given.out:
        given.out.write_text(told + "\n", "utf-8")


if __name__ == "__main__":
    main()
