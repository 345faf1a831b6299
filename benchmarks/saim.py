"""One shared interactive network (SAIM): does it select, pre-label and learn? Rounds of clicks, several seeds, on CPUs.

    python benchmarks/saim.py [--images ../shared/data/hippocampus] [--seeds 0 1 2] [--work DIR] [--out TABLE.md]
    python benchmarks/saim.py --phantoms [--seeds 0 1 2] [--work DIR] [--out TABLE.md]

For every seed: a pool whose first cases, drawn by the seed, people label from nothing; fixed test cases. In each round
the network of the backend `clicks` is trained from nothing on all that is labelled, with the same iterations however
much that is. Then it chooses the next cases by its mean voxel entropy, and a virtual reader clicks at the largest
errors of what it predicts, at most three times a class, and stops when a click no longer helps. Whatever comes out is
the label. Beside it: the same with cases drawn by chance; the same cases by chance with their reference labels; and,
once, all cases with the labels that the first network predicts, without clicks.

Prints test mIoU against the share of the pool labelled and against hours, mean and standard deviation over the seeds,
and of the network that answered the clicks what three a class, none taken back, add on test cases: `voxledger models
gate` lets a round use them from 0.05 on. Here the rounds are played even so, and the column says how many seeds pass.
Hours are assumed, not measured: 15 minutes a case from nothing, 3'43" with clicks, as SAIM reports for kidneys in MR.
"""

from __future__ import annotations

import argparse
import json
import os
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass, replace
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any, Literal

import numpy as np

from voxledger.process import end_with

CURVES = ("entropy, clicks", "random, clicks", "random, reference")
AUTOMATIC = "all, automatic"


@dataclass(frozen=True)
class Setting:
    """What is played on, at half resolution."""

    name: str
    classes: tuple[str, ...]
    modality: str
    pool: int
    test: int
    spacing: tuple[float, float, float]
    patch: tuple[int, int, int]
    iterations: int
    augmentation: Literal["light", "strong"] = "strong"
    trainings: int = 1
    """Of the last network of a curve, from other random weights; its mIoU is their mean."""
    revisit: bool = False
    """Whether the last network is asked what it makes of all that was clicked before."""
    shares: tuple[float, ...] = (0.14, 0.28, 0.56, 1.0)
    """Of the pool, labelled at the end of every round; the first by people alone."""


HIPPOCAMPUS = Setting("hippocampus", ("anterior", "posterior"), "MR", 100, 80, (2.0, 2.0, 2.0), (20, 28, 20), 500)
PHANTOMS = Setting(
    "phantoms",
    ("liver", "spleen", "pancreas"),
    "CT",
    50,
    30,
    (8.0, 8.0, 8.0),
    (20, 28, 28),
    400,
    "light",
    shares=(0.14, 0.4, 1.0),
)
GATED = 20
"""Test cases on which it is measured whether a round might use the clicks."""


@dataclass(frozen=True)
class Point:
    """Where a curve stands after a round."""

    labelled: int
    hours: float
    miou: float
    """On the test cases, of what the network says without clicks."""
    rise: float = 0.0
    """What clicks added to the mIoU of the cases labelled in this round."""
    clicks: float = 0.0
    """A case and class."""
    gate: float = 0.0
    """What three clicks a class, none taken back, add to the mIoU of test cases by the network that answered them."""


@dataclass(frozen=True)
class Made:
    """What clicks made of a case."""

    file: Path
    rise: float
    """What they added to its mIoU."""
    clicks: tuple[Any, ...]
    """In their order, also those that did not help."""


def schema_of(setting: Setting) -> Any:
    from voxledger.schema import LabelClass, LabelSchema

    classes = tuple(LabelClass(id=i, name=name) for i, name in enumerate(setting.classes, 1))
    return LabelSchema(name=setting.name, classes=classes)


