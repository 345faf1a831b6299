"""Learned attention against the published criteria, on the same cases of a mixed pool, round after round.

    python benchmarks/learned_attention.py [--data ../shared/data] [--seeds 1] [--rounds 3] [--out TABLE.md]
    python benchmarks/learned_attention.py --small

With `--small` the pool has 48 cases, networks half the steps, and there is one review, of 14 and 10 cases; the 24 that
are left are judged as the same networks see them. It takes a CPU minute.

Whole hippocampus in MR. Two small U-Nets (those of `benchmarks/acquisition.py`) learn from 10 cases of the decathlon.
The pool is mixed: 50 cases of it as they are, 40 with trouble made on purpose (every third slice alone, motion ghosts,
bias field, noise; seeded), 30 of another site. In a round people look at the 20 cases with most attention by the
published criteria and at 8 more drawn blindly, and correct both to the reference. From then on the networks learn from
these cases too, and a model of errors learns from what was visible of the corrections, each tolerance for itself: its
threshold is set on the blind cases.

Judged are all cases that nobody has looked at yet, by component: errors that attention touches, and regions of
attention that touch an error. Beside the published criteria stand the same with thresholds and opening as they fit best
what people changed so far (as `voxledger score tune` does, with the opening too), and the trade-off of the model of
errors over its threshold.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import acquisition
import numpy as np
from acquisition import PLANS, Sample

from voxledger.bundles.judged import Counts, judge
from voxledger.params import ScoreParams
from voxledger.schema import LabelClass, LabelSchema

CLASS = "hippocampus"
SCHEMA = LabelSchema(name="hippocampus", classes=(LabelClass(id=1, name=CLASS),))
START, PLAIN, SPOILT, EXTERNAL = 10, 50, 40, 30
LOOKED_AT, AUDITED = 20, 8
SMALL, SMALL_LOOKED_AT, SMALL_AUDITED, SMALL_STEPS = (20, 16, 12), 14, 10, 60
TOLERANCES = (1.0, 2.0)
"""In mm; 1 is a voxel."""
MISSES = (0.15, 0.2, 0.3)
"""Values of `score.miss`."""
OPENINGS = (0, 1, 2)
TRIED = ((0.05, 0.02), (0.1, 0.05), (0.15, 0.1), (0.2, 0.15), (0.3, 0.2))
"""Thresholds of inconsistency and uncertainty that are tried."""
CURVE = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Probabilities from which learned attention lies, of the trade-off."""


@dataclass
class Predicted:
    """A case of the pool as the networks see it now."""

    sample: Sample
    soft: list[Any]
    shown: np.ndarray
    """Label map (z, y, x)."""
    errors: dict[float, np.ndarray]
    """Visible errors (z, y, x) by tolerance."""


def whole(sample: Sample) -> Sample:
    """The same with one class."""
    return Sample(sample.case_id, sample.image, (sample.labels > 0).astype(np.uint8), sample.grid)


def spoil(sample: Sample, rng: np.random.Generator) -> Sample:
    """The case with two kinds of trouble that are drawn by chance; its reference stays."""
    image = sample.image.copy()
    for kind in rng.choice(["slices", "ghosts", "bias", "noise"], 2, replace=False):
        if kind == "slices":
            image = np.repeat(image[::3], 3, axis=0)[: len(image)]
        elif kind == "ghosts":
            shift = int(rng.integers(6, 14))
            image = image + rng.uniform(0.3, 0.6) * (np.roll(image, shift, axis=1) + np.roll(image, -shift, axis=1))
        elif kind == "bias":
            z, y, x = np.meshgrid(*(np.linspace(-1, 1, n) for n in image.shape), indexing="ij")
            a, b, c, d = rng.uniform(-0.8, 0.8, 4)
            image = (image - image.min()) * np.exp(a * z + b * y + c * x + d * y * x)
        else:
            image = image + rng.normal(0, rng.uniform(0.4, 0.8), image.shape)
    image = ((image - image.mean()) / image.std()).astype(np.float32)
    return Sample(f"{sample.case_id}_spoilt", image, sample.labels, sample.grid)


def make_pool(
    data: Path, seed: int, sizes: tuple[int, int, int] = (PLAIN, SPOILT, EXTERNAL)
) -> tuple[list[Sample], list[Sample]]:
    """The cases that teach at first, and the pool."""
    (plain, spoilt_count, external), rng = sizes, np.random.default_rng(seed)
    home = [whole(s) for s in acquisition.load(data / "hippocampus")]
    home = [home[i] for i in rng.permutation(len(home))[: START + plain + spoilt_count]]
    away = [whole(s) for s in acquisition.load(data / "hippocampus-external")]
    away = [away[i] for i in rng.permutation(len(away))[:external]]
    spoilt = [spoil(s, rng) for s in home[START + plain :]]
    return home[:START], [*home[START : START + plain], *spoilt, *away]


