"""Learned attention against the published criteria, on the same cases of a mixed pool, round after round.

    python benchmarks/learned_attention.py [--data ../shared/data] [--seeds 3] [--rounds 3] [--keep DIR] [--plot PNG]

With `--keep` a seed that is through is not played again.

Whole hippocampus in MR. Two small U-Nets (those of `benchmarks/acquisition.py`) learn from 10 cases of the decathlon.
The pool is that of `benchmarks/quality_per_minute.py`: 60 cases of it as they are, 40 with trouble made on purpose, and
30 of another site. In a round people look at the 20 cases with most attention by the published criteria and at 8 more
drawn blindly, and correct both to the reference. From then on the networks learn from these cases too, and a model of
errors learns from what was visible of the corrections, each tolerance for itself: its threshold is set on the blind
cases.

Judged are all cases that nobody has looked at yet, from round 2 on: by component, errors that attention touches, and
regions of attention that touch an error; and by voxel. Beside the published criteria stand the same with thresholds and
opening as they fit best what people changed so far (as `voxledger score tune` does, with the opening too), and the
trade-off of the model of errors over its threshold. Counts are added over the seeds; in brackets are the lowest and the
highest seed.
"""

from __future__ import annotations

import argparse
import json
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import acquisition
import numpy as np
import pools
from acquisition import PLANS, Sample

from voxledger.bundles.judged import Counts, judge
from voxledger.params import ScoreParams
from voxledger.schema import LabelClass, LabelSchema

CLASS = "hippocampus"
SCHEMA = LabelSchema(name="hippocampus", classes=(LabelClass(id=1, name=CLASS),))
LOOKED_AT, AUDITED = 20, 8
TOLERANCES = (1.0, 2.0)
"""In mm; 1 is a voxel."""
WANTED = 0.85
"""Sensitivity, and precision, that are asked of attention."""
MISSES = (0.1, 0.15, 0.2, 0.3)
"""Values of `score.miss`."""
OPENINGS = (0, 1, 2)
TRIED = ((0.05, 0.02), (0.1, 0.05), (0.15, 0.1), (0.2, 0.15), (0.3, 0.2))
"""Thresholds of inconsistency and uncertainty that are tried."""
CURVE = (0.05, 0.1, 0.2, 0.3, 0.4, 0.5, 0.6, 0.7, 0.8)
"""Probabilities that regions of learned attention reach, of the trade-off."""


TUNED = "published, tuned"


@dataclass(frozen=True)
class Found:
    """What one kind of attention found in one round of one seed."""

    round: int
    tolerance: float
    name: str
    counts: Counts
    missed: float | None = None
    """Mean over the patients with errors of the share that was missed, which `score.miss` bounds."""
    note: str = ""


@dataclass
class Predicted:
    """A case of the pool as the networks see it now."""

    sample: Sample
    soft: list[Any]
    shown: np.ndarray
    """Label map (z, y, x)."""
    errors: dict[float, np.ndarray]
    """Visible errors (z, y, x) by tolerance."""


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


def ranks(cases: Sequence[Predicted], seed: int, turn: int) -> Any:
    """Of the round, from cases that nobody has looked at."""
    from voxledger.score.cells import CaseCells
    from voxledger.score.ranks import MOST_CASES, quantiles, ranks_of

    drawn = sorted(np.random.default_rng([seed, turn]).permutation(len(cases))[:MOST_CASES].tolist())
    found = []
    for case in (cases[number] for number in drawn):
        cells = CaseCells(case.soft, case.shown, case.sample.image, SCHEMA).of(published(case, ScoreParams())[CLASS], 0)
        found.append({CLASS: quantiles(cells.features).tolist()} if cells is not None else {})
    return ranks_of(found)