class Bench:
    """Cases on disk, and networks trained on some of them."""

    def __init__(self, setting: Setting, images: Path, references: Path, work: Path, seed: int) -> None:
        self.setting, self.seed, self.schema = setting, seed, schema_of(setting)
        self.images, self.references, self.work = images, references, work
        names = sorted(path.name.removesuffix(".nii.gz") for path in images.glob("*.nii.gz"))
        self.test, self.pool = names[: setting.test], names[setting.test : setting.test + setting.pool]
        self.trained = 0
        self.numbers = range(1, len(setting.classes) + 1)
        self.gates: dict[str, float] = {}

    def image(self, case_id: str) -> Any:
        from voxledger.imaging.volume import read

        return read(self.images / f"{case_id}.nii.gz")

    def truth(self, case_id: str) -> np.ndarray:
        from voxledger.imaging.volume import read_label

        return read_label(self.references / f"{case_id}.nii.gz")

    def train(self, labels: dict[str, Path], seed: int | None = None) -> Any:
        """A network on the label maps of some cases, by id; of the seed of the cases, or another one."""
        from voxledger.imaging.volume import file_sha256
        from voxledger.knowledge import Knowledge
        from voxledger.models.clicks.train import train
        from voxledger.models.model import Model
        from voxledger.models.process import seed_everything, single_thread
        from voxledger.models.start import Start
        from voxledger.models.training import Training, TrainingCase
        from voxledger.params import ModelParams
        from voxledger.records.card import WEIGHTS, ModelCard, write_card

        seed = self.seed if seed is None else seed
        cases = tuple(
            TrainingCase(
                case_id=case_id,
                image=(image := self.images / f"{case_id}.nii.gz"),
                image_sha256=file_sha256(image),
                modality=self.setting.modality,
                label=label,
                knowledge=dict.fromkeys(self.setting.classes, Knowledge.TRUSTED),
                masks={},
            )
            for case_id, label in sorted(labels.items())
        )
        params = ModelParams(
            backend="clicks",
            network="unet",
            features=(16, 32, 64),
            iterations=self.setting.iterations,
            learning_rate=4e-3,
            spacing=self.setting.spacing,
            patch=self.setting.patch,
            augmentation=self.setting.augmentation,
        )
        training = Training(
            name="saim",
            model=params,
            start=Start("full", self.setting.iterations),
            cases=cases,
            schema=self.schema,
            labels=self.schema,
            seed=seed,
            device="cpu",
        )
        self.trained += 1
        folder = self.work / str(self.trained) / "saim"
        folder.mkdir(parents=True)
        with single_thread("cpu"):
            seed_everything(seed)
            architecture = train(training, folder)
        card = ModelCard(
            id=file_sha256(folder / WEIGHTS),
            name="saim",
            backend="clicks",
            architecture=architecture,
            strategy="full",
            cohort="",
            parent="",
            params=params.record(),
            licence="",
            round=0,
        )
        write_card(folder, card)
        return Model(folder, card, self.schema)

    def session(self, model: Any, case_id: str) -> Any:
        from voxledger.models.backend import backend_of

        return backend_of(model.card).session(model, self.image(case_id), "cpu")

    def predicted(self, model: Any, case_id: str) -> np.ndarray:
        from voxledger.params import InferParams

        labels: np.ndarray = self.session(model, case_id).automatic(InferParams())
        return labels

    def miou(self, model: Any) -> float:
        """On the test cases, without clicks."""
        return float(np.mean([self.iou(self.predicted(model, c), self.truth(c)) for c in self.test]))

    def again(self, labels: dict[str, Path]) -> list[float]:
        """mIoU of the further trainings on the same labels."""
        seeds = range(10 * (self.seed + 1), 10 * (self.seed + 1) + self.setting.trainings - 1)
        return [self.miou(self.train(labels, seed)) for seed in seeds]

    def iou(self, labels: np.ndarray, truth: np.ndarray) -> float:
        from voxledger.models.interaction import mean_iou

        return mean_iou(labels, truth, self.numbers)

    def by_entropy(self, model: Any, cases: Sequence[str]) -> list[str]:
        """Cases by falling mean voxel entropy of the network, as the acquisition function `entropy` ranks a pool."""
        from voxledger.imaging.soft import open_soft, write_soft
        from voxledger.models.clicks.predict import predict
        from voxledger.params import InferParams, ScoreParams
        from voxledger.registry import ACQUISITION
        from voxledger.score.acquire import example_case
        from voxledger.score.attention import Attention

        scores = []
        for case_id in cases:
            image, file = self.image(case_id), self.work / "soft.b2nd"
            channels = predict(model.folder, model.card.id, image, InferParams(), "cpu")
            write_soft(file, channels.by_class(self.schema), list(self.setting.classes), image.grid, "saim", "")
            attention = Attention([open_soft(file)], self.schema, ScoreParams(opening=0))
            total = sum(attention[name].entropy for name in self.setting.classes)
            scores.append(example_case(case_id, mean_entropy=total / image.array.size))
        return list(ACQUISITION.get("entropy").order(scores, ""))

    def click(self, model: Any, case_id: str) -> Made:
        """The label that clicks make of a case."""
        from voxledger.imaging.volume import write
        from voxledger.params import InferParams

        session, truth = self.session(model, case_id), self.truth(case_id)
        start = session.automatic(InferParams())
        played = self.played(session, start, truth)
        file = self.work / "labels" / f"{model.card.id[:12]}-{case_id}.nii.gz"
        file.parent.mkdir(exist_ok=True)
        write(file, played.labels.astype(np.uint8), self.image(case_id).grid)
        clicks = tuple(click for click, _ in played.clicks)
        return Made(file, self.iou(played.labels, truth) - self.iou(start, truth), clicks)

    def played(self, session: Any, start: np.ndarray, truth: np.ndarray) -> Any:
        """What a reader makes of a label map, who clicks three times a class at most, while it helps."""
        from voxledger.models.interaction import play

        return play(session, start, truth, self.numbers, 3, lambda a, b: self.iou(b, truth) > self.iou(a, truth))

    def revisited(self, model: Any, made: dict[str, Made]) -> str:
        """What a later network makes of cases that were clicked before: of the same clicks, and of new ones."""
        from voxledger.imaging.volume import read_label
        from voxledger.params import InferParams

        rows, clicks = [], 0
        for case_id, one in made.items():
            session, truth, label = self.session(model, case_id), self.truth(case_id), read_label(one.file)
            answer = session.start(session.automatic(InferParams()))
            for click in one.clicks:
                answer = session.click(answer, click)
            on_top = self.played(session, label, truth)
            clicks += len(on_top.clicks)
            rows.append([self.iou(labels, truth) for labels in (label, answer.labels, on_top.labels)])
        now, again, top = np.array(rows).T
        return (
            f"labels of {len(made)} cases by clicks: mIoU {now.mean():.4f}; the same clicks answered by the last "
            f"network {again.mean():.4f}, the better of both {np.maximum(now, again).mean():.4f} "
            f"({(again > now).sum()} changed); {clicks} new clicks on top {top.mean():.4f}"
        )

    def gate(self, model: Any) -> float:
        """What `voxledger models gate` measures, on some test cases."""
        from voxledger.models.interaction import play
        from voxledger.params import InferParams

        if model.card.id not in self.gates:
            rises = []
            for case_id in self.test[:GATED]:
                session, truth = self.session(model, case_id), self.truth(case_id)
                start = session.automatic(InferParams())
                after = play(session, start, truth, self.numbers, 3, lambda _a, _b: True).labels
                rises.append(self.iou(after, truth) - self.iou(start, truth))
            self.gates[model.card.id] = float(np.mean(rises))
        return self.gates[model.card.id]

    def automatic(self, model: Any, case_id: str) -> Path:
        """The label that the network predicts, without clicks."""
        from voxledger.imaging.volume import write

        file = self.work / "labels" / f"automatic-{case_id}.nii.gz"
        write(file, self.predicted(model, case_id).astype(np.uint8), self.image(case_id).grid)
        return file


