"""What people revised, learned by heads, an added decoder or adapters, against full training, on phantoms.

    python benchmarks/continual.py [--seeds 0 1 2] [--iterations 1200] [--trunks known new] [--arms …] [--work DIR]

Nine organs in thirty cases. Of five everything is known from the start. Four are revised in twelve cases, then in ten
more. `known`: the network of before learned these four from masks that a poor model drew in all thirty cases: aorta and
vena cava end too early, stomach and pancreas are a voxel too tight. `new`: it never saw them. Ten other cases test.

before       the network before anything was revised
only         fine-tuned on the revised cases, in which all but the four counts as background
hybrid       fine-tuned on the revised cases, the five as the network of before draws them
importance   as hybrid, with a fifth of the other cases, chosen by importance; `chance`: as many by chance
full         trained anew on all cases, as the product does it; of `new` the same as if nothing had been drawn poorly
heads, decoder, adapters, auto   continual, by `retrain.continual`

Voxels are those that weights are trained on, iteration by iteration, and those that networks ran over once. CPU seconds
are those of the whole stage, in one process of one thread. What is done is kept in DIR, and not done again.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np

from voxledger import layout
from voxledger.imaging.soft import open_soft
from voxledger.imaging.volume import Grid, file_sha256, mask_sha256, write
from voxledger.models.cohort import Member
from voxledger.models.model import Model, open_models
from voxledger.models.prediction import network_predictions
from voxledger.params import InferParams, MachineParams, ModelParams, Params, RetrainParams
from voxledger.phantom.make import Size, make_phantom
from voxledger.phantom.materials import CLASSES
from voxledger.phantom.scanner import SITES
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Entry, Ledger, Origin
from voxledger.retrain.replay import replayed
from voxledger.retrain.run import retrain_round
from voxledger.schema import LabelClass, LabelSchema
from voxledger.score.replay import replay_order
from voxledger.score.run import attend
from voxledger.score.table import ClassScore, write_scores

OLD = ("liver", "spleen", "kidney_right", "kidney_left", "spine")
REVISED = ("stomach", "aorta", "postcava", "pancreas")
POOL, TEST, ROUNDS = 30, 10, (12, 22)
CONTINUAL, REPLAY = ("heads", "decoder", "adapters", "auto"), ("importance", "chance")
ARMS = ("only", "hybrid", *REPLAY, "full", *CONTINUAL)
ONE = MachineParams(workers=1)
Labels = np.ndarray[Any, Any]


def schema_of(names: Iterable[str]) -> LabelSchema:
    """A schema of some organs."""
    classes = (LabelClass(id=CLASSES[name], name=name) for name in names)
    return LabelSchema(name="phantom", classes=tuple(sorted(classes, key=lambda c: c.id)))


WHOLE = schema_of((*OLD, *REVISED))


@dataclass(frozen=True)
class World:
    """All cases, with images on disk, and what is true of them."""

    cases: list[Case]
    truth: dict[str, Labels]
    """Label map (z, y, x) by case."""
    grids: dict[str, Grid]

    @property
    def pool(self) -> list[str]:
        """Ids of the cases that are not for tests, those first that are revised first."""
        return [case.case_id for case in self.cases if case.split is Split.POOL]


def make_world(seed: int) -> World:
    """Draw the phantoms."""
    world = World([], {}, {})
    for index in range(POOL + TEST):
        made = make_phantom(seed, index, SITES["a"], Size.SMALL, 0.0)
        case_id, split = f"c{index:02d}", Split.POOL if index < POOL else Split.TEST
        labels = np.where(made.labels == CLASSES["pancreatic_duct"], CLASSES["pancreas"], made.labels)
        known = [CLASSES[n] for n in (*OLD, *REVISED)]
        world.truth[case_id], world.grids[case_id] = (
            np.where(np.isin(labels, known), labels, 0).astype(np.uint8),
            made.grid,
        )
        path = f"images/{case_id}.nii.gz"
        write(path, made.image, made.grid)
        world.cases.append(Case(case_id, path, file_sha256(path), "", "made", "CC0-1.0", split, "CT", ""))
    return world


def drawn_poorly(labels: Labels) -> Labels:
    """The four as a poor model draws them."""
    from scipy.ndimage import binary_erosion

    found = labels.copy()
    for name in REVISED:
        mask = labels == CLASSES[name]
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
            labels[mask] = CLASSES[name]
        for name, _, origin, version in known:
            mask = labels == CLASSES[name]
            ml = float(mask.sum() * grid.voxel_ml)
            entry = Entry(case_id, name, version, origin, (), "", "", mask_sha256(mask, grid), "", ml)
            ledger[case_id, name] = entry
        write(layout.label_map(layout.RELEASE_LABELS, case_id), labels, grid)
    return ledger


def as_people_leave_it(world: World, trunk: str, rounds: int) -> Ledger:
    """After so many rounds: the five are known, the four where they were revised, and elsewhere as drawn, if at all."""
    when = {case_id: n for n, end in reversed(list(enumerate(ROUNDS[:rounds], 1))) for case_id in world.pool[:end]}

    def rows(case_id: str) -> Iterable[tuple[str, Labels, Origin, int]]:
        true, poor = world.truth[case_id], drawn_poorly(world.truth[case_id])
        for name in OLD:
            yield name, true == CLASSES[name], Origin.SOURCE, 0
        for name in REVISED:
            if case_id in when:
                yield name, true == CLASSES[name], Origin.REVISED, when[case_id]
            elif trunk == "known":
                yield name, poor == CLASSES[name], Origin.PREDICTED, 0

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
    """Whether every stored probability of the five, in the test cases, is that of before."""
    kept: dict[str, str]
    """Step by class, where there are any."""


@dataclass(frozen=True)
class Bench:
    """One seed and one trunk."""

    world: World
    trunk: str
    model: ModelParams
    seed: int
    shares: tuple[float, float, float]
    """Of the iterations: a head, a branch, fine-tuning."""

    def params(self, **given: Any) -> RetrainParams:
        """Parameters of the stage retrain."""
        head, branch, fine = self.shares
        shares = {"continual_iterations": head, "grown_iterations": branch, "finetune_iterations": fine}
        return RetrainParams(models={"m": self.model}, seed=self.seed, **shares, **given)

    def row(self, arm: str, number: int) -> Row:
        """A line, made unless it is there."""
        name = f"{self.trunk}-{arm}-{number}"
        line = Path(f"{name}.json")
        if not line.exists():
            shutil.rmtree(layout.BASE_MODELS, ignore_errors=True)
            shutil.rmtree(layout.MEMO, ignore_errors=True)
            began = time.process_time()
            seconds = 0.0
            if not Path(name).exists():
                self._train(arm, number)
                seconds = time.process_time() - began
                Path(f"{name}.seconds").write_text(str(seconds))
                shutil.rmtree(f"{name}.partial", ignore_errors=True)
                shutil.copytree(layout.NEXT_MODELS, f"{name}.partial")
                Path(f"{name}.partial").rename(name)
            line.write_text(json.dumps(asdict(self._measured(arm, number, name))))
        return Row(**json.loads(line.read_text()))

    def _train(self, arm: str, number: int) -> None:
        """Leave the model of an arm in the folder of the next ones."""
        world, trunk = self.world, self.trunk
        before, ledger = Path(f"{trunk}-before-0"), as_people_leave_it(world, trunk, number)
        params = self.params(hybrid=trunk == "known") if arm == "before" else self.params()
        if arm in CONTINUAL:
            parent = Path(f"{trunk}-{arm}-{number - 1}") if number > 1 else before
            shutil.copytree(parent, layout.BASE_MODELS)
            params = self.params(strategy="continual", continual=arm)
        elif arm not in ("before", "full"):
            shutil.copytree(before, layout.BASE_MODELS)
            params = self.params(strategy="finetune", hybrid=True)
            ledger = self._tuned_on(arm, number)
        known = {case_id for case_id, _ in ledger}
        cases = [case for case in world.cases if case.case_id in known]
        schema = WHOLE if any(name in REVISED for _, name in ledger) else schema_of(OLD)
        retrain_round(cases, schema, ledger, number, params, ONE)

    def _tuned_on(self, arm: str, number: int) -> Ledger:
        """What fine-tuning learns from."""
        world, revised = self.world, self.world.pool[: ROUNDS[number - 1]]
        drawn = {} if arm == "only" else self._drawn(revised)
        again = self._replayed(arm, len(revised)) if arm in REPLAY else []

        def rows(case_id: str) -> Iterable[tuple[str, Labels, Origin, int]]:
            true = world.truth[case_id]
            if case_id in again:
                yield from ((name, true == CLASSES[name], Origin.SOURCE, 0) for name in OLD)
            if case_id not in revised:
                return
            for name in OLD:
                nothing = np.zeros(true.shape, bool)
                origin = Origin.SOURCE if arm == "only" else Origin.PREDICTED
                yield name, drawn[case_id] == CLASSES[name] if drawn else nothing, origin, 0
            for name in REVISED:
                yield name, true == CLASSES[name], Origin.REVISED, number

        return state(world, rows)

    def _drawn(self, case_ids: Sequence[str]) -> dict[str, Labels]:
        """The five as the network of before draws them, where nobody drew one of the four."""
        found = {}
        wanted = [case for case in self.world.cases if case.case_id in case_ids]
        for case_id, soft in predictions(opened(Path(f"{self.trunk}-before-0")), wanted):
            labels = np.zeros_like(self.world.truth[case_id])
            for name in OLD:
                labels[soft.probabilities(name) > 0.5] = CLASSES[name]
            found[case_id] = labels
        return found

    def _replayed(self, arm: str, revised: int) -> list[str]:
        """A fifth of the cases that are not revised."""
        others = [case for case in self.world.cases if case.case_id in self.world.pool[revised:]]
        scores = []
        if arm == "importance":
            model = opened(Path(f"{self.trunk}-before-0"))
            for case_id, _ in predictions(model, others):
                out = Path("scored/m") / f"{case_id}.b2nd"
                out.parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(Path("said") / model.card.id[:8] / out.name, out)
            found = attend(others, Path("scored"), WHOLE, Params(machine=ONE))
            for case_id, classes in found.items():
                for name, one in classes.items():
                    numbers = (one.attention_ml, one.inconsistent_ml, one.uncertain_ml, one.overlapping_ml)
                    score = ClassScore(case_id, name, 1, *numbers, one.predicted_ml, one.mean_entropy, 1.0, name in OLD)
                    scores.append(score)
            write_scores("scores.csv", scores)
        by = "importance" if arm == "importance" else "random"
        places = {"": replay_order(by, f"{self.seed}/1", "scores.csv").get("", {})}
        members = [Member(c, (), {n: p[c.case_id] for n, p in places.items() if c.case_id in p}) for c in others]
        return replayed(members, [c.case_id for c in others], self.params(replay=0.2), "again")

    def _measured(self, arm: str, number: int, name: str) -> Row:
        """The line of a model that is there."""
        made, before = opened(Path(name)), opened(Path(f"{self.trunk}-before-0"))
        tests = [case for case in self.world.cases if case.split is Split.TEST]
        began = time.process_time()
        dice: dict[str, list[float]] = {}
        for case_id, soft in predictions(made, tests):
            for class_name in soft.classes:
                found, true = soft.probabilities(class_name) > 0.5, WHOLE.mask(self.world.truth[case_id], class_name)
                score = 2 * float((found & true).sum()) / max(1.0, float(found.sum() + true.sum()))
                dice.setdefault(class_name, []).append(score)
        each = (time.process_time() - began) / len(tests)
        pairs = zip(predictions(before, tests), predictions(made, tests), strict=True)
        same = all(
            np.array_equal(one.probabilities(n), other.probabilities(n)) for (_, one), (_, other) in pairs for n in OLD
        )
        ladder, (fine, model) = made.card.ladder, (self.shares[2], self.model)
        iterations = model.budget(fine if made.card.strategy == "finetune" else 1.0)
        voxels = ladder.voxels if ladder else iterations * model.batch * float(np.prod(model.patch or ()))
        mean = {class_name: float(np.mean(values)) for class_name, values in dice.items()}
        seconds = float(Path(f"{name}.seconds").read_text())
        return Row(arm, number, mean, voxels, seconds, each, same, ladder.kept if ladder else {})


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


def opened(home: Path) -> Model:
    """The model in a folder, by the schema of all."""
    (model,) = open_models(home, WHOLE)
    return model


def table(trunk: str, rows: Sequence[Sequence[Row]]) -> None:
    """Print the means over the seeds; `rows` holds the same arms for each."""
    print(f"\n### {trunk}, {len(rows)} seeds\n")
    print(
        "| | revised in | five others | "
        + " | ".join(REVISED)
        + " | 10⁶ voxels | CPU s | CPU s a prediction | the five |"
    )
    print("| --- |" + " --- |" * (len(REVISED) + 6))
    for of_arm in zip(*rows, strict=True):
        first = of_arm[0]
        five = np.mean([np.mean([row.dice.get(n, 0.0) for n in OLD]) for row in of_arm])
        dice = [f"{np.mean([r.dice[n] for r in of_arm]):.3f}" if n in first.dice else "–" for n in REVISED]
        work, seconds, each = (float(np.mean([getattr(r, n) for r in of_arm])) for n in ("voxels", "seconds", "each"))
        same = "to the bit" if all(row.same for row in of_arm) else ""
        cells = [f"{five:.3f}", *dice, f"{work / 1e6:.1f}", f"{seconds:.0f}", f"{each:.2f}", same]
        cases = ROUNDS[first.round - 1] if first.round else 0
        print(f"| {first.arm} | {cases} | " + " | ".join(cells) + " |", flush=True)
    for of_seed in rows:
        for row in of_seed:
            if row.kept:
                print(f"{row.arm} {row.round}: " + ", ".join(f"{name} {step}" for name, step in row.kept.items()))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--iterations", type=int, default=1200)
    parser.add_argument("--shares", type=float, nargs=3, default=(0.1, 0.25, 0.25), help="head, branch, fine-tuning")
    parser.add_argument("--trunks", nargs="+", choices=("known", "new"), default=("known", "new"))
    parser.add_argument(
        "--arms", nargs="+", choices=ARMS, default=[arm for arm in ARMS if arm not in ("decoder", "adapters")]
    )
    parser.add_argument("--rounds", type=int, choices=(1, 2), default=2)
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    work = (given.work or Path(tempfile.mkdtemp())).absolute()
    model = ModelParams(
        backend="monai", network="unet", patch=(32, 48, 48), features=(16, 32, 64), iterations=given.iterations
    )
    for trunk in given.trunks:
        rows = []
        for seed in given.seeds:
            home = work / str(seed)
            home.mkdir(parents=True, exist_ok=True)
            os.chdir(home)
            bench = Bench(make_world(seed), trunk, model, seed, tuple(given.shares))
            wanted = [(arm, n) for n in range(1, given.rounds + 1) for arm in given.arms if n == 1 or arm not in REPLAY]
            rows.append([bench.row("before", 0), *(bench.row(arm, number) for arm, number in wanted)])
        table(trunk, rows)


if __name__ == "__main__":
    main()