def draw(case: Predicted, ranks: Any, folder: Path, turn: int, audited: bool, tolerance: float) -> Any:
    """What a review of the case teaches."""
    from voxledger.score.cells import CaseCells
    from voxledger.score.judged_cells import Judged, draw_cells, write_judged

    cells = CaseCells(case.soft, case.shown, case.sample.image, SCHEMA)
    attention, seed = published(case, ScoreParams()), f"{turn}/{case.sample.case_id}"
    errors, drawn = draw_cells(cells, attention, ranks, case.sample.labels, {CLASS: True}, tolerance, seed, audited)
    path = folder / f"r{turn}-{tolerance:g}-{case.sample.case_id}.safetensors"
    judged = Judged(path, case.sample.case_id, turn, audited, errors)
    write_judged(judged, drawn)
    return judged


def score_of(cases: Sequence[Predicted], params: ScoreParams) -> dict[float, Counts]:
    """Published attention against errors, by tolerance."""
    total = {t: Counts() for t in TOLERANCES}
    for case in cases:
        bits = flagged(published(case, params)[CLASS], case.shown.shape)
        total = {t: counts + judge(bits, case.errors[t]) for t, counts in total.items()}
    return total


def f1(counts: Counts) -> float:
    """Of sensitivity and precision by component."""
    found = counts.metrics()
    a, b = found["sensitivity"] or 0.0, found["precision"] or 0.0
    return 2 * a * b / (a + b) if a + b else 0.0


def tuned(seen: Sequence[Predicted]) -> dict[float, ScoreParams]:
    """Thresholds and opening that fit best what people changed, by tolerance."""
    tries = [ScoreParams(inconsistency=i, uncertainty=u, opening=o) for i, u in TRIED for o in OPENINGS]
    tried = [score_of(seen, params) for params in tries]
    return {t: max(zip(tries, tried, strict=True), key=lambda one, t=t: f1(one[1][t]))[0] for t in TOLERANCES}


def scores_of(case: Predicted, ranks: Any, model: Any) -> np.ndarray:
    """What the model of errors says of the region of every voxel (z, y, x); −∞ where it says nothing."""
    from voxledger.score.cells import CaseCells
    from voxledger.score.error_model import region_scores

    scores = np.full(case.shown.shape, -np.inf)
    cells = CaseCells(case.soft, case.shown, case.sample.image, SCHEMA).of(published(case, ScoreParams())[CLASS], 0)
    if cells is not None:
        of_cell = region_scores(cells.places, model.scores(ranks(CLASS, cells.features)), cells.asked)
        voxels, of = cells.voxels(np.ones(len(of_cell), np.bool_))
        scores[tuple(voxels.T)] = of_cell[of]
    return scores


def above(scores: Sequence[np.ndarray], errors: Sequence[np.ndarray], threshold: float) -> list[Counts]:
    """Learned attention against errors, by case."""
    return [judge((s >= threshold).astype(np.uint8), e) for s, e in zip(scores, errors, strict=True)]


def logit(p: float, model: Any) -> float:
    """The score of a probability."""
    return float((np.log(p / (1 - p)) - model.platt[1]) / model.platt[0])


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


def play(data: Path, seed: int, rounds: int) -> list[Found]:
    """All rounds of one seed."""
    start, pool = pools.hippocampus(data, seed)
    networks = first_networks(start, seed, acquisition.FIRST_STEPS)
    rows, cohort, left = [], list(start), [sample for _, sample in pool]
    judged: dict[float, list[Any]] = {t: [] for t in TOLERANCES}
    seen: list[Predicted] = []
    with tempfile.TemporaryDirectory() as folder:
        for turn in range(1, rounds + 1):
            cases = [predict(networks, s, Path(folder) / str(turn)) for s in left]
            of_round = ranks(cases, seed, turn)
            rows += compare(seed, turn, cases, of_round, seen, judged) if turn > 1 else []
            print(f"seed {seed}, round {turn}: {time.process_time():.0f} CPU s", flush=True)
            if turn == rounds:
                break
            looked_at, audit = choose(cases, [seed, turn], LOOKED_AT, AUDITED)
            for tolerance in TOLERANCES:
                judged[tolerance] += [draw(c, of_round, Path(folder), turn, False, tolerance) for c in looked_at]
                judged[tolerance] += [draw(c, of_round, Path(folder), turn, True, tolerance) for c in audit]
            seen += [*looked_at, *audit]
            cohort += [case.sample for case in (*looked_at, *audit)]
            gone = {case.sample.case_id for case in seen}
            left = [s for s in left if s.case_id not in gone]
            for i, network in enumerate(networks):
                acquisition.fit(network, cohort, acquisition.NEXT_STEPS, 1000 * turn + 10 * seed + i)
    return rows


