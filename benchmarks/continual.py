"""What people revised, learned by heads, an added decoder or adapters, against full training: one command, one table.

    python benchmarks/continual.py [--data ../shared/data] [--work DIR] [--out TABLE.md] [--seeds 0 1 2]

phantoms     nine organs in thirty cases, of which five are known from the start and four are revised; eight others test
hippocampus  two parts in thirty cases, of which one is known from the start and one is revised; twenty others test

Twelve cases are revised, then ten more. `known`: the network of before learned what is revised from masks that a poor
model drew in all thirty cases: vessels end too early, all else is a voxel too tight. `new`: it never saw it.

before       the network before anything was revised
only         fine-tuned on the revised cases, in which all but what is revised counts as background
hybrid       fine-tuned on the revised cases, the others as the network of before draws them
importance   as hybrid, with a fifth of the other cases, chosen by importance; `chance`: as many by chance
full         trained anew on all cases, as the product does it; of `new` the same as if nothing had been drawn poorly
heads, decoder, adapters, auto   continual, by `retrain.continual`

In the second round all but `full` go on from their own first; heads and branches learn from all revised cases, the
first twelve included: features of these are those of the first round. Voxels are those that weights are trained on,
iteration by iteration, and those that networks ran over. CPU seconds are those of the whole stage, in one process of
one thread; two processes work at a time, first on the first round of all seeds. What is done is kept in DIR, and not
done again; the table is written whenever one of them is through with something.
"""

from __future__ import annotations

import argparse
import itertools
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from voxledger import layout
from voxledger.casemap.memo import read_record
from voxledger.imaging.soft import open_soft
from voxledger.imaging.volume import Grid, file_sha256, mask_sha256, read, read_label, write
from voxledger.models.cohort import Member
from voxledger.models.model import Model, open_models
from voxledger.models.prediction import network_predictions
from voxledger.models.trunk import Kept, RunTrunk
from voxledger.params import InferParams, MachineParams, ModelParams, Params, RetrainParams
from voxledger.phantom.make import Size, make_phantom
from voxledger.phantom.materials import CLASSES
from voxledger.phantom.scanner import SITES
from voxledger.process import end_with
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Entry, Ledger, Origin
from voxledger.retrain.replay import replayed
from voxledger.retrain.run import retrain_round
from voxledger.schema import LabelClass, LabelSchema
from voxledger.score.replay import replay_order
from voxledger.score.run import attend
from voxledger.score.table import ClassScore, write_scores
from voxledger.textfile import read_json, replace_text

ROUNDS = (12, 22)
"""Cases that are revised after each round."""
CONTINUAL, REPLAY = ("heads", "decoder", "adapters", "auto"), ("importance", "chance")
ARMS = ("full", *CONTINUAL, "hybrid", "only", *REPLAY)
TRUNKS = ("known", "new")
BRANCH, FINE = 0.25, 0.25
"""Shares of the iterations of full training that a branch takes, and fine-tuning."""
ONE = MachineParams(workers=1)
_FEATURES = layout.MEMO / RunTrunk.stage
Labels = np.ndarray[Any, Any]


@dataclass(frozen=True)
class Kind:
    """What is looked at: classes, cases and network."""

    name: str
    old: tuple[str, ...]
    revised: tuple[str, ...]
    labels: dict[str, int]
    """Of the classes, in the images of truth."""
    modality: str
    pool: int
    test: int
    model: ModelParams
    head: float
    """Share of the iterations that a head takes."""

    def schema(self, *names: str) -> LabelSchema:
        """A schema of some classes."""
        classes = (LabelClass(id=self.labels[name], name=name) for name in names)
        return LabelSchema(name=self.name, classes=tuple(sorted(classes, key=lambda c: c.id)))

    @property
    def whole(self) -> LabelSchema:
        """The schema of all."""
        return self.schema(*self.old, *self.revised)


