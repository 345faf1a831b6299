"""A small curation repository made by hand: two sites, three classes, two models, before and after a round."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

import numpy as np
import numpy.typing as npt
import pytest

from voxledger.audit import Audit
from voxledger.evaluate.case_metrics import Generation
from voxledger.evaluate.round import evaluate_round
from voxledger.imaging.soft import write_soft
from voxledger.imaging.volume import Grid, file_sha256, write
from voxledger.params import EvaluateParams, MachineParams, Params, ScoreParams
from voxledger.records.cases import Case, Split
from voxledger.records.decisions import TABLE, read_decided
from voxledger.records.ledger import Entry, Ledger, Origin, write_ledger
from voxledger.schema import LabelClass, LabelSchema

SHAPE = (14, 40, 44)
SPACING = (3.0, 1.0, 0.8)
GRID = Grid(SHAPE, SPACING, (-20.0, -15.0, 40.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
SCHEMA = LabelSchema(
    name="hand-made",
    classes=(
        LabelClass(id=1, name="liver"),
        LabelClass(id=2, name="pancreas"),
        LabelClass(id=3, name="cyst", inside="pancreas", lesion=True),
    ),
)
PARAMS = Params(
    dataset="hand-made",
    round=1,
    evaluate=EvaluateParams(tolerance_mm=2.0, bootstrap=200),
    score=ScoreParams(scratch_minutes=15),
    machine=MachineParams(workers=1),
)


def ball(center: Sequence[float], radius_mm: float) -> npt.NDArray[np.bool_]:
    """Voxels (z, y, x) within a distance in mm of a voxel."""
    offsets = [(np.arange(n) - c) * s for n, c, s in zip(SHAPE, center, SPACING, strict=True)]
    z, y, x = np.meshgrid(*offsets, indexing="ij")
    return z**2 + y**2 + x**2 <= radius_mm**2


def reference(seed: int, cyst: bool) -> npt.NDArray[np.uint8]:
    shift = np.random.default_rng(seed).uniform(-1, 1, 3)
    labels = np.zeros(SHAPE, np.uint8)
    labels[ball(np.add((7, 14, 14), shift), 9)] = 1
    labels[ball(np.add((7, 26, 31), shift), 7)] = 2
    if cyst:
        labels[ball(np.add((7, 27, 32), shift), 3)] = 3
    return labels


@dataclass(frozen=True)
class Repository:
    """What `evaluate_round` is given."""

    cases: list[Case]
    labels: dict[str, npt.NDArray[np.uint8]]
    predictions: dict[Generation, list[Path]]


@pytest.fixture
def repository(folder: Path) -> Repository:
    """The current folder, filled: 4 test cases, 3 of another site, 4 of the pool."""
    splits = [*[(f"test-{i}", Split.TEST, "site-a") for i in range(4)]]
    splits += [(f"far-{i}", Split.EXTERNAL, "site-b") for i in range(3)]
    splits += [(f"pool-{i}", Split.POOL, "site-a") for i in range(4)]
    cases, labels = [], {}
    ledger: Ledger = {}
    for number, (case_id, split, source) in enumerate(splits):
        labels[case_id] = reference(number, cyst=number % 2 == 0)
        noise = np.random.default_rng(100 + number).normal(0, 15, SHAPE)
        image = (np.choose(labels[case_id], [-60, 110, 90, 10]) + noise).astype(np.int16)
        path = Path("data/images") / f"{case_id}.nii.gz"
        write(path, image, GRID)
        sha = file_sha256(path)
        cases.append(Case(case_id, str(path), sha, sha, source, "CC0", split, "CT", ""))
        if split is Split.POOL and number > 7:
            continue
        write(Path("data/base/labels") / f"{case_id}.nii.gz", labels[case_id], GRID)
        for name in SCHEMA.names:
            ledger[case_id, name] = entry(case_id, name, Origin.SOURCE, labels[case_id])
    write_ledger("data/base/ledger.csv", ledger, SCHEMA.names)
    _release(ledger, labels)
    predictions = {
        Generation.BASE: [Path("data/round/predictions"), Path("extra")],
        Generation.NEXT: [Path("next")],
    }
    for case in cases:
        if case.split is not Split.POOL:
            home = "data/round/predictions" if case.split is Split.TEST else "extra"
            for model, extra in (("nnunet", 0.0), ("unet", 0.6)):
                predict(Path(home, model), case, labels[case.case_id], 2.0 + extra)
                predict(Path("next", model), case, labels[case.case_id], 0.7 + extra)
    return Repository(cases, labels, predictions)


@pytest.fixture
def evaluated(repository: Repository) -> Callable[..., None]:
    """Evaluate the round of the repository; `cases` replaces its cases."""

    def evaluate(
        cases: list[Case] | None = None,
        workers: int = 1,
        sections: Sequence[Path] = (),
        audit: Audit | None = None,
        not_found: Mapping[str, Sequence[str]] = MappingProxyType({}),
    ) -> None:
        params = PARAMS.model_copy(update={"machine": MachineParams(workers=workers)})
        evaluate_round(
            cases or repository.cases,
            SCHEMA,
            params,
            repository.predictions,
            decisions=read_decided("data/round/decisions.csv"),
            audit=audit,
            sections=sections,
            not_found=not_found,
        )

    return evaluate


def entry(case_id: str, name: str, origin: Origin, labels: npt.NDArray[np.uint8]) -> Entry:
    mask = SCHEMA.mask(labels, name)
    digest = hashlib.sha256(mask.tobytes()).hexdigest()
    return Entry(case_id, name, 1, origin, (), "", "", digest, "", float(mask.sum()) * GRID.voxel_ml)


def predict(out: Path, case: Case, labels: npt.NDArray[np.uint8], error: float) -> None:
    """Soft predictions whose boundaries are `error` voxels off along x."""

    def soft(name: str) -> npt.NDArray[np.float64]:
        mask = SCHEMA.mask(labels, name).astype(float)
        whole, part = int(error), error % 1
        return (1 - part) * np.roll(mask, whole, 2) + part * np.roll(mask, whole + 1, 2)

    pairs = ((name, soft(name)) for name in SCHEMA.names)
    write_soft(out / f"{case.case_id}.b2nd", pairs, SCHEMA.names, GRID, f"{out}-id", case.sha256)


def _release(before: Ledger, labels: dict[str, npt.NDArray[np.uint8]]) -> None:
    after = dict(before)
    for case_id, origin in (("pool-1", Origin.ACCEPTED), ("pool-2", Origin.REVISED), ("pool-3", Origin.PREDICTED)):
        for name in SCHEMA.names:
            after[case_id, name] = entry(case_id, name, origin, labels[case_id])
    write_ledger("data/release/ledger.csv", after, SCHEMA.names)
    rows = [",".join(TABLE.columns)]
    for name, minutes in (("liver", 1.5), ("pancreas", 2.0), ("cyst", 0.5)):
        rows.append(f"pool-1,{name},accept,reader-1,{minutes},,,abc,0,")
        rows.append(f'pool-2,{name},revise,reader-1,{minutes * 2},boundary,"leaks, a bit <b>",abc,12,hard')
    Path("data/round/decisions.csv").parent.mkdir(parents=True, exist_ok=True)
    Path("data/round/decisions.csv").write_text("\n".join(rows) + "\n", "utf-8")
    Path("data/base/history.csv").write_text(
        "round,set,stage,model,dice,low,high,n,share_labelled,cases_reviewed,minutes,minutes_total,"
        "cases_trusted_by_review,scratch_minutes_total\n"
        "0,test,next,ensemble,0.5500,0.5000,0.6000,4,0.2500,0,10.00,10.00,0,0.00\n"
        "0,test,next,nnunet,0.5600,0.5100,0.6100,4,0.2500,0,10.00,10.00,0,0.00\n",
        "utf-8",
    )
