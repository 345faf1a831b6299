"""What people revised, learned by heads, an added decoder or adapters, against full training, on phantoms.

    python benchmarks/continual.py [--seeds 0 1 2] [--iterations 1200] [--trunks known new] [--work DIR]

Nine organs in thirty cases. Of five everything is known from the start. Four are revised in twelve cases, then in ten
more. `known`: the network of before learned these four from masks that a poor model drew in all thirty cases: aorta and
vena cava end too early, stomach and pancreas are a voxel too tight. `new`: it never saw them. Ten other cases test.

before     the network before anything was revised
only       fine-tuned on the revised cases, in which all but the four counts as background
hybrid     fine-tuned on the revised cases, the five as the network of before draws them
full       trained anew on all cases, on what people stand behind
heads …    continual, by rung: heads; `auto`, which climbs where heads are not enough
replay     hybrid, and a fifth of the cases not revised, by importance or by chance

Voxels are those that weights are trained on, iteration by iteration, and those that the trunk ran over once. CPU
seconds are those of the whole stage, in one process of one thread. What is done is kept in DIR, and not done again.
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
from voxledger.models.model import Model, open_models
from voxledger.models.prediction import network_predictions
from voxledger.params import InferParams, MachineParams, ModelParams, RetrainParams
from voxledger.phantom.make import Size, make_phantom
from voxledger.phantom.materials import CLASSES
from voxledger.phantom.scanner import SITES
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Entry, Ledger, Origin
from voxledger.retrain.run import retrain_round
from voxledger.schema import LabelClass, LabelSchema

OLD = ("liver", "spleen", "kidney_right", "kidney_left", "spine")
REVISED = ("stomach", "aorta", "postcava", "pancreas")
POOL, TEST, ROUNDS = 30, 10, (12, 22)
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
        for name, mask, origin, version in rows(case_id):
            labels[mask] = CLASSES[name]
            ml = float(mask.sum() * grid.voxel_ml)
            entry = Entry(case_id, name, version, origin, (), "", "", mask_sha256(mask, grid), "", ml)
            ledger[case_id, name] = entry
        write(layout.label_map(layout.RELEASE_LABELS, case_id), labels, grid)
    return ledger


def as_people_leave_it(world: World, trunk: str, rounds: int) -> Ledger:
    """After so many rounds, the five are known everywhere, the four where they were revised; else as drawn, if at all."""
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


def mean_dice(model: Model, world: World) -> dict[str, float]:
    """Mean Dice by class over the test cases."""
    dice: dict[str, list[float]] = {}
    for case_id, soft in predictions(model, world, [c for c in world.cases if c.split is Split.TEST]):
        for name in soft.classes:
            found, true = soft.probabilities(name) > 0.5, WHOLE.mask(world.truth[case_id], name)
            score = 2 * float((found & true).sum()) / max(1.0, float(found.sum() + true.sum()))
            dice.setdefault(name, []).append(score)
    return {name: float(np.mean(values)) for name, values in dice.items()}


def predictions(model: Model, world: World, cases: Sequence[Case]) -> Iterable[tuple[str, Any]]:
    """What a model says of cases, by case; kept."""
    for job in network_predictions(model, cases, InferParams(step=0.75), ONE):
        out = Path("said") / model.card.id[:8] / f"{job.case.case_id}.b2nd"
        if not out.exists():
            out.parent.mkdir(parents=True, exist_ok=True)
            job.predict(out)
        yield job.case.case_id, open_soft(out)


@dataclass(frozen=True)
class Row:
    """One line of the table."""

    name: str
    dice: dict[str, float]
    voxels: float
    seconds: float
    same: bool
    """Whether every stored probability of the five, in the test cases, is that of before."""


def trained(
    name: str,
    world: World,
    before: Model | None,
    ledger: Callable[[], Ledger],
    round_number: int,
    params: RetrainParams,
) -> tuple[Model, Row]:
    """A model of the stage retrain, and its line; both are kept under their name."""
    home, line = Path(name), Path(f"{name}.json")
    if not line.exists():
        shutil.rmtree(layout.BASE_MODELS, ignore_errors=True)
        shutil.rmtree(layout.MEMO, ignore_errors=True)
        if before is not None:
            shutil.copytree(before.folder, layout.BASE_MODELS / "m")
        rows = ledger()
        members = [c for c in world.cases if any(key[0] == c.case_id for key in rows)]
        began = time.process_time()
        retrain_round(members, WHOLE if trunk_knows(rows) else schema_of(OLD), rows, round_number, params, ONE)
        seconds = time.process_time() - began
        shutil.rmtree(home, ignore_errors=True)
        shutil.copytree(layout.NEXT_MODELS, home)
        shutil.rmtree(layout.MEMO, ignore_errors=True)
        made = opened(home)
        same = before is not None and is_same(before, made, world)
        row = Row(name, mean_dice(made, world), voxels_of(made, params), seconds, same)
        line.write_text(json.dumps(asdict(row)))
    return opened(home), Row(**json.loads(line.read_text()))


def trunk_knows(rows: Ledger) -> bool:
    """Whether anything is known of the four."""
    return any(name in REVISED for _, name in rows)


def opened(home: Path) -> Model:
    """The model in a folder, by the schema of all."""
    (model,) = open_models(home, WHOLE)
    return model


def voxels_of(model: Model, params: RetrainParams) -> float:
    """Voxel-iterations of a training."""
    given = params.models["m"]
    share = params.finetune_iterations if model.card.strategy == "finetune" else 1.0
    return given.budget(share) * given.batch * float(np.prod(given.patch or ()))


def is_same(before: Model, after: Model, world: World) -> bool:
    """Whether two models say the same of the five, bit by bit."""
    tests = [c for c in world.cases if c.split is Split.TEST]
    pairs = zip(predictions(before, world, tests), predictions(after, world, tests), strict=True)
    return all(
        np.array_equal(one.probabilities(name), other.probabilities(name))
        for (_, one), (_, other) in pairs
        for name in OLD
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=(0, 1, 2))
    parser.add_argument("--iterations", type=int, default=1200)
    parser.add_argument("--trunks", nargs="+", choices=("known", "new"), default=("known", "new"))
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    work = given.work or Path(tempfile.mkdtemp())
    model = ModelParams(
        backend="monai", network="unet", patch=(32, 48, 48), features=(16, 32, 64), iterations=given.iterations
    )
    for seed in given.seeds:
        home = work / str(seed)
        home.mkdir(parents=True, exist_ok=True)
        os.chdir(home)
        world = make_world(seed)
        for trunk in given.trunks:
            anew = RetrainParams(models={"m": model}, hybrid=trunk == "known", seed=seed)
            before, row = trained(f"{trunk}-before", world, None, lambda: as_people_leave_it(world, trunk, 0), 0, anew)
            print(row, flush=True)
            full = RetrainParams(models={"m": model}, seed=seed)
            _, row = trained(f"{trunk}-full-12", world, None, lambda: as_people_leave_it(world, trunk, 1), 1, full)
            print(row, flush=True)


if __name__ == "__main__":
    main()