def predict(networks: Sequence[Any], sample: Sample, folder: Path) -> Predicted:
    """What the networks predict, through the files of the contract."""
    import torch

    from voxledger.imaging.soft import ensemble_mean, open_soft, write_soft
    from voxledger.imaging.visible_change import visible_change

    soft = []
    for i, network in enumerate(networks):
        network.eval()
        with torch.no_grad():
            p = torch.softmax(network(torch.from_numpy(sample.image)[None, None]), 1)[0, 1].numpy()
        path = folder / f"{sample.case_id}-{i}.b2nd"
        write_soft(path, [(CLASS, p)], [CLASS], sample.grid, str(i), "")
        soft.append(open_soft(path))
    mask, truth = ensemble_mean(soft, CLASS) > 0.5, sample.labels > 0
    errors = {t: visible_change(mask, truth, sample.grid.spacing, t) for t in TOLERANCES}
    return Predicted(sample, soft, mask.astype(np.uint8), errors)


def flagged(one: Any, shape: tuple[int, ...]) -> np.ndarray:
    """Bits of a class in the whole image (z, y, x)."""
    bits = np.zeros(shape, np.uint8)
    if one.box is not None:
        bits[one.box] = one.bits
    return bits


def published(case: Predicted, params: ScoreParams) -> Any:
    from voxledger.score.attention import Attention

    return Attention(case.soft, SCHEMA, params)


def draw(case: Predicted, folder: Path, turn: int, audited: bool, tolerance: float) -> Any:
    """What a review of the case teaches."""
    from voxledger.score.judged_voxels import Judged, draw_voxels, write_judged
    from voxledger.score.voxels import CaseVoxels

    voxels = CaseVoxels(case.soft, case.shown, case.sample.image, SCHEMA)
    attention, seed = published(case, ScoreParams()), f"{turn}/{case.sample.case_id}"
    errors, drawn = draw_voxels(voxels, attention, case.sample.labels, {CLASS: True}, tolerance, seed)
    path = folder / f"r{turn}-{tolerance:g}-{case.sample.case_id}.safetensors"
    judged = Judged(path, case.sample.case_id, turn, audited, errors)
    write_judged(judged, drawn)
    return judged


def score_of(cases: Sequence[Predicted], params: ScoreParams, tolerance: float) -> Counts:
    """Published attention against errors."""
    total = Counts()
    for case in cases:
        bits = flagged(published(case, params)[CLASS], case.shown.shape)
        total += judge(bits, case.errors[tolerance])
    return total


def f1(counts: Counts) -> float:
    """Of sensitivity and precision by component."""
    found = counts.metrics()
    a, b = found["sensitivity"] or 0.0, found["precision"] or 0.0
    return 2 * a * b / (a + b) if a + b else 0.0


def tuned(seen: Sequence[Predicted], tolerance: float) -> ScoreParams:
    """Thresholds and opening that fit best what people changed."""
    tries = [ScoreParams(inconsistency=i, uncertainty=u, opening=o) for i, u in TRIED for o in OPENINGS]
    return max(tries, key=lambda params: f1(score_of(seen, params, tolerance)))


def scores_of(case: Predicted, model: Any) -> np.ndarray:
    """What the model of errors says of every voxel (z, y, x); −∞ where it says nothing."""
    from voxledger.score.voxels import CaseVoxels

    scores = np.full(case.shown.shape, -np.inf)
    voxels = CaseVoxels(case.soft, case.shown, case.sample.image, SCHEMA)
    for slab in voxels.slabs(published(case, ScoreParams())[CLASS], 0):
        scores[tuple(slab.voxels.T)] = model.scores(slab.features)
    return scores


def above(scores: Sequence[np.ndarray], errors: Sequence[np.ndarray], threshold: float) -> list[Counts]:
    """Learned attention against errors, by case."""
    return [judge((s >= threshold).astype(np.uint8), e) for s, e in zip(scores, errors, strict=True)]


def logit(p: float, model: Any) -> float:
    """The score of a probability."""
    return float((np.log(p / (1 - p)) - model.platt[1]) / model.platt[0])


def row(seed: int, turn: int, tolerance: float, name: str, counts: Counts, more: str = "") -> str:
    found = counts.metrics()
    numbers = [found[k] for k in ("sensitivity", "precision", "voxel_sensitivity", "voxel_precision")]
    told = " | ".join("–" if n is None else f"{n:.3f}" for n in numbers)
    rest = f"{counts.regions} | {counts.attention_voxels / 1000:.1f} | {more}"
    return f"| {seed} | {turn} | {tolerance:g} | {name} | {counts.errors} | {told} | {rest} |"


def first_networks(start: list[Sample], seed: int, steps: int) -> list[Any]:
    """Both networks as the first cases teach them."""
    import torch

    from voxledger.models.monai.network import build_network

    networks = []
    for i, plans in enumerate(PLANS):
        torch.manual_seed(seed)
        network = build_network(plans, 2)
        acquisition.fit(network, start, steps, 10 * seed + i)
        networks.append(network)
    return networks