def play_curves(bench: Bench, told: Any = print) -> dict[str, list[Point]]:
    """All curves of one seed; they share the first network."""
    from voxledger.minutes import SAIM_CLICKED_MINUTES, SAIM_SCRATCH_MINUTES

    drawn = [bench.pool[i] for i in np.random.default_rng(bench.seed).permutation(len(bench.pool))]
    counts = [round(share * len(drawn)) for share in bench.setting.shares]
    reference = {case_id: bench.references / f"{case_id}.nii.gz" for case_id in bench.pool}
    first = {case_id: reference[case_id] for case_id in drawn[: counts[0]]}
    model = bench.train(first)
    start = Point(counts[0], counts[0] * SAIM_SCRATCH_MINUTES / 60, bench.miou(model))
    told(f"seed {bench.seed}: {start}", flush=True)
    found = {}
    for curve in CURVES:
        now, labels, points = model, dict(first), [start]
        by_clicks: dict[str, Made] = {}
        for count in counts[1:]:
            left = [case_id for case_id in drawn if case_id not in labels]
            if curve.startswith("entropy"):
                left = bench.by_entropy(now, left)
            chosen, rises, clicks = left[: count - len(labels)], [0.0], [0.0]
            gate, minutes = 0.0, SAIM_SCRATCH_MINUTES
            if curve.endswith("clicks"):
                made = {case_id: bench.click(now, case_id) for case_id in chosen}
                by_clicks |= made
                labels |= {case_id: one.file for case_id, one in made.items()}
                rises = [one.rise for one in made.values()]
                clicks = [len(one.clicks) / len(bench.numbers) for one in made.values()]
                gate, minutes = bench.gate(now), SAIM_CLICKED_MINUTES
            else:
                labels |= {case_id: reference[case_id] for case_id in chosen}
            hours = points[-1].hours + len(chosen) * minutes / 60
            now = bench.train(labels)
            mious = [bench.miou(now), *(bench.again(labels) if count == counts[-1] else ())]
            if len(mious) > 1:
                told(f"seed {bench.seed}, {curve}, {count} cases, by training: {mious}", flush=True)
            miou = float(np.mean(mious))
            points.append(Point(count, hours, miou, float(np.mean(rises)), float(np.mean(clicks)), gate))
            told(f"seed {bench.seed}, {curve}: {points[-1]}", flush=True)
        found[curve] = points
        if by_clicks and bench.setting.revisit:
            told(f"seed {bench.seed}, {curve}: {bench.revisited(now, by_clicks)}", flush=True)
    labels = first | {case_id: bench.automatic(model, case_id) for case_id in drawn[counts[0] :]}
    found[AUTOMATIC] = [Point(counts[-1], start.hours, bench.miou(bench.train(labels)))]
    told(f"seed {bench.seed}, {AUTOMATIC}: {found[AUTOMATIC][0]}", flush=True)
    return found


