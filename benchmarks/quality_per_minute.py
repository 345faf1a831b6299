"""What quality of all labels do reviewer minutes buy, and is predicted quality right? Two pools, one CPU.

    python benchmarks/quality_per_minute.py [--data ../shared/data] [--seeds 3] [--pools hippocampus phantoms]
        [--keep FOLDER] [--out TABLE.md] [--plot PICTURE.png]

Two small networks learn from few cases and propose labels of a pool (`benchmarks/pools.py`). Batch by batch an arm
chooses the cases that come next, and an emulated reader reviews them (`benchmarks/pool_reviews.py`): one looks at
everything, one where attention points. Each arm knows what its own reader found in the batches before, and no more.
Networks are not trained again between batches, so that what differs between arms is the order of cases alone. No round
of DVC is run.

random, foreground_random, entropy, attention, expected_gain, lowest_dice
             as `score.acquisition` has them; random is the mean of 20 orders
learned      most learned attention, and the reader is pointed by it; of each batch some cases are drawn blindly, until
             they set the threshold, and before there is one the published criteria point
oracle       knows the error of every mask, and the minutes that it takes: most error a minute
oracle_worst knows the same: the case with the worst mask first
from scratch, cases in random order are drawn from nothing: what is not drawn yet has no label, Dice 0; or
among proposals, it has the one that the networks propose

Prints what is proposed; how far predicted Dice is off on masks that were not reviewed, and how often its interval
holds; by arm and reader the minutes until the labels of the pool, reviewed or as proposed, reach stated qualities, and
whether the arm is anywhere on the curve below random; and savings by the minutes of a look. With --keep what is done is
not done again: pools, reviews, and the arm that learns, by seed. Minutes are assumptions: see `voxledger.minutes`.
"""

from __future__ import annotations

import argparse
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from pool_reviews import Case, LearnedAttention, Review, Scored, measure, schema_of
from pools import POOLS, Pool, patient, proposed

from voxledger.minutes import LOOKING_MINUTES, SAIM_SCRATCH_MINUTES, SCRATCH_MINUTES, assumptions, looking_values
from voxledger.records.emulated import Looks
from voxledger.records.mask_quality import Quality

WANTED = {
    "hippocampus": (("worst", 0.7), ("worst", 0.8), ("mean", 0.9), ("mean", 0.95)),
    "phantoms": (("worst", 0.7), ("worst", 0.8), ("mean", 0.9), ("mean", 0.95)),
}
"""Qualities that minutes are given for: of the worst tenth of the masks, or of all."""
BATCH = {"hippocampus": 10, "phantoms": 5}
BLIND = {"hippocampus": 3, "phantoms": 2}
"""Of a batch, in the arm `learned`, until they set a threshold."""
SCRATCH = {"hippocampus": SAIM_SCRATCH_MINUTES, "phantoms": SCRATCH_MINUTES}
"""Minutes of a case from nothing."""
CHOSEN = ("foreground_random", "entropy", "attention", "expected_gain", "lowest_dice")
ORACLES = ("oracle", "oracle_worst")
FROM_SCRATCH = ("from scratch", "among proposals")
REVIEWED = {"hippocampus": (20, 40, 80), "phantoms": (10, 20)}
"""Cases that quality is learned from."""
LISTED = {"hippocampus": (40, 20), "phantoms": (15, 10)}
"""Cases of a worklist, and of a blind audit."""
DRAWS = 20
"""By chance: of the cases that quality is learned from, and of random orders."""
POINTS = 400
"""Minutes at which curves are compared."""

Steps = Sequence[tuple[str, Review]]
"""Cases in the order in which they were reviewed."""


@dataclass(frozen=True)
class Seed:
    """What was measured of one pool of one seed."""

    cases: list[Case]
    learned: Mapping[str, Steps]
    """What the arm that learns reviewed, by reader."""
    learned_from: Mapping[str, int]
    """The first of its batches, from 0, that learned attention chose; −1 where none."""
    cpu_s: float