def kinds(iterations: int) -> tuple[Kind, ...]:
    """All that is looked at; hippocampus takes a third of the iterations."""
    old = ("liver", "spleen", "kidney_right", "kidney_left", "spine")
    unet = {"backend": "monai", "network": "unet", "features": (12, 24, 48)}
    large = ModelParams(**unet, patch=(32, 40, 40), iterations=iterations)
    small = ModelParams(**unet, patch=(24, 32, 24), iterations=iterations // 3)
    parts, revised = {"anterior": 1, "posterior": 2}, ("stomach", "aorta", "postcava", "pancreas")
    return (
        Kind("phantoms", old, revised, dict(CLASSES), "CT", 30, 8, large, 0.08),
        Kind("hippocampus", ("anterior",), ("posterior",), parts, "MR", 30, 20, small, 0.25),
    )


@dataclass(frozen=True)
class World:
    """All cases, with images on disk, and what is true of them."""

    kind: Kind
    cases: list[Case]
    truth: dict[str, Labels]
    """Label map (z, y, x) by case."""
    grids: dict[str, Grid]

    @property
    def pool(self) -> list[str]:
        """Ids of the cases that are not for tests, those first that are revised first."""
        return [case.case_id for case in self.cases if case.split is Split.POOL]

    def mask(self, case_id: str, name: str) -> Labels:
        """A class of a case."""
        return self.truth[case_id] == self.kind.labels[name]

    @property
    def tests(self) -> list[Case]:
        """Cases to judge by."""
        return [case for case in self.cases if case.split is Split.TEST]


def make_world(kind: Kind, seed: int, data: Path) -> World:
    """Draw phantoms, or take images of hippocampi by chance, unless they are in the current folder."""
    world = World(kind, [], {}, {})
    if not Path("truth").is_dir():
        draw(kind, phantoms(seed) if kind.name == "phantoms" else hippocampi(seed, data))
    for index in range(kind.pool + kind.test):
        case_id, split = f"c{index:02d}", Split.POOL if index < kind.pool else Split.TEST
        truth, path = read(Path(f"truth/{case_id}.nii.gz")), f"images/{case_id}.nii.gz"
        world.truth[case_id], world.grids[case_id] = truth.array, truth.grid
        world.cases.append(Case(case_id, path, file_sha256(path), "", "made", "CC0-1.0", split, kind.modality, ""))
    return world


def draw(kind: Kind, found: Iterator[tuple[Labels, Labels, Grid]]) -> None:
    """Write images and truth of a world."""
    shutil.rmtree("truth.partial", ignore_errors=True)
    known = [kind.labels[name] for name in (*kind.old, *kind.revised)]
    for index, (image, labels, grid) in zip(range(kind.pool + kind.test), found, strict=False):
        write(Path(f"images/c{index:02d}.nii.gz"), image, grid)
        write(
            Path(f"truth.partial/c{index:02d}.nii.gz"),
            np.where(np.isin(labels, known), labels, 0).astype(np.uint8),
            grid,
        )
    Path("truth.partial").rename("truth")


def phantoms(seed: int) -> Iterator[tuple[Labels, Labels, Grid]]:
    """Image, labels and grid, one after the other."""
    for index in itertools.count():
        made = make_phantom(seed, index, SITES["a"], Size.SMALL, 0.0)
        labels = np.where(made.labels == CLASSES["pancreatic_duct"], CLASSES["pancreas"], made.labels)
        yield made.image, labels, made.grid


def hippocampi(seed: int, data: Path) -> Iterator[tuple[Labels, Labels, Grid]]:
    """The same, by chance."""
    paths = sorted((data / "hippocampus" / "images").glob("*.nii.gz"))
    for number in np.random.default_rng(seed).permutation(len(paths)):
        image, labels = read(paths[number]), read_label(paths[number].parents[1] / "labels" / paths[number].name)
        yield image.array, labels, image.grid


def drawn_poorly(kind: Kind, labels: Labels) -> Labels:
    """What is revised, as a poor model draws it."""
    from scipy.ndimage import binary_erosion

    found = labels.copy()
    for name in kind.revised:
        mask = labels == kind.labels[name]
        if name in ("aorta", "postcava"):
            slices = np.flatnonzero(mask.any((1, 2)))
            right = mask.copy()
            right[: slices[len(slices) // 3]] = False
        else:
            right = binary_erosion(mask, np.ones((1, 3, 3)))
        found[mask & ~right] = 0
    return found


def state(world: World, rows: Callable[[str], Iterable[tuple[str, Labels, Origin, int]]]) -> Ledger:
    """Write label maps; returns their ledger. `rows` gives class, mask, origin and round of what is known of a case."""
    shutil.rmtree(layout.RELEASE_LABELS, ignore_errors=True)
    ledger: Ledger = {}
    for case_id in world.pool:
        grid, labels = world.grids[case_id], np.zeros_like(world.truth[case_id])
        known = list(rows(case_id))
        for name, mask, _, _ in known:  # where two say so, the last
            labels[mask] = world.kind.labels[name]
        for name, _, origin, version in known:
            mask = labels == world.kind.labels[name]
            ml = float(mask.sum() * grid.voxel_ml)
            entry = Entry(case_id, name, version, origin, (), "", "", mask_sha256(mask, grid), "", ml)
            ledger[case_id, name] = entry
        write(layout.label_map(layout.RELEASE_LABELS, case_id), labels, grid)
    return ledger


def as_people_leave_it(world: World, trunk: str, rounds: int) -> Ledger:
    """After so many rounds: the old are known, the others where they were revised; elsewhere as drawn, if at all."""
    kind = world.kind
    when = {case_id: n for n, end in reversed(list(enumerate(ROUNDS[:rounds], 1))) for case_id in world.pool[:end]}

    def rows(case_id: str) -> Iterable[tuple[str, Labels, Origin, int]]:
        poor = drawn_poorly(kind, world.truth[case_id])
        for name in kind.old:
            yield name, world.mask(case_id, name), Origin.SOURCE, 0
        for name in kind.revised:
            if case_id in when:
                yield name, world.mask(case_id, name), Origin.REVISED, when[case_id]
            elif trunk == "known":
                yield name, poor == kind.labels[name], Origin.PREDICTED, 0

    return state(world, rows)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    arm: str
    round: int
    dice: dict[str, float]
    voxels: float
    seconds: float
    each: float
    """CPU seconds of a prediction."""
    same: bool
    """Whether every stored probability of the old classes, in all test cases, is that of before."""
    kept: dict[str, str]
    """Step by class, where there are any."""


@dataclass(frozen=True)
class Bench:
    """One seed and one trunk, in the current folder."""

    world: World
    trunk: str
    seed: int

    @property
    def before(self) -> Path:
        """The network of before."""
        return Path(f"{self.trunk}-before-0")

    def params(self, **given: Any) -> RetrainParams:
        """Parameters of the stage retrain."""
        kind = self.world.kind
        shares = {"continual_iterations": kind.head, "grown_iterations": BRANCH, "finetune_iterations": FINE}
        return RetrainParams(models={"m": kind.model}, seed=self.seed, **shares, **given)

    def rows(self, number: int) -> Iterator[Row]:
        """All lines of a round, with that of before.

        Replay and the ladder are looked at once, single steps beyond heads where the trunk never saw the classes, and
        fine-tuning on revised cases alone where it did.
        """
        yield self.row("before", 0)
        left_out = {"decoder", "adapters"} if self.trunk == "known" else {*REPLAY, "only"}
        for arm in ARMS:
            if arm not in left_out and (number == 1 or arm not in (*REPLAY, "auto")):
                yield self.row(arm, number)

    def row(self, arm: str, number: int) -> Row:
        """A line, made unless it is there."""
        name = f"{self.trunk}-{arm}-{number}"
        line = Path(f"{name}.json")
        if not line.exists():
            shutil.rmtree(layout.BASE_MODELS, ignore_errors=True)
            shutil.rmtree(layout.MEMO, ignore_errors=True)
            if not Path(name).exists():
                features = Path(f"{self.trunk}-{arm}-features")
                if number > 1 and features.exists():
                    shutil.copytree(features, _FEATURES, copy_function=os.link)
                known, began = voxels_of_features(), time.process_time()
                self._train(arm, number)
                seconds, used = time.process_time() - began, voxels_of_features().keys() & known.keys()
                took = {"seconds": seconds, "kept": sum(known[key] for key in used)}
                Path(f"{name}.took.json").write_text(json.dumps(took))
                if number == 1 and arm in CONTINUAL:
                    shutil.rmtree(features, ignore_errors=True)
                    shutil.copytree(_FEATURES, features, copy_function=os.link)
                shutil.rmtree(f"{name}.partial", ignore_errors=True)
                shutil.copytree(layout.NEXT_MODELS, f"{name}.partial")
                Path(f"{name}.partial").rename(name)
            replace_text(line, json.dumps(asdict(self._measured(arm, number, name))))
            print(f"{time.strftime('%H:%M:%S')} {Path.cwd().name} {line.read_text()}", flush=True)
        return Row(**json.loads(line.read_text()))

    def _train(self, arm: str, number: int) -> None:
        """Leave the model of an arm in the folder of the next ones."""
        world, trunk = self.world, self.trunk
        ledger = as_people_leave_it(world, trunk, number)
        params = self.params(hybrid=trunk == "known") if arm == "before" else self.params()
        if arm not in ("before", "full"):
            shutil.copytree(Path(f"{trunk}-{arm}-{number - 1}") if number > 1 else self.before, layout.BASE_MODELS)
        if arm in CONTINUAL:
            params = self.params(strategy="continual", continual=arm, replay=1.0)
        elif arm not in ("before", "full"):
            params, ledger = self.params(strategy="finetune", hybrid=True), self._tuned_on(arm, number)
        known = {case_id for case_id, _ in ledger}
        cases = [case for case in world.cases if case.case_id in known]
        schema = world.kind.schema(*{name for _, name in ledger})
        retrain_round(cases, schema, ledger, number, params, ONE)

    def _tuned_on(self, arm: str, number: int) -> Ledger:
        """What fine-tuning learns from."""
        world, revised, old = self.world, self.world.pool[: ROUNDS[number - 1]], self.world.kind.old
        drawn = {} if arm == "only" else self._drawn(revised)
        again = self._replayed(arm, len(revised)) if arm in REPLAY else []

        def rows(case_id: str) -> Iterable[tuple[str, Labels, Origin, int]]:
            if case_id in again:
                yield from ((name, world.mask(case_id, name), Origin.SOURCE, 0) for name in old)
            if case_id not in revised:
                return
            for name in old:
                if drawn:
                    yield name, drawn[case_id][name], Origin.PREDICTED, 0
                else:
                    yield name, np.zeros(world.truth[case_id].shape, bool), Origin.SOURCE, 0
            for name in world.kind.revised:
                yield name, world.mask(case_id, name), Origin.REVISED, number

        return state(world, rows)

    def _drawn(self, case_ids: Sequence[str]) -> dict[str, dict[str, Labels]]:
        """The old classes by case, as the network of before draws them."""
        wanted = [case for case in self.world.cases if case.case_id in case_ids]
        found = predictions(opened(self.before, self.world), wanted)
        return {case_id: {n: soft.probabilities(n) > 0.5 for n in self.world.kind.old} for case_id, soft in found}

    def _replayed(self, arm: str, revised: int) -> list[str]:
        """A fifth of the cases that are not revised."""
        kind = self.world.kind
        others = [case for case in self.world.cases if case.case_id in self.world.pool[revised:]]
        scores = []
        if arm == "importance":
            model = opened(self.before, self.world)
            for case_id, _ in predictions(model, others):
                out = Path("scored/m") / f"{case_id}.b2nd"
                out.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path("said") / model.card.id[:8] / out.name, out)
            found = attend(others, Path("scored"), kind.whole, Params(machine=ONE))
            for case_id, classes in found.items():
                for name, one in classes.items():
                    numbers = (one.attention_ml, one.inconsistent_ml, one.uncertain_ml, one.overlapping_ml)
                    taught = name in kind.old
                    score = ClassScore(case_id, name, 1, *numbers, one.predicted_ml, one.mean_entropy, 1.0, taught)
                    scores.append(score)
            write_scores("scores.csv", scores)
        by = "importance" if arm == "importance" else "random"
        places = {"": replay_order(by, f"{self.seed}/1", "scores.csv").get("", {})}
        members = [Member(c, (), {n: p[c.case_id] for n, p in places.items() if c.case_id in p}) for c in others]
        return replayed(members, [c.case_id for c in others], self.params(replay=0.2), "again")

    def _measured(self, arm: str, number: int, name: str) -> Row:
        """The line of a model that is there."""
        world, kind = self.world, self.world.kind
        made, before = opened(Path(name), world), opened(self.before, world)
        shutil.rmtree(Path("said") / made.card.id[:8], ignore_errors=True)
        began = time.process_time()
        dice: dict[str, list[float]] = {}
        for case_id, soft in predictions(made, world.tests):
            for class_name in soft.classes:
                found, true = soft.probabilities(class_name) > 0.5, world.mask(case_id, class_name)
                score = 2 * float((found & true).sum()) / max(1.0, float(found.sum() + true.sum()))
                dice.setdefault(class_name, []).append(score)
        each = (time.process_time() - began) / len(world.tests)
        pairs = zip(predictions(before, world.tests), predictions(made, world.tests), strict=True)
        same = all(
            np.array_equal(one.probabilities(n), other.probabilities(n))
            for (_, one), (_, other) in pairs
            for n in kind.old
        )
        ladder, model = made.card.ladder, kind.model
        iterations = model.budget(FINE if made.card.strategy == "finetune" else 1.0)
        took = read_json(Path(f"{name}.took.json"))
        voxels = iterations * model.batch * float(np.prod(model.patch or ()))
        if ladder:
            voxels = ladder.voxels - took["kept"]
        mean = {class_name: float(np.mean(values)) for class_name, values in dice.items()}
        return Row(arm, number, mean, voxels, took["seconds"], each, same, ladder.kept if ladder else {})


def voxels_of_features() -> dict[str, int]:
    """How many voxels the network ran over for what is remembered of its features, by the key of each window."""
    entries = (path for path in _FEATURES.glob("*") if path.is_dir())
    return {path.name: Kept(**json.loads(read_record(str(path)).facts)).voxels for path in entries}


def predictions(model: Model, cases: Sequence[Case]) -> Iterable[tuple[str, Any]]:
    """What a model says of cases, by case; kept."""
    for job in network_predictions(model, cases, InferParams(step=0.75), ONE):
        out = Path("said") / model.card.id[:8] / f"{job.case.case_id}.b2nd"
        if not out.exists():
            out.parent.mkdir(parents=True, exist_ok=True)
            partial = out.with_suffix(".partial")
            partial.unlink(missing_ok=True)
            job.predict(partial)
            partial.rename(out)
        yield job.case.case_id, open_soft(out)


def opened(home: Path, world: World) -> Model:
    """The model in a folder, by the schema of all."""
    (model,) = open_models(home, world.kind.whole)
    return model


Rows = dict[tuple[str, int], dict[int, Row]]
"""Lines of one kind and trunk by arm and round, of every seed."""


def table(kind: Kind, trunk: str, rows: Rows, of_new: Rows) -> str:
    """Means over the seeds, and what that is against full training; `of_new` are the lines of the other trunk."""
    names = (*kind.old, *kind.revised)
    head = ["", "revised in", "seeds", *names, "10⁶ voxels", "CPU s", "CPU s a prediction", "old classes"]
    lines = [head, ["---"] * len(head)]
    for (arm, number), by_seed in rows.items():
        of_arm = list(by_seed.values())
        dice = [f"{mean(r.dice[n] for r in of_arm):.3f}" if n in of_arm[0].dice else "–" for n in names]
        same = "as before, to the bit" if all(row.same for row in of_arm) and number else ""
        work = [f"{mean(getattr(r, n) for r in of_arm) / per:.{p}f}" for n, per, p in WORK]
        lines.append([arm, str(cases(number)), str(len(of_arm)), *dice, *work, same])
    text = f"### {kind.name}, {trunk}\n\n{markdown(lines)}"
    fulls = {"full": rows} | ({"full, nothing drawn poorly": of_new} if trunk == "known" else {})
    for name, reference in fulls.items():
        text += f"\nAgainst {name}, mean and range of the seeds:\n\n{markdown(differences(kind, rows, reference))}"
    for (arm, number), by_seed in rows.items():
        if arm == "auto":
            steps = (f"{seed}: {', '.join(f'{n} {step}' for n, step in r.kept.items())}" for seed, r in by_seed.items())
            text += f"\nSteps of auto, {cases(number)} cases, by seed: {'; '.join(steps)}.\n"
    return text


WORK = (("voxels", 1e6, 1), ("seconds", 1, 0), ("each", 1, 2))
"""Fields of a line, units, and digits."""


def differences(kind: Kind, rows: Rows, reference: Rows) -> list[list[str]]:
    """Dice of what is revised, and work, against full training in the same round and seed."""
    head = ["", "revised in", *kind.revised, "mean of these", "less voxels", "less CPU s"]
    lines = [head, ["---"] * len(head)]
    for (arm, number), by_seed in rows.items():
        full = reference.get(("full", number), {})
        pairs = [(row, full[seed]) for seed, row in by_seed.items() if seed in full]
        if not pairs or full is by_seed:
            continue
        by_class = {n: [a.dice[n] - b.dice[n] for a, b in pairs] for n in kind.revised}
        by_class["mean"] = [mean(values) for values in zip(*by_class.values(), strict=True)]
        cells = [f"{mean(v):+.3f} ({min(v):+.3f} to {max(v):+.3f})" for v in by_class.values()]
        less = [mean(getattr(b, n) for _, b in pairs) / mean(getattr(a, n) for a, _ in pairs) for n, _, _ in WORK[:2]]
        lines.append([arm, str(cases(number)), *cells, *(f"{one:.1f} ×" for one in less)])
    return lines


def mean(values: Iterable[float]) -> float:
    return float(np.mean(list(values)))


def cases(number: int) -> int:
    """That are revised after a round."""
    return ROUNDS[number - 1] if number else 0


def markdown(lines: Iterable[Sequence[str]]) -> str:
    return "".join(f"| {' | '.join(cells)} |\n" for cells in lines)


def work_on(kind: Kind, trunk: str, seed: int, number: int, data: Path, work: Path) -> list[Row]:
    """All lines of one round, seed and trunk, in a folder for both rounds."""
    home = work / f"{kind.name}-{trunk}-{seed}"
    home.mkdir(parents=True, exist_ok=True)
    os.chdir(home)
    return list(Bench(make_world(kind, seed, data), trunk, seed).rows(number))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=Path("../shared/data"))
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--iterations", type=int, default=650, help="of full training on phantoms")
    parser.add_argument("--work", type=Path)
    parser.add_argument("--out", type=Path)
    given = parser.parse_args()
    work, began = (given.work or Path(tempfile.mkdtemp())).absolute(), time.monotonic()
    out = given.out.absolute() if given.out else work / "table.md"
    looked_at = kinds(given.iterations)
    found: dict[tuple[str, str], Rows] = {(kind.name, trunk): {} for kind in looked_at for trunk in TRUNKS}
    # glibc gives large blocks back after every iteration, and asks for them again: a twelfth of the CPU time.
    os.environ |= {"MALLOC_MMAP_THRESHOLD_": "1000000000", "MALLOC_TRIM_THRESHOLD_": "4000000000"}
    context = get_context("spawn")
    with ProcessPoolExecutor(2, mp_context=context, initializer=end_with, initargs=(os.getpid(),)) as pool:
        for number in range(1, len(ROUNDS) + 1):
            tasks = [(kind, trunk, seed, number) for seed in given.seeds for kind in looked_at for trunk in TRUNKS]
            running = [pool.submit(work_on, *task, given.data.absolute(), work) for task in tasks]
            for (kind, trunk, seed, _), one in zip(tasks, running, strict=True):
                for row in one.result():
                    found[kind.name, trunk].setdefault((row.arm, row.round), {})[seed] = row
                took = f"{(time.monotonic() - began) / 60:.0f} minutes."
                tables = (table(k, t, found[k.name, t], found[k.name, "new"]) for k in looked_at for t in TRUNKS)
                replace_text(out, "\n".join((*tables, took, "")))
    used = os.times()
    print(f"{out.read_text()}\n{(used.children_user + used.children_system) / 60:.0f} CPU minutes")


if __name__ == "__main__":
    main()