def alone(
    setting: Setting, images: Path, references: Path, kept: Path, seed: int
) -> tuple[dict[str, list[Point]], float]:
    """Curves and CPU seconds of one seed, in a process of its own, on one core; what has been played is in a folder."""
    import torch

    file = kept / f"{setting.name}-{seed}.json"
    known = json.loads(file.read_text("utf-8")) if file.is_file() else {}
    if known.get("setting") != repr(setting):
        torch.set_num_threads(1)
        started = time.process_time()
        with tempfile.TemporaryDirectory(prefix="saim-") as work:
            found = play_curves(Bench(setting, images, references, Path(work), seed))
        curves = {curve: [asdict(point) for point in points] for curve, points in found.items()}
        known = {"setting": repr(setting), "cpu_s": time.process_time() - started, "curves": curves}
        file.write_text(json.dumps(known), "utf-8")
    return {curve: [Point(**point) for point in points] for curve, points in known["curves"].items()}, known["cpu_s"]


def make_phantoms(setting: Setting, folder: Path) -> tuple[Path, Path]:
    """Phantoms of two sites in turn, their reference with the classes of the setting alone, lesions as their organ."""
    from voxledger.imaging.volume import read, write
    from voxledger.phantom.make import write_phantoms
    from voxledger.phantom.materials import CLASSES

    kinds = {name: i for i, name in enumerate(setting.classes, 1)} | dict.fromkeys(("pdac", "cyst", "pnet"), 3)
    numbers = np.zeros(max(CLASSES.values()) + 1, np.uint8)
    for name, number in kinds.items():
        numbers[CLASSES[name]] = number
    images, references = folder / "images", folder / "reference"
    for made in (images, references):
        made.mkdir()
    for site in ("a", "b"):
        write_phantoms(folder / site, (setting.pool + setting.test) // 2, seed=12, site=site, prefix="")
        for path in sorted((folder / site / "reference").glob("*.nii.gz")):
            label, name = read(path), f"{path.name.removesuffix('.nii.gz')}{site}.nii.gz"
            write(references / name, numbers[label.array], label.grid)
            (folder / site / "images" / path.name).rename(images / name)
    return images, references


def table(results: list[dict[str, list[Point]]], shares: Sequence[float]) -> str:
    """Mean and standard deviation of every curve; where a round might not use the clicks, the gate says so."""
    from voxledger.records.clicks import LEAST_RISE

    lines = [
        "| curve | cases labelled | hours | test mIoU | of all with reference | clicks add | clicks a class | gate |",
        "| --- | --- | --- | --- | --- | --- | --- | --- |",
    ]
    full = np.array([r["random, reference"][-1].miou for r in results])
    for curve in (*CURVES, AUTOMATIC):
        for turn in range(len(results[0][curve])):
            points = [r[curve][turn] for r in results]
            reached = np.array([p.miou for p in points])
            share = 100 * reached.mean() / full.mean()
            rise, clicks, gate = (
                float(np.mean([getattr(p, name) for p in points])) for name in ("rise", "clicks", "gate")
            )
            passed = sum(p.gate >= LEAST_RISE for p in points)
            lines.append(
                f"| {curve} | {points[0].labelled} | {points[0].hours:.1f} "
                f"| {reached.mean():.4f} ± {reached.std():.4f} | {share:.1f} % "
                + (f"| {rise:+.3f} | {clicks:.1f} | {gate:+.3f}, {passed} of {len(points)} |" if clicks else "| | | |")
            )
    hours = [results[0][curve][-1].hours for curve in ("random, reference", "random, clicks")]
    lines += [
        "",
        f"Of all cases with reference labels: mIoU {full.mean():.4f}, {hours[0]:.1f} h; with clicks {hours[1]:.1f} h, "
        f"{hours[0] - hours[1]:.1f} h less. Assumed as SAIM reports for kidneys in MR: 15 minutes a series from "
        "nothing, 3'43\" with clicks.",
        "",
    ]
    for curve in CURVES[:2]:
        means = [float(np.mean([r[curve][turn].miou for r in results])) for turn in range(len(shares))]
        least = next((share for share, miou in zip(shares, means, strict=True) if miou >= 0.98 * full.mean()), None)
        lines.append(
            f"{curve}: with all data {100 * means[-1] / full.mean():.1f} % of that; 98 % from "
            + (f"{100 * least:.0f} % of the pool on." if least else "no share on.")
        )
    return "\n".join(lines)


def chart(results: list[dict[str, list[Point]]], shares: Sequence[float]) -> bytes:
    """The curves over the share of the pool and over hours, bands of one standard deviation, as SVG."""
    from voxledger.evaluate.charts import COLORS, svg

    def draw(axes: Any) -> None:
        figure = axes.figure
        figure.clear()
        left, right = figure.subplots(1, 2, sharey=True)
        for color, curve in zip(COLORS, CURVES, strict=False):
            reached = np.array([[point.miou for point in r[curve]] for r in results])
            mean, spread = reached.mean(0), reached.std(0)
            hours = [point.hours for point in results[0][curve]]
            for plot, along in ((left, [100 * share for share in shares]), (right, hours)):
                plot.plot(along, mean, "o-", color=color, label=curve, markersize=3.5)
                plot.fill_between(along, mean - spread, mean + spread, color=color, alpha=0.12, linewidth=0)
        left.set_xlabel("share of the pool labelled, %")
        right.set_xlabel("hours (assumed)")
        left.set_ylabel("test mIoU")
        left.legend(frameon=False, loc="lower right")

    return svg(draw, (7.2, 2.8))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--images", type=Path, default=Path("../shared/data/hippocampus"))
    parser.add_argument("--phantoms", action="store_true")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2])
    parser.add_argument("--work", type=Path, help="Keeps what each seed came to, for a run that goes on from there.")
    parser.add_argument("--cases", type=int, help="Fewer cases in the pool, to try it out.")
    parser.add_argument("--iterations", type=int, help="Of every training.")
    parser.add_argument("--trainings", type=int, default=1, help="Of the last network of a curve; takes their mean.")
    parser.add_argument("--revisit", action="store_true", help="Ask the last network about what was clicked before.")
    parser.add_argument("--shares", type=float, nargs="+")
    parser.add_argument("--augmentation", choices=["light", "strong"])
    parser.add_argument("--out", type=Path)
    parser.add_argument("--chart", type=Path, help="Draws the curves into an SVG.")
    given = parser.parse_args()
    setting = PHANTOMS if given.phantoms else HIPPOCAMPUS
    setting = replace(
        setting,
        pool=given.cases or setting.pool,
        iterations=given.iterations or setting.iterations,
        shares=tuple(given.shares or setting.shares),
        augmentation=given.augmentation or setting.augmentation,
        trainings=given.trainings,
        revisit=given.revisit,
    )
    with tempfile.TemporaryDirectory(prefix="saim-phantoms-") as folder:
        if given.phantoms:
            images, references = make_phantoms(setting, Path(folder))
        else:
            images, references = given.images / "images", given.images / "labels"
        kept = given.work or Path(folder)
        kept.mkdir(exist_ok=True)
        context = get_context("spawn")
        with ProcessPoolExecutor(mp_context=context, initializer=end_with, initargs=(os.getpid(),)) as pool:
            played = list(pool.map(partial(alone, setting, images, references, kept), given.seeds))
    results = [curves for curves, _ in played]
    spent = sum(seconds for _, seconds in played)
    told = f"{table(results, setting.shares)}\n\n{len(results)} seeds, {spent / 60:.0f} CPU minutes."
    print(told)
    if given.chart:
        given.chart.write_bytes(chart(results, setting.shares))
    if given.out:
        given.out.write_text(told + "\n", "utf-8")


if __name__ == "__main__":
    main()