# Is predicted quality right?


def patients(cases: Sequence[Case]) -> dict[str, str]:
    """By case."""
    return {c.case_id: patient(c.case_id) for c in cases}


def predicted(cases: Sequence[Case], reviewed: set[str], blind: set[str]) -> list[tuple[float, float, Quality]] | None:
    """Dice, wrong ml and predicted quality of masks that were not reviewed; None where too few were."""
    from voxledger.score.quality import learn

    judged = [one for c in cases if c.case_id in reviewed for one in c.truly(c.case_id in blind)]
    model = learn(judged, list(cases[0].masks), patients(cases))
    if model is None:
        return None
    rest = [(name, m) for c in cases if c.case_id not in reviewed for name, m in c.masks.items()]
    return [(m.dice, m.error_ml, q) for name, m in rest if (q := model.predict(name, m.signs)) is not None]


def quality_row(label: str, found: Sequence[Sequence[tuple[float, float, Quality]]]) -> str:
    """Over several draws: how far Dice is off and how often intervals hold, on what was not reviewed."""
    from scipy.stats import spearmanr

    every = [one for draw in found for one in draw]
    off = np.mean([abs(dice - q.predicted_dice) for dice, _, q in every])
    held = np.mean([q.predicted_dice_low <= dice <= q.predicted_dice_high for dice, _, q in every])
    held_ml = np.mean([q.predicted_error_ml_low <= ml <= q.predicted_error_ml_high for _, ml, q in every])
    wide = np.mean([q.predicted_dice_high - q.predicted_dice_low for _, _, q in every])
    constant = np.mean([abs(d - np.median([one[0] for one in draw])) for draw in found for d, _, _ in draw])
    ranks = np.mean([spearmanr([d for d, _, _ in draw], [q.predicted_dice for _, _, q in draw])[0] for draw in found])
    return (
        f"| {label} | {len(every)} | {off:.3f} | {constant:.3f} | {held:.1%} | {held_ml:.1%} | {wide:.3f} | "
        f"{ranks:.2f} |"
    )


