"""What quality of all labels do reviewer minutes buy, and is predicted quality right? Hippocampus MR, one CPU.

    python benchmarks/quality_per_minute.py [--data ../shared/data] [--seeds 3] [--keep FOLDER] [--out TABLE.md]

For every seed: two small U-Nets (those of `benchmarks/acquisition.py`) learn from 10 decathlon cases. They propose the
whole hippocampus in 60 further ones, in 40 that were spoilt by transforms (slices three times as thick, motion ghosts,
a bias field, noise), and in 30 of another site. Signs, attention and the choice of cases are those of the score stage,
and the readers are the emulated ones: one looks at everything, one where attention points; both accept a mask from Dice
0.9 on, know the reference and correct every voxel that they see. Networks are not trained again between rounds, so that
what differs between arms is the order of cases alone. No round of DVC is run.

Prints how far predicted Dice is off on masks that were not reviewed, and how often its interval holds; and by arm and
reader the minutes until the labels of the pool, reviewed or as proposed, reach stated qualities. The arm `oracle` knows
the error of every mask and the minutes that it takes. Minutes are assumptions: see `voxledger.minutes`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import acquisition
import numpy as np
from acquisition import PLANS, Sample

from voxledger.minutes import LOOKING_MINUTES, SAIM_SCRATCH_MINUTES, assumptions
from voxledger.records.mask_quality import JudgedMask, MaskQuality, Quality, Signs
from voxledger.score.table import CaseScore, ClassScore

START, PLAIN, SPOILT, OUTSIDE = 10, 60, 40, 30
STEPS = 160
NAME = "hippocampus"
BATCH = 10
"""Cases a round."""
BOUND = 0.9
WANTED = (("worst", 0.7), ("worst", 0.8), ("mean", 0.9), ("mean", 0.95))
"""Qualities that minutes are given for: of the worst tenth of the masks, or of all."""
ARMS = ("random", "foreground_random", "entropy", "attention", "expected_gain", "oracle")
REVIEWED = (20, 40, 80)
"""Cases that quality is learned from."""
DRAWS = 20
"""Of these cases, by chance."""


@dataclass(frozen=True)
class Case:
    """One case of the pool: what is known before anybody looks, and what readers make of it."""

    case_id: str
    kind: str
    signs: Signs
    mean_entropy: float
    judged: JudgedMask
    """By a reader who corrects all that is wrong."""
    minutes: dict[str, float]
    """By how the reader looks."""
    dice: dict[str, float]
    """Of what he hands in."""
    accepted: bool
    """By the reader who looks at everything."""

    def found(self) -> JudgedMask:
        """As the reader of the arms judges it: what he accepts was right."""
        return replace(self.judged, dice=1.0, error_ml=0.0, path_share=0.0) if self.accepted else self.judged

    def scored(self, quality: Quality | None) -> CaseScore:
        """As acquisition functions see it."""
        from voxledger.score.quality import expected_minutes

        signs = asdict(self.signs)
        score = ClassScore(self.case_id, NAME, **signs, trusted=False)
        if quality is None:
            return CaseScore(self.case_id, (score,))
        minutes = expected_minutes(quality, SAIM_SCRATCH_MINUTES, 1)
        return CaseScore(self.case_id, (score,), quality={NAME: quality}, minutes={NAME: minutes})


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
    spoilt: np.ndarray = ((image - image.mean()) / max(float(image.std()), 1e-6)).astype(np.float32)
    return spoilt


def draw(data: Path, seed: int) -> tuple[list[Sample], list[tuple[str, Sample]]]:
    """The cases that networks learn from, and the pool with the kind of each; labels are of the whole hippocampus."""
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


def train(start: list[Sample], seed: int) -> list[Any]:
    """The two networks."""
    import torch

    from voxledger.models.monai.network import build_network

    networks = []
    for i, plans in enumerate(PLANS):
        torch.manual_seed(10 * seed + i)
        network = build_network(plans, 2)
        acquisition.fit(network, start, STEPS, 10 * seed + i)
        networks.append(network.eval())
    return networks


def measure(sample: Sample, kind: str, networks: list[Any], folder: Path) -> Case:
    """Propose, score, and let both readers read."""
    import torch

    from voxledger.evaluate.comparison import compare
    from voxledger.evaluate.metrics.added_path_percent import added_path_percent
    from voxledger.imaging.attention_file import PUBLISHED
    from voxledger.imaging.soft import open_soft, write_soft
    from voxledger.imaging.volume import Volume
    from voxledger.params import EvaluateParams, Params, ScoreParams
    from voxledger.records.emulated import Looks
    from voxledger.review.by_reference import ByReference
    from voxledger.review.emulate import Shown, dice
    from voxledger.schema import LabelClass, LabelSchema
    from voxledger.score.attention import Attention

    schema = LabelSchema(name=NAME, classes=(LabelClass(id=1, name=NAME),))
    with torch.no_grad():
        image = torch.from_numpy(sample.image)[None, None]
        p = [torch.softmax(network(image), 1)[0, 1].numpy() for network in networks]
    opened = []
    for i, one in enumerate(p):
        write_soft(folder / f"{i}.b2nd", [(NAME, one)], [NAME], sample.grid, str(i), "")
        opened.append(open_soft(folder / f"{i}.b2nd"))
    found, ml = Attention(opened, schema, ScoreParams(opening=0))[NAME], sample.grid.voxel_ml
    pointed = np.zeros(sample.labels.shape, np.uint8)
    if found.box is not None:
        pointed[found.box] = found.bits != 0
    entropy = found.entropy / sample.image.size
    volumes = [found.attention, *(found.voxels[c] for c in PUBLISHED), found.predicted]
    signs = Signs(2, *(v * ml for v in volumes), entropy, dice(p[0] > 0.5, p[1] > 0.5))
    proposed, truth = np.mean(p, axis=0) > 0.5, sample.labels == 1
    path = added_path_percent(compare(truth, proposed, sample.grid.spacing), EvaluateParams()) / 100
    wrong = int(np.count_nonzero(proposed != truth)) * ml
    judged = JudgedMask(0, MaskQuality(sample.case_id, NAME, signs, None), False, dice(proposed, truth), wrong, path)
    params = Params.model_validate({"score": {"scratch_minutes": SAIM_SCRATCH_MINUTES}})
    shown = Shown(
        *(sample.case_id, schema, Path(), Volume(proposed.astype(np.uint8), sample.grid), sample.labels, pointed),
        (NAME,),
    )
    minutes, after = {}, {}
    for looks in Looks:
        reader = ByReference(BOUND, looks=looks, params=params)
        minutes[looks.value] = float(reader.read(shown).rows[0].minutes or 0)
        after[looks.value] = reader.masks[0].dice
    accepted = judged.dice >= BOUND
    return Case(sample.case_id, kind, signs, entropy, judged, minutes, after, accepted)


def cases_of(data: Path, seed: int) -> list[Case]:
    """The pool of a seed, measured."""
    start, pool = draw(data, seed)
    networks = train(start, seed)
    with tempfile.TemporaryDirectory() as folder:
        return [measure(sample, kind, networks, Path(folder)) for kind, sample in pool]


# Is predicted quality right?


def predicted(cases: list[Case], reviewed: set[str], blind: set[str]) -> tuple[list[Case], list[Quality]] | None:
    """Masks that were not reviewed, and what is predicted of them; None where too few were."""
    from voxledger.score.quality import learn

    model = learn([replace(c.judged, blind=c.case_id in blind) for c in cases if c.case_id in reviewed], [NAME])
    if model is None:
        return None
    rest = [c for c in cases if c.case_id not in reviewed]
    return rest, [q for c in rest if (q := model.predict(NAME, c.signs)) is not None]


def quality_row(label: str, found: Sequence[tuple[list[Case], list[Quality]]]) -> str:
    """Over several draws: how far Dice is off and how often intervals hold, on what was not reviewed."""
    from scipy.stats import spearmanr

    pairs = [(c.judged, q) for rest, qualities in found for c, q in zip(rest, qualities, strict=True)]
    off = np.mean([abs(j.dice - q.predicted_dice) for j, q in pairs])
    held = np.mean([q.predicted_dice_low <= j.dice <= q.predicted_dice_high for j, q in pairs])
    held_ml = np.mean([q.predicted_error_ml_low <= j.error_ml <= q.predicted_error_ml_high for j, q in pairs])
    wide = np.mean([q.predicted_dice_high - q.predicted_dice_low for _, q in pairs])
    constant = np.mean(
        [abs(c.judged.dice - np.median([o.judged.dice for o in rest])) for rest, _ in found for c in rest]
    )
    ranks = np.mean(
        [
            spearmanr([c.judged.dice for c in rest], [q.predicted_dice for q in qualities])[0]
            for rest, qualities in found
        ]
    )
    numbers = f"{off:.3f} | {constant:.3f} | {held:.1%} | {held_ml:.1%} | {wide:.3f} | {ranks:.2f}"
    return f"| {label} | {len(pairs)} | {numbers} |"


def quality_table(pools: list[list[Case]]) -> list[str]:
    """A row a way of choosing what was reviewed."""
    rows = [
        "| learned from | masks predicted | Dice off by | off by their median | interval of Dice held | of ml held | "
        "width, Dice | Spearman |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]

    def many(choose: Callable[[list[Case], np.random.Generator], tuple[set[str], set[str]]]) -> list[Any]:
        rngs = [(cases, np.random.default_rng(d)) for cases in pools for d in range(DRAWS)]
        return [one for cases, rng in rngs if (one := predicted(cases, *choose(cases, rng))) is not None]

    def by_chance(cases: list[Case], rng: np.random.Generator, count: int) -> set[str]:
        return {cases[i].case_id for i in rng.permutation(len(cases))[:count]}

    def top(cases: list[Case], count: int) -> set[str]:
        return {c.case_id for c in sorted(cases, key=lambda c: -c.mean_entropy)[:count]}

    def with_audit(cases: list[Case], rng: np.random.Generator) -> tuple[set[str], set[str]]:
        listed = top(cases, 40)
        blind = by_chance([c for c in cases if c.case_id not in listed], rng, 20)
        return listed | blind, blind

    for count in REVIEWED:
        found = many(lambda cases, rng, count=count: (by_chance(cases, rng, count), set()))  # type: ignore[misc]
        rows.append(quality_row(f"{count} by chance", found))
    rows.append(quality_row("40 of a worklist (entropy)", many(lambda cases, _: (top(cases, 40), set()))[::DRAWS]))
    rows.append(quality_row("the same and 20 of a blind audit", many(with_audit)))
    return rows


# What do minutes buy?


@dataclass(frozen=True)
class Curve:
    """After every case: minutes so far, and Dice of all masks of the pool, of the mean and of the worst tenth."""

    minutes: np.ndarray
    mean: np.ndarray
    worst: np.ndarray

    def until(self, which: str, wanted: float) -> float:
        """Minutes until a quality is reached and kept; NaN where it never is."""
        below = np.flatnonzero(getattr(self, which) < wanted)
        first = int(below[-1]) + 1 if len(below) else 0
        return float(self.minutes[first]) if first < len(self.minutes) else float("nan")

    def area(self, which: str, minutes: float) -> float:
        """Mean quality over the minutes from 0 to a bound (area under the budget curve)."""
        at = np.linspace(0, minutes, 400)
        values = getattr(self, which)[np.searchsorted(self.minutes, at, side="right") - 1]
        return float(values.mean())


def curve(
    cases: list[Case], order: Sequence[str], price: Callable[[Case], float], after: Callable[[Case], float]
) -> Curve:
    """What reviewing in an order costs and gives."""
    by_id = {c.case_id: c for c in cases}
    dice = {c.case_id: c.judged.dice for c in cases}
    minutes, mean, worst = [0.0], [], []
    for case_id in ["", *order]:
        if case_id:
            minutes.append(minutes[-1] + price(by_id[case_id]))
            dice[case_id] = after(by_id[case_id])
        ranked = np.sort(list(dice.values()))
        mean.append(ranked.mean())
        worst.append(ranked[: max(1, len(ranked) // 10)].mean())
    return Curve(np.array(minutes), np.array(mean), np.array(worst))


def ordered(cases: list[Case], arm: str, seed: int) -> list[str]:
    """The whole pool in the order of an arm, batch by batch; quality is learned from the batches before."""
    from voxledger.registry import ACQUISITION
    from voxledger.score.quality import learn

    if arm == "oracle":
        return [c.case_id for c in sorted(cases, key=lambda c: -c.found().error_ml / c.minutes["everywhere"])]
    left, done, turn = list(cases), [], 0
    while left:
        function = ACQUISITION.get(arm)
        model = learn([c.found() for c in done], [NAME]) if function.quality else None
        scores = [c.scored(model.predict(NAME, c.signs) if model else None) for c in left]
        first = function.order(scores, f"{seed}/{turn}")[:BATCH]
        by_id = {c.case_id: c for c in left}
        done += [by_id[case_id] for case_id in first]
        left = [c for c in left if c.case_id not in first]
        turn += 1
    return [c.case_id for c in done]


def curves(cases: list[Case], seed: int) -> dict[tuple[str, str], Curve]:
    """By arm and reader."""
    found = {
        ("random", "from scratch"): curve(
            cases, ordered(cases, "random", seed), lambda _: SAIM_SCRATCH_MINUTES, lambda _: 1.0
        )
    }
    for arm in ARMS:
        order = ordered(cases, arm, seed)
        for looks in ("everywhere", "attention"):
            found[arm, looks] = curve(cases, order, lambda c, r=looks: c.minutes[r], lambda c, r=looks: c.dice[r])  # type: ignore[misc]
    return found


def curves_table(of_seeds: list[dict[tuple[str, str], Curve]]) -> list[str]:
    """A row an arm and reader, means over the seeds; a quality that not every seed reaches is a dash."""
    head = [
        "order",
        "reader",
        *(f"{which} {value:g}" for which, value in WANTED),
        "AUBC mean",
        "AUBC worst",
        "all",
        "left",
    ]
    rows = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    bounds = [found["random", "everywhere"].minutes[-1] for found in of_seeds]
    for key in of_seeds[0]:
        own = [found[key] for found in of_seeds]
        until = [np.mean([one.until(*wanted) for one in own]) for wanted in WANTED]
        areas = [np.mean([c.area(w, b) for c, b in zip(own, bounds, strict=True)]) for w in ("mean", "worst")]
        cells = [*("–" if np.isnan(m) else f"{m:.0f}" for m in until), *(f"{a:.3f}" for a in areas)]
        cells += [f"{np.mean([c.minutes[-1] for c in own]):.0f}", f"{np.mean([1 - c.mean[-1] for c in own]):.3f}"]
        rows.append(f"| {' | '.join([*key, *cells])} |")
    return rows


def kinds_table(pools: list[list[Case]]) -> list[str]:
    """What is proposed, by kind of case."""
    rows = ["| cases | masks | Dice as proposed | below 0.8 | accepted |", "| --- | --- | --- | --- | --- |"]
    for kind in ("plain", "spoilt", "outside"):
        own = [c for cases in pools for c in cases if c.kind == kind]
        dice = np.array([c.judged.dice for c in own])
        share = np.mean([c.accepted for c in own])
        rows.append(
            f"| {kind} | {len(own)} | {dice.mean():.3f} ± {dice.std():.3f} | {np.mean(dice < 0.8):.0%} | {share:.0%} |"
        )
    return rows


def kept(data: Path, seed: int, keep: Path | None) -> list[Case]:
    """The pool of a seed, from a folder where it was kept."""
    from pydantic import TypeAdapter

    adapter, file = TypeAdapter(list[Case]), keep / f"{seed}.json" if keep else None
    if file is not None and file.is_file():
        return adapter.validate_json(file.read_bytes())
    cases = cases_of(data, seed)
    if file is not None:
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(adapter.dump_json(cases))
    return cases


def main() -> None:
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="Folder in which measured pools are kept, and found again.")
    parser.add_argument("--out", type=Path, help="Write the tables here too.")
    args = parser.parse_args()
    started = time.process_time()
    pools = [kept(args.data, seed, args.keep) for seed in range(args.seeds)]
    of_seeds = [curves(cases, seed) for seed, cases in enumerate(pools)]
    lines = [*kinds_table(pools), "", *quality_table(pools), "", *curves_table(of_seeds), ""]
    lines += [*assumptions(LOOKING_MINUTES, SAIM_SCRATCH_MINUTES), f"{time.process_time() - started:.0f} CPU s."]
    print("\n".join(lines))
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", "utf-8")


if __name__ == "__main__":
    main()