def compare(
    seed: int,
    turn: int,
    cases: Sequence[Predicted],
    ranks: Any,
    seen: Sequence[Predicted],
    judged: dict[float, list[Any]],
) -> list[Found]:
    """What each kind of attention finds in these cases."""
    rows = [
        Found(turn, t, f"published, opening {opening}", counts)
        for opening in OPENINGS
        for t, counts in score_of(cases, ScoreParams(opening=opening)).items()
    ]
    for t, best in tuned(seen).items():
        note = f"{best.inconsistency:g}, {best.uncertainty:g}, opening {best.opening}"
        rows.append(Found(turn, t, TUNED, score_of(cases, best)[t], note=note))
    return [*rows, *(row for t in TOLERANCES for row in learned(seed, turn, t, cases, ranks, judged[t]))]


def learned(
    seed: int, turn: int, tolerance: float, cases: Sequence[Predicted], ranks: Any, judged: Sequence[Any]
) -> list[Found]:
    """What a model of errors finds, at its own thresholds and at others."""
    from voxledger.score.judged_cells import apart
    from voxledger.score.learn import lacking, learn_errors

    patients = {one.case_id: pools.patient(one.case_id) for one in judged}
    if why := lacking(counted := apart(judged, patients)):
        return [Found(turn, tolerance, "**learned**", Counts(), note=why)]
    model, _ = learn_errors(counted, [CLASS], {CLASS: CLASS}, patients, seed)
    scores, errors = [scores_of(case, ranks, model) for case in cases], [case.errors[tolerance] for case in cases]
    rows = []
    for miss in MISSES:
        name = f"**learned**, miss {miss:g}"
        if (threshold := model.threshold(miss)) is None:
            rows.append(
                Found(turn, tolerance, name, Counts(), note=f"{model.audited_patients(miss)} audited patients set none")
            )
            continue
        found = above(scores, errors, threshold)
        missed = missed_share([c.sample.case_id for c in cases], found)
        p = model.probabilities(np.array([threshold]))[0]
        rows.append(Found(turn, tolerance, name, sum(found, Counts()), missed, f"from {p:.3f}"))
    for p in CURVE:
        found = above(scores, errors, logit(p, model))
        rows.append(Found(turn, tolerance, f"learned, from {p:g}", sum(found, Counts())))
    return rows


def missed_share(case_ids: Sequence[str], found: Sequence[Counts]) -> float:
    """Mean over the patients with errors of the share that was missed."""
    total: dict[str, Counts] = {}
    for case_id, one in zip(case_ids, found, strict=True):
        total[pools.patient(case_id)] = total.get(pools.patient(case_id), Counts()) + one
    return float(np.mean([1 - one.found / one.errors for one in total.values() if one.errors]))


def by_row(seeds: Sequence[Sequence[Found]]) -> dict[tuple[int, float, str], list[Found]]:
    """What all seeds found, by round, tolerance and attention."""
    found: dict[tuple[int, float, str], list[Found]] = {}
    for rows in seeds:
        for one in sorted(rows, key=lambda row: (row.round, row.tolerance)):
            found.setdefault((one.round, one.tolerance, one.name), []).append(one)
    return found