def quality_table(name: str, pools: Sequence[Sequence[Case]]) -> list[str]:
    """A row a way of choosing what was reviewed."""
    rows = [
        "| learned from | masks predicted | Dice off by | off by their median | interval of Dice held | of ml held | "
        "width, Dice | Spearman |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    listed, audited = LISTED[name]

    def many(
        draws: int, choose: Callable[[Sequence[Case], np.random.Generator], tuple[set[str], set[str]]]
    ) -> list[Any]:
        rngs = [(cases, np.random.default_rng(d)) for cases in pools for d in range(draws)]
        return [one for cases, rng in rngs if (one := predicted(cases, *choose(cases, rng))) is not None]

    def by_chance(cases: Sequence[Case], rng: np.random.Generator, count: int) -> set[str]:
        return {cases[i].case_id for i in rng.permutation(len(cases))[:count]}

    def top(cases: Sequence[Case]) -> set[str]:
        uncertain = sorted(cases, key=lambda c: -sum(m.signs.mean_entropy for m in c.masks.values()))
        return {c.case_id for c in uncertain[:listed]}

    def with_audit(cases: Sequence[Case], rng: np.random.Generator) -> tuple[set[str], set[str]]:
        blind = by_chance([c for c in cases if c.case_id not in top(cases)], rng, audited)
        return top(cases) | blind, blind

    for count in REVIEWED[name]:
        chance = many(DRAWS, lambda cases, rng, count=count: (by_chance(cases, rng, count), set()))  # type: ignore[misc]
        rows.append(quality_row(f"{count} by chance", chance))
    rows.append(quality_row(f"{listed} of a worklist (entropy)", many(1, lambda cases, _: (top(cases), set()))))
    rows.append(quality_row(f"the same and {audited} of a blind audit", many(DRAWS, with_audit)))
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

    def at(self, which: str, minutes: np.ndarray) -> np.ndarray:
        """Quality after so many minutes, on a line from one case to the next."""
        return np.interp(minutes, self.minutes, getattr(self, which))


def curve(cases: Sequence[Case], steps: Steps, looking: float, start: float | None = None) -> Curve:
    """What reviewing in an order costs and gives; `start` is the Dice of what nobody looked at, not that proposed."""
    dice = {(c.case_id, n): m.dice if start is None else start for c in cases for n, m in c.masks.items()}
    spent, mean, worst = [0.0], [], []
    for case_id, review in [("", None), *steps]:
        if review is not None:
            spent.append(spent[-1] + review.minutes(looking))
            dice |= {(case_id, name): value for name, value in review.dice.items()}
        ranked = np.sort(list(dice.values()))
        mean.append(ranked.mean())
        worst.append(ranked[: max(1, len(ranked) // 10)].mean())
    return Curve(np.array(spent), np.array(mean), np.array(worst))


def ordered(cases: Sequence[Case], arm: str, looks: str, seed: str, batch: int, scratch: float) -> Steps:
    """The whole pool in the order of an arm, batch by batch; quality is learned from the batches before."""
    from voxledger.registry import ACQUISITION
    from voxledger.score.quality import learn

    def gain(case: Case) -> float:
        return sum(m.error_ml for m in case.masks.values()) / case.reviews[looks].minutes(LOOKING_MINUTES)

    if arm == "oracle":
        return [(c.case_id, c.reviews[looks]) for c in sorted(cases, key=gain, reverse=True)]
    if arm == "oracle_worst":
        worst = sorted(cases, key=lambda c: min(m.dice for m in c.masks.values()))
        return [(c.case_id, c.reviews[looks]) for c in worst]
    by_id, left, done, turn = {c.case_id: c for c in cases}, list(cases), [], 0
    while left:
        function = ACQUISITION.get(arm)
        judged = [one for c in done for one in c.judged(c.reviews[looks])] if function.quality else []
        model = learn(judged, list(cases[0].masks), patients(cases)) if function.quality else None
        first = function.order([c.scored(model, scratch) for c in left], f"{seed}/{turn}")[:batch]
        done += [by_id[case_id] for case_id in first]
        left = [c for c in left if c.case_id not in first]
        turn += 1
    return [(c.case_id, c.reviews[looks]) for c in done]


def play_learned(name: str, seed: int, pool: Scored, cases: Sequence[Case], looks: Looks) -> tuple[Steps, int]:
    """The arm that learns where errors are, and the first batch that what it learned chose."""
    from voxledger.score.acquisition.attention import order

    steps: list[tuple[str, Review]] = []
    left, turn, since = list(cases), 0, -1
    with tempfile.TemporaryDirectory() as folder:
        learned = LearnedAttention(pool, seed, Path(folder))
        while left:
            ranked = order([learned.scored(c) for c in left], "")
            count = BATCH[name] - (0 if learned.told else BLIND[name])
            lots = np.random.default_rng([seed, turn]).permutation(len(ranked[count:]))[: BATCH[name] - count]
            blind = [ranked[count + i] for i in lots]
            since = turn if learned.told and since < 0 else since
            chosen = [*ranked[:count], *blind]
            steps += [(case_id, learned.read(case_id, looks, turn, case_id in blind)) for case_id in chosen]
            left = [c for c in left if c.case_id not in chosen]
            if left:
                learned.learn()
            turn += 1
    return steps, since


Curves = dict[tuple[str, str], list[Curve]]
"""By arm and reader; several where chance is averaged over."""


def curves(name: str, seed: int, found: Seed, looking: float) -> Curves:
    """All arms of one seed at one price of a look."""
    cases, made, scratch = found.cases, Curves(), SCRATCH[name]
    rest = BATCH[name], scratch
    drawn = Review(0.0, scratch, dict.fromkeys(cases[0].masks, 1.0), {})
    chance = [ordered(cases, "random", "everywhere", f"{seed}/{d}", len(cases), scratch) for d in range(DRAWS)]
    for arm, start in zip(FROM_SCRATCH, (0.0, None), strict=True):
        made["random", arm] = [curve(cases, [(c, drawn) for c, _ in steps], looking, start) for steps in chance]
    by_id = {c.case_id: c for c in cases}
    for looks in Looks:
        own = [[(c, by_id[c].reviews[looks]) for c, _ in steps] for steps in chance]
        made["random", looks.value] = [curve(cases, steps, looking) for steps in own]
        for arm in (*CHOSEN, *ORACLES):
            made[arm, looks.value] = [curve(cases, ordered(cases, arm, looks.value, str(seed), *rest), looking)]
        made["learned", looks.value] = [curve(cases, found.learned[looks.value], looking)]
    return made


def mean_until(of_seeds: Sequence[Curves], key: tuple[str, str], which: str, wanted: float) -> float:
    """Minutes until a quality, a mean over seeds; NaN where one never reaches it."""
    return float(np.mean([np.mean([c.until(which, wanted) for c in found[key]]) for found in of_seeds]))


def mean_at(of_seeds: Sequence[Curves], key: tuple[str, str], which: str, minutes: np.ndarray) -> np.ndarray:
    """Quality after so many minutes, a mean over seeds."""
    found: np.ndarray = np.mean(
        [np.mean([c.at(which, minutes) for c in found[key]], axis=0) for found in of_seeds], axis=0
    )
    return found


def budget(of_seeds: Sequence[Curves]) -> np.ndarray:
    """Minutes at which curves are compared: up to those of a review of the whole pool."""
    return np.linspace(0, np.mean([found["random", "everywhere"][0].minutes[-1] for found in of_seeds]), POINTS)


def curves_table(name: str, of_seeds: Sequence[Curves]) -> list[str]:
    """A row an arm and reader, means over the seeds; a quality that not every seed reaches is a dash."""
    head = ["order", "reader", *(f"{which} {value:g}" for which, value in WANTED[name]), "AUBC mean", "AUBC worst"]
    head += ["all", "lacking at the end", "mean below random by", "worst tenth below random by"]
    rows, minutes = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"], budget(of_seeds)
    for arm, reader in of_seeds[0]:
        base = ("random", reader if reader not in FROM_SCRATCH else "everywhere")
        cells = [arm, reader]
        for wanted in WANTED[name]:
            own, chance = (mean_until(of_seeds, key, *wanted) for key in ((arm, reader), base))
            cells.append("–" if np.isnan(own) else f"{own:.0f} ({own / chance:.0%})")
        cells += [f"{mean_at(of_seeds, (arm, reader), which, minutes).mean():.3f}" for which in ("mean", "worst")]
        last = [c for found in of_seeds for c in found[arm, reader]]
        cells += [f"{np.mean([c.minutes[-1] for c in last]):.0f}", f"{np.mean([1 - c.mean[-1] for c in last]):.3f}"]
        for which in ("mean", "worst"):
            less = mean_at(of_seeds, (arm, reader), which, minutes) - mean_at(of_seeds, base, which, minutes)
            at = int(less.argmin())
            cells.append("" if arm == "random" else f"{-less[at]:.3f} at {minutes[at]:.0f}" if less[at] < 0 else "0")
        rows.append(f"| {' | '.join(cells)} |")
    return rows


def savings_table(name: str, seeds: Sequence[Seed]) -> list[str]:
    """Against drawing from scratch at equal mean Dice of the release, by the minutes of a look."""
    prices = looking_values(LOOKING_MINUTES)
    at_price = [[curves(name, seed, found, price) for seed, found in enumerate(seeds)] for price in prices]
    stated = [value for which, value in WANTED[name] if which == "mean"]
    head = ["order", "reader", *(f"mean {value:g}" for value in stated), "where it ends"]
    rows = [f"| {' | '.join(head)} |", f"| {' | '.join('---' for _ in head)} |"]
    keys = [key for key in at_price[0][0] if key[1] not in FROM_SCRATCH]
    for key in [("random", "among proposals"), *keys]:
        ends = float(np.mean([c.mean[-1] for found in at_price[0] for c in found[key]]))
        cells = []
        for wanted in (*stated, None):
            told = []
            for of_seeds in at_price:
                saved = [saved_share(found, key, wanted) for found in of_seeds]
                told.append("–" if np.isnan(saved).any() else f"{np.mean(saved):.0%}")
            cells.append(" / ".join(told) + (f" at {ends:.3f}" if wanted is None else ""))
        rows.append(f"| {' | '.join([*key, *cells])} |")
    return rows


def saved_share(found: Curves, key: tuple[str, str], wanted: float | None) -> float:
    """Share of the minutes from scratch that an arm saves at a mean Dice, or at the one that it ends with."""
    saved = []
    for own in found[key]:
        dice = float(own.mean[-1]) if wanted is None else wanted
        spent = float(own.minutes[-1]) if wanted is None else own.until("mean", dice)
        scratch = np.mean([c.until("mean", dice) for c in found["random", "from scratch"]])
        saved.append(1 - spent / scratch)
    return float(np.mean(saved))


def kinds_table(pool: Pool, seeds: Sequence[Seed]) -> list[str]:
    """What is proposed, by kind of case and class."""
    rows = ["| cases | class | masks | Dice as proposed | below 0.8 | accepted |", "| --- " * 6 + "|"]
    for kind in pool.kinds:
        own = [c for found in seeds for c in found.cases if c.kind == kind]
        for name in pool.classes:
            dice = np.array([c.masks[name].dice for c in own])
            accepted = np.mean([c.reviews["everywhere"].changed[name][0] == 1 for c in own])
            numbers = f"{dice.mean():.3f} ± {dice.std():.3f} | {np.mean(dice < 0.8):.0%} | {accepted:.0%}"
            rows.append(f"| {kind} | {name} | {len(own)} | {numbers} |")
    return rows


def plot(path: Path, of_pools: Mapping[str, Sequence[Curves]]) -> None:
    """Quality of the release against minutes: a row a pool, the mean and the worst tenth."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    drawn = {
        ("random", "from scratch"): ("#999999", ":"),
        ("random", "everywhere"): ("black", "-"),
        ("foreground_random", "everywhere"): ("#999999", "-"),
        ("entropy", "everywhere"): ("tab:blue", "-"),
        ("attention", "everywhere"): ("tab:green", "-"),
        ("learned", "everywhere"): ("tab:purple", "-"),
        ("learned", "attention"): ("tab:purple", "--"),
        ("expected_gain", "everywhere"): ("tab:red", "-"),
        ("lowest_dice", "everywhere"): ("tab:brown", "-"),
        ("lowest_dice", "attention"): ("tab:brown", "--"),
        ("oracle", "everywhere"): ("tab:orange", "-."),
        ("oracle_worst", "everywhere"): ("tab:olive", "-."),
    }
    figure, axes = plt.subplots(len(of_pools), 2, figsize=(11, 4.2 * len(of_pools)), squeeze=False)
    for row, (name, of_seeds) in zip(axes, of_pools.items(), strict=True):
        minutes = budget(of_seeds)
        for axis, (which, title) in zip(row, (("mean", "mean"), ("worst", "worst tenth")), strict=True):
            for key, (colour, line) in drawn.items():
                label = f"{key[0]}, {key[1]}".replace("_", " ")
                axis.plot(minutes, mean_at(of_seeds, key, which, minutes), line, color=colour, label=label, lw=1.2)
            axis.set(title=f"{name}: {title} of the release", xlabel="reviewer minutes", ylabel="Dice")
            proposed_dice = mean_at(of_seeds, ("random", "everywhere"), which, minutes[:1])[0]
            axis.set_ylim(max(0.0, proposed_dice - 0.05), 1.0)
            axis.grid(alpha=0.3)
    axes[0][1].legend(fontsize=7)
    figure.tight_layout()
    figure.savefig(path, dpi=110)


def kept(file: Path, kind: Any, make: Callable[[], Any]) -> Any:
    """What a file holds, made and written where it is not there yet."""
    from pydantic import TypeAdapter

    adapter: TypeAdapter[Any] = TypeAdapter(kind)
    if not file.is_file():
        part = file.with_suffix(".part")
        part.write_bytes(adapter.dump_json(make()))
        part.rename(file)
    return adapter.validate_json(file.read_bytes())


def one_seed(name: str, seed: int, data: Path, keep: Path) -> Seed:
    """All of a seed that takes long, each part made once."""
    pool, folder = POOLS[name], keep / f"{name}-{seed}"
    own, spent = proposed(pool, data, seed, folder)

    def told(what: str) -> None:
        print(f"{name}, seed {seed}: {what}, {time.process_time():.0f} CPU s", flush=True)

    def timed(make: Callable[[], Any]) -> Callable[[], tuple[Any, float]]:
        def run() -> tuple[Any, float]:
            started = time.process_time()
            return make(), time.process_time() - started

        return run

    told("proposed")
    every = timed(lambda: [measure(case, schema_of(pool), SCRATCH[name]) for case in own])
    cases, more = kept(folder / "cases.json", tuple[list[Case], float], every)
    spent += more
    told("read")
    learned, since, scored = {}, {}, Scored(pool, own, SCRATCH[name])
    for looks in Looks:
        play = timed(lambda looks=looks: play_learned(name, seed, scored, cases, looks))  # type: ignore[misc]
        kind = tuple[tuple[list[tuple[str, Review]], int], float]
        (learned[looks.value], since[looks.value]), more = kept(folder / f"learned-{looks.value}.json", kind, play)
        spent += more
        told(f"learned attention from batch {since[looks.value]}, reader {looks.value}")
    return Seed(cases, learned, since, spent)


def main() -> None:
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--pools", nargs="+", choices=list(POOLS), default=list(POOLS))
    parser.add_argument("--keep", type=Path, help="Folder in which what is done is kept, and found again.")
    parser.add_argument("--out", type=Path, help="Write the tables here too.")
    parser.add_argument("--plot", type=Path, help="Draw the curves into this file.")
    args = parser.parse_args()
    started, lines, of_pools, before = time.process_time(), [], {}, 0.0
    with tempfile.TemporaryDirectory() as folder:
        for name in args.pools:
            seeds = [one_seed(name, seed, args.data, args.keep or Path(folder)) for seed in range(args.seeds)]
            of_pools[name] = [curves(name, seed, found, LOOKING_MINUTES) for seed, found in enumerate(seeds)]
            lines += [f"## {name}", "", *kinds_table(POOLS[name], seeds), ""]
            lines += [*quality_table(name, [found.cases for found in seeds]), ""]
            lines += [*curves_table(name, of_pools[name]), "", *savings_table(name, seeds), ""]
            since = {looks: [found.learned_from[looks] for found in seeds] for looks in seeds[0].learned_from}
            lines += [f"Learned attention chose from batch {since} on.", ""]
            lines += [*assumptions(LOOKING_MINUTES, SCRATCH[name]), ""]
            before += sum(found.cpu_s for found in seeds)
    told = time.process_time() - started
    lines.append(
        f"Pools, reviews and learned attention of all seeds: {before:.0f} CPU s. This process: {told:.0f} CPU s."
    )
    print("\n".join(lines))
    if args.out:
        args.out.write_text("\n".join(lines) + "\n", "utf-8")
    if args.plot:
        plot(args.plot, of_pools)


if __name__ == "__main__":
    main()
