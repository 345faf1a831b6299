"""Heads of revised classes against full training, on phantoms: Dice by class, work in voxels and in CPU seconds.

    python benchmarks/continual.py [--seed 0] [--iterations 400] [--network unet] [--work DIR]

Twenty old cases show five organs. Four more are labelled (`new`: never before; `known`: in three old cases, too)
in twelve cases more, as people who revise predictions leave them. Test cases are ten others. Rows: `before`, the
network without the twelve; `full`, trained anew on all cases; `continual`, that of before with heads of the four.

Voxels are those that a network, or a head, was trained on, patch by patch, and those of windows that the trunk ran over
once. CPU seconds are those of the whole stage; everything runs in one process on one thread.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voxledger import layout
from voxledger.imaging.volume import file_sha256, mask_sha256, write
from voxledger.models import learn_heads
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
CASES = {"old": 20, "revised": 12, "test": 10}
KNOWN = 3
"""Old cases in which the trunk saw the classes that are revised later."""
ONE = MachineParams(workers=1)


def schema_of(names: tuple[str, ...]) -> LabelSchema:
    """A schema of some organs."""
    classes = (LabelClass(id=CLASSES[name], name=name) for name in names)
    return LabelSchema(name="phantom", classes=tuple(sorted(classes, key=lambda c: c.id)))


def make_cases(seed: int) -> tuple[list[Case], dict[str, np.ndarray], Any]:
    """Cases with images on disk, and the true label map (z, y, x) of each."""
    cases, truth, grids = [], {}, {}
    for index in range(sum(CASES.values())):
        made = make_phantom(seed, index, SITES["a"], Size.SMALL, 0.0)
        kind = next(k for k, end in zip(CASES, np.cumsum(list(CASES.values())), strict=True) if index < end)
        case_id, split = f"{kind}-{index:02d}", Split.TEST if kind == "test" else Split.POOL
        labels = np.where(made.labels == CLASSES["pancreatic_duct"], CLASSES["pancreas"], made.labels)
        truth[case_id] = np.where(np.isin(labels, [CLASSES[n] for n in (*OLD, *REVISED)]), labels, 0).astype(np.uint8)
        path, grids[case_id] = f"images/{case_id}.nii.gz", made.grid
        write(path, made.image, made.grid)
        cases.append(Case(case_id, path, file_sha256(path), "", "made", "CC0-1.0", split, "CT", ""))
    return cases, truth, grids


def labelled(truth: dict[str, np.ndarray], grids: Any, schema: LabelSchema, trunk: str, later: bool) -> Ledger:
    """Write label maps, before or after the twelve cases came; returns their ledger."""
    shutil.rmtree(layout.RELEASE_LABELS, ignore_errors=True)
    ledger: Ledger = {}
    for number, case_id in enumerate(truth):
        kind = case_id.partition("-")[0]
        if kind == "test" or (kind == "revised" and not later):
            continue
        seen = [n for n in schema.names if n in OLD or kind == "revised" or (trunk == "known" and number < KNOWN)]
        labels = np.where(np.isin(truth[case_id], [CLASSES[n] for n in seen]), truth[case_id], 0).astype(np.uint8)
        write(layout.label_map(layout.RELEASE_LABELS, case_id), labels, grids[case_id])
        for name in seen:
            mask = schema.mask(labels, name)
            revised = kind == "revised" and name in REVISED
            origin = Origin.REVISED if revised else Origin.ACCEPTED if kind == "revised" else Origin.SOURCE
            digest, ml = mask_sha256(mask, grids[case_id]), float(mask.sum() * grids[case_id].voxel_ml)
            version = int(kind == "revised")
            ledger[case_id, name] = Entry(case_id, name, version, origin, (), "", "", digest, "", ml)
    return ledger


@contextlib.contextmanager
def counted() -> Iterator[dict[str, int]]:
    """Count the voxels that heads are trained on and that the trunk runs over."""
    found, batch, once = {"heads": 0, "trunk": 0}, learn_heads._Parts.batch, learn_heads.once
    seen: dict[str, int] = {}

    def counting(parts: Any, size: int) -> Any:
        drawn = batch(parts, size)
        found["heads"] += drawn[2][0].size
        return drawn

    def counting_once(job: Any) -> Any:
        kept = once(job)
        seen[job.key] = kept.windows * int(np.prod(kept.shapes[0][1:])) if kept.windows else 0
        found["trunk"] = sum(seen.values())
        return kept

    learn_heads._Parts.batch, learn_heads.once = counting, counting_once  # type: ignore[method-assign, assignment]
    try:
        yield found
    finally:
        learn_heads._Parts.batch, learn_heads.once = batch, once  # type: ignore[method-assign]


def measured(
    model: Model, cases: list[Case], truth: dict[str, np.ndarray]
) -> tuple[dict[str, float], dict[str, Any], float]:
    """Mean Dice by class over the test cases, stored probabilities of the first, and CPU seconds a case."""
    from voxledger.imaging.soft import open_soft

    dice: dict[str, list[float]] = {}
    first: dict[str, Any] = {}
    tests = [case for case in cases if case.split is Split.TEST]
    began = time.process_time()
    for job in network_predictions(model, tests, InferParams(step=0.75), ONE):
        out = Path("said") / f"{model.card.id[:8]}-{job.case.case_id}.b2nd"
        job.predict(out)
    seconds = (time.process_time() - began) / len(tests)
    for case in tests:
        soft = open_soft(Path("said") / f"{model.card.id[:8]}-{case.case_id}.b2nd")
        for name in soft.classes:
            values = soft.probabilities(name)
            first.setdefault(name, values)
            found, true = values > 0.5, model.schema.mask(truth[case.case_id], name)
            dice.setdefault(name, []).append(
                2 * float((found & true).sum()) / max(1.0, float(found.sum() + true.sum()))
            )
    return {name: float(np.mean(values)) for name, values in dice.items()}, first, seconds


def trained(
    cases: list[Case], schema: LabelSchema, ledger: Ledger, round_number: int, params: RetrainParams
) -> tuple[Model, float]:
    """What the stage retrain makes, and its CPU seconds; nothing is remembered from another."""
    shutil.rmtree(layout.NEXT_MODELS, ignore_errors=True)
    shutil.rmtree(".memo", ignore_errors=True)
    began = time.process_time()
    retrain_round(cases, schema, ledger, round_number, params, ONE)
    seconds = time.process_time() - began
    return open_models(layout.NEXT_MODELS, schema)[0], seconds


def compare(
    trunk: str, cases: list[Case], truth: dict[str, np.ndarray], grids: Any, model: ModelParams, share: float
) -> None:
    """Print the table of one trunk."""
    whole = schema_of((*OLD, *REVISED))
    knows = whole if trunk == "known" else schema_of(OLD)
    params = RetrainParams(models={"m": model}, continual_iterations=share)
    anew = RetrainParams(models={"m": model})
    shutil.rmtree(layout.BASE_MODELS, ignore_errors=True)
    before, _ = trained(cases, knows, labelled(truth, grids, knows, trunk, later=False), 0, anew)
    rows = [("before", *measured(before, cases, truth), 0, 0.0)]
    shutil.move(layout.NEXT_MODELS, layout.BASE_MODELS)
    ledger = labelled(truth, grids, whole, trunk, later=True)
    full, seconds = trained(cases, whole, ledger, 1, anew)
    patch = int(np.prod(model.patch or ()))
    rows.append(("full", *measured(full, cases, truth), model.iterations * model.batch * patch, seconds))
    with counted() as voxels:
        heads, seconds = trained(cases, whole, ledger, 1, params.model_copy(update={"strategy": "continual"}))
    rows.append(("continual", *measured(heads, cases, truth), sum(voxels.values()), seconds))
    same = all(np.array_equal(rows[0][2][n], rows[2][2][n]) for n in OLD)
    print(
        f"\n### {trunk}: of the five other organs every stored probability is {'the same' if same else 'OTHERWISE'}\n"
    )
    print("| | " + " | ".join((*OLD, *REVISED)) + " | 10⁶ voxels | CPU s | CPU s a prediction |")
    print("| --- |" + " --- |" * (len(OLD) + len(REVISED) + 3))
    for name, dice, _, each, work, seconds in rows:
        cells = " | ".join(f"{dice[n]:.3f}" if n in dice else "–" for n in (*OLD, *REVISED))
        print(f"| {name} | {cells} | {work / 1e6:.1f} | {seconds:.0f} | {each:.2f} |", flush=True)
    print(f"\ncontinual: {voxels['trunk'] / 1e6:.1f} of the trunk, {voxels['heads'] / 1e6:.1f} of heads", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--iterations", type=int, default=400)
    parser.add_argument("--share", type=float, default=0.25, help="of the iterations, for each head")
    parser.add_argument("--network", choices=("unet", "segresnet"), default="unet")
    parser.add_argument("--trunks", nargs="+", choices=("known", "new"), default=("known", "new"))
    parser.add_argument("--work", type=Path)
    given = parser.parse_args()
    features = (16, 32, 64) if given.network == "unet" else (8, 16, 32)
    model = ModelParams(
        backend="monai", network=given.network, patch=(32, 48, 48), features=features, iterations=given.iterations
    )
    with tempfile.TemporaryDirectory(dir=given.work) as folder:
        os.chdir(folder)
        cases, truth, grids = make_cases(given.seed)
        for trunk in given.trunks:
            compare(trunk, cases, truth, grids, model, given.share)
        os.chdir("/")


if __name__ == "__main__":
    main()