def table(seeds: Sequence[Sequence[Found]]) -> list[str]:
    """The table in Markdown; cells of a ratio hold that of all counts, and its range over the seeds."""
    ratios = ("sensitivity", "precision", "voxel_sensitivity", "voxel_precision")
    lines = [
        "| round | tolerance, mm | attention | errors | sensitivity | precision | sensitivity by voxel | "
        "precision by voxel | regions | ml | missed by patient | |",
        "| --- " * 12 + "|",
    ]
    for (turn, tolerance, name), found in sorted(by_row(seeds).items(), key=lambda one: one[0][:2]):
        total = sum((one.counts for one in found), Counts())
        each = [one.counts.metrics() for one in found if one.counts.regions]
        cells = [ratio(total.metrics()[key], [one[key] for one in each]) for key in ratios]
        missed = [one.missed for one in found if one.missed is not None]
        told = f"{np.mean(missed):.3f}" if missed else ""
        notes = "; ".join(one.note for one in found if one.note)
        rest = f"{total.regions} | {total.attention_voxels / 1000:.0f} | {told} | {notes}"
        lines.append(f"| {turn} | {tolerance:g} | {name} | {total.errors} | {' | '.join(cells)} | {rest} |")
    return lines


def ratio(whole: float | None, each: Sequence[float | None]) -> str:
    numbers = [n for n in each if n is not None]
    if whole is None:
        return "–"
    return f"{whole:.3f}" + (f" ({min(numbers):.2f}–{max(numbers):.2f})" if len(numbers) > 1 else "")


def draw_curves(seeds: Sequence[Sequence[Found]], path: Path) -> None:
    """Sensitivity by component against precision, and against volume, of all seeds together, a line a round."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(2, 2, figsize=(9, 8), sharey=True)
    totals = {key: sum((one.counts for one in found), Counts()) for key, found in by_row(seeds).items()}
    for (left, right), tolerance in zip(axes, TOLERANCES, strict=True):
        for turn in sorted({key[0] for key in totals}):
            here = {name: counts for (t, mm, name), counts in totals.items() if (t, mm) == (turn, tolerance)}
            groups = {
                f"learned, round {turn}": [c for n, c in here.items() if n.startswith("learned, from")],
                "learned, by its threshold": [c for n, c in here.items() if n.startswith("**learned**")],
                "published, openings": [c for n, c in here.items() if n.startswith("published, opening")],
                "published, tuned": [here[TUNED]],
            }
            for (label, counts), style in zip(groups.items(), ("o-", "*", "s", "D"), strict=True):
                found = [(c.metrics(), c.attention_voxels / 1000) for c in counts if c.regions]
                if found:
                    y = [m["sensitivity"] for m, _ in found]
                    left.plot([m["precision"] for m, _ in found], y, style, label=label)
                    right.plot([ml for _, ml in found], y, style, label=label)
        for line in (left.axhline, right.axhline, left.axvline):
            line(WANTED, color="0.7", linewidth=0.8, linestyle="--")
        left.set(xlabel="precision by component", ylabel="sensitivity by component", title=f"beyond {tolerance:g} mm")
        right.set(xlabel="ml of attention", xscale="log", title=f"beyond {tolerance:g} mm")
        right.xaxis.set_minor_formatter("")
    axes[0, 0].legend(fontsize=8)
    figure.tight_layout()
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def kept(path: Path | None) -> list[Found] | None:
    """What a seed found that was played before."""
    if path is None or not path.is_file():
        return None
    return [Found(**{**row, "counts": Counts(**row["counts"])}) for row in json.loads(path.read_text("utf-8"))]


def main() -> None:
    import torch

    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--keep", type=Path, help="keep what every seed found here")
    parser.add_argument("--plot", type=Path, help="write the curves as a PNG")
    given = parser.parse_args()
    seeds = []
    for seed in range(given.seeds):
        path = given.keep and given.keep / f"{given.rounds}-{seed}.json"
        if (rows := kept(path)) is None:
            rows = play(given.data, seed, given.rounds)
            if path is not None:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(json.dumps([asdict(row) for row in rows]), "utf-8")
        seeds.append(rows)
    print("\n".join(table(seeds)) + f"\n\n{time.process_time():.0f} CPU s.")
    if given.plot:
        draw_curves(seeds, given.plot)


if __name__ == "__main__":
    main()