def choose(
    cases: list[Predicted], turn: list[int], looked_at: int, audited: int
) -> tuple[list[Predicted], list[Predicted]]:
    """The cases with most attention, and some of the others drawn by chance."""
    ranked = sorted(cases, key=lambda c: -published(c, ScoreParams())[CLASS].attention)
    lots = np.random.default_rng(turn).permutation(len(ranked) - looked_at)[:audited]
    return ranked[:looked_at], [ranked[looked_at + i] for i in lots]


def play(data: Path, seed: int, rounds: int) -> list[str]:
    """All rounds of one seed."""
    start, pool = make_pool(data, seed)
    networks = first_networks(start, seed, acquisition.FIRST_STEPS)
    lines, cohort, left = [], list(start), list(pool)
    judged: dict[float, list[Any]] = {t: [] for t in TOLERANCES}
    seen: list[Predicted] = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(1, rounds + 1):
            cases = [predict(networks, s, Path(folder) / str(turn)) for s in left]
            for tolerance in TOLERANCES if turn > 1 else ():
                lines += compare(seed, turn, tolerance, cases, seen, judged[tolerance])
            looked_at, audit = choose(cases, [seed, turn], LOOKED_AT, AUDITED)
            for tolerance in TOLERANCES:
                judged[tolerance] += [draw(c, Path(folder), turn, False, tolerance) for c in looked_at]
                judged[tolerance] += [draw(c, Path(folder), turn, True, tolerance) for c in audit]
            seen += [*looked_at, *audit]
            cohort += [case.sample for case in (*looked_at, *audit)]
            gone = {case.sample.case_id for case in seen}
            left = [s for s in left if s.case_id not in gone]
            for i, network in enumerate(networks):
                acquisition.fit(network, cohort, acquisition.NEXT_STEPS, 1000 * turn + 10 * seed + i)
            print(f"seed {seed}, round {turn}: {time.process_time():.0f} CPU s", flush=True)
    return lines


def play_small(data: Path) -> list[str]:
    """One review of a small pool."""
    start, pool = make_pool(data, 0, SMALL)
    networks, lines = first_networks(start, 0, SMALL_STEPS), []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        cases = [predict(networks, s, folder) for s in pool]
        looked_at, audit = choose(cases, [0, 1], SMALL_LOOKED_AT, SMALL_AUDITED)
        seen = [*looked_at, *audit]
        gone = {case.sample.case_id for case in seen}
        left = [case for case in cases if case.sample.case_id not in gone]
        for tolerance in TOLERANCES:
            judged = [draw(c, folder, 1, False, tolerance) for c in looked_at]
            judged += [draw(c, folder, 1, True, tolerance) for c in audit]
            lines += compare(0, 2, tolerance, left, seen, judged)
    return lines


def compare(
    seed: int, turn: int, tolerance: float, cases: Sequence[Predicted], seen: Sequence[Predicted], judged: Sequence[Any]
) -> list[str]:
    """Rows of one round and tolerance."""
    from voxledger.score.learn import lacking, learn_errors

    where, lines = (seed, turn, tolerance), []
    for opening in OPENINGS:
        counts = score_of(cases, ScoreParams(opening=opening), tolerance)
        lines.append(row(*where, f"published, opening {opening}", counts))
    best = tuned(seen, tolerance)
    name = f"published, tuned: {best.inconsistency:g}, {best.uncertainty:g}, opening {best.opening}"
    lines.append(row(*where, name, score_of(cases, best, tolerance)))
    if why := lacking(judged):
        return [*lines, row(*where, "learned", Counts(), why)]
    model, _ = learn_errors(judged, [CLASS], {CLASS: CLASS}, seed)
    scores, errors = [scores_of(case, model) for case in cases], [case.errors[tolerance] for case in cases]
    for miss in MISSES:
        name = f"**learned**, miss {miss:g}"
        if (threshold := model.threshold(miss)) is None:
            lines.append(row(*where, name, Counts(), f"{model.audited_cases} audited cases set no threshold"))
            continue
        found = above(scores, errors, threshold)
        missed = np.mean([1 - one.found / one.errors for one in found if one.errors])
        p = model.probabilities(np.array([threshold]))[0]
        lines.append(row(*where, name, sum(found, Counts()), f"from {p:.3f}; missed by case {missed:.3f}"))
    for p in CURVE:
        lines.append(row(*where, f"learned, from {p:g}", sum(above(scores, errors, logit(p, model)), Counts())))
    return lines


def main() -> None:
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="48 cases and one review")
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    started = time.process_time()
    lines = [
        "| seed | round | tolerance, mm | attention | errors | sensitivity | precision | sensitivity by voxel | "
        "precision by voxel | regions | ml | |",
        "| --- " * 12 + "|",
    ]
    for seed in () if given.small else range(given.seeds):
        lines += play(given.data, seed, given.rounds)
    lines += play_small(given.data) if given.small else []
    told = "\n".join(lines) + f"\n\n{time.process_time() - started:.0f} CPU s."
    print(told)
    if given.out:
        given.out.write_text(told + "\n", "utf-8")


if __name__ == "__main__":
    main()
