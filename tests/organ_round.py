"""A round with labels of the size of organs, whose image shows them, and what came back of it."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from voxledger.bundles.check import Severity
from voxledger.bundles.context import Context
from voxledger.bundles.finding import Finding
from voxledger.bundles.inbox import look_into
from voxledger.bundles.merge import LabelMap
from voxledger.bundles.returned import Return
from voxledger.export.run import export_round
from voxledger.imaging.volume import Grid, file_sha256, mask_sha256, write
from voxledger.params import ReviewParams
from voxledger.records.cases import Case, Split
from voxledger.records.decisions import Decision, Row, to_csv
from voxledger.records.error_kind import ErrorKind
from voxledger.records.ledger import Entry, Origin
from voxledger.records.predicted import Ensemble
from voxledger.records.worklist import WorkItem
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(
    name="abdomen",
    classes=(
        LabelClass(id=1, name="liver"),
        LabelClass(id=2, name="pancreas"),
        LabelClass(id=3, name="lesion", inside="pancreas", lesion=True),
        LabelClass(id=4, name="spleen"),
        LabelClass(id=5, name="kidney_left"),
        LabelClass(id=6, name="kidney_right"),
        LabelClass(id=7, name="aorta"),
    ),
)
GRID = Grid((24, 40, 48), (3.0, 1.5, 1.5), (-30.0, 12.5, 100.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
HU = {0: -60.0, 1: 100.0, 2: 60.0, 3: 20.0, 4: 140.0, 5: 190.0, 6: 190.0, 7: 260.0}
CASES = ("case_1", "case_2", "case_3")
ORGANS = {
    1: ((10, 12, 12), (8, 9, 9)),
    4: ((9, 10, 38), (6, 5, 5)),
    5: ((13, 28, 37), (6, 4, 4)),
    6: ((12, 30, 11), (6, 4, 4)),
    2: ((11, 22, 25), (4, 4, 9)),
    3: ((11, 22, 28), (2, 2, 3)),
    7: ((12, 34, 25), (11, 2, 2)),
}


def ellipsoid(center: tuple[float, ...], radii: tuple[float, ...]) -> np.ndarray:
    """A mask on `GRID`."""
    axes = np.ogrid[tuple(slice(n) for n in GRID.shape)]
    return sum(((a - c) / r) ** 2 for a, c, r in zip(axes, center, radii, strict=True)) <= 1


def anatomy(seed: int, spread: float = 1.5) -> LabelMap:
    """One person; all lie a little otherwise."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(GRID.shape, np.uint8)
    for value, (center, radii) in ORGANS.items():
        moved = np.asarray(center) + (rng.normal(0, spread, 3) * (0.5, 1, 1) if value != 3 else 0)
        mask = ellipsoid(tuple(moved), radii)
        labels[mask & (labels == 2) if value == 3 else mask] = value
    return labels


def scan(labels: LabelMap, seed: int) -> np.ndarray:
    """A CT of a person, with air in a corner."""
    values = np.vectorize(HU.get)(np.arange(8))[labels] + np.random.default_rng(seed).normal(0, 12, labels.shape)
    values[:, :3] = -1000
    return values.astype(np.int16)


@dataclass
class Round:
    """Bundles of alice on three cases; `trusted` classes of case_1 are those of the source."""

    proposals: dict[str, LabelMap]
    context: Context
    asked: dict[str, tuple[str, ...]]

    @property
    def folder(self) -> Path:
        return Path("data/inbox/bundle-r01-alice")

    def give_back(
        self, decisions: Mapping[str, str | Row], labels: LabelMap | None = None, case: str = "case_1"
    ) -> Path:
        """Return the bundle with decisions on the classes of a case; all other lines accept."""
        shutil.rmtree(self.folder, ignore_errors=True)
        shutil.copytree("data/round/bundles/bundle-r01-alice", self.folder)
        if labels is not None:
            write(self.folder / f"labels/{case}.nii.gz", labels, GRID)
        rows = {(c, n): Row(c, n, Decision.ACCEPT, 1.0) for c, names in self.asked.items() for n in names}
        for name, said in decisions.items():
            rows[case, name] = said if isinstance(said, Row) else row(name, said, case=case)
        (self.folder / "decisions.csv").write_text(to_csv(rows.values()), "utf-8")
        return self.folder

    def read(self, **severities: str) -> Return:
        """What is found in it."""
        context = replace(self.context, review=ReviewParams(findings=severities))
        (one,) = look_into(
            Path("data/round/bundles"), Path("data/inbox"), Path("data/base/revisions"), 1, context
        ).returned.values()
        return one

    def found(self, **severities: str) -> dict[str, list[Finding]]:
        """Findings by what follows."""
        one = self.read(**severities)
        return {
            Severity.BLOCKING: list(one.problems),
            Severity.WARNING: list(one.missing),
            Severity.NOTE: list(one.notes),
        }


def row(name: str, decision: str, error: str = "none", confirmed: bool = False, case: str = "case_1") -> Row:
    """A line of decisions.csv."""
    return Row(case, name, Decision(decision) if decision else None, 1.0, ErrorKind(error), "", confirmed)


def entry(case: str, name: str, labels: LabelMap) -> Entry:
    """A row of the ledger: of the source."""
    digest = mask_sha256(SCHEMA.mask(labels, name), GRID)
    return Entry(case, name, 0, Origin.SOURCE, (), "", "", digest, "", 1.0)


Change = Callable[[LabelMap], object]


@pytest.fixture(scope="session")
def organs(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Round]:
    """Three cases with proposals, aorta of case_1 from the source, and ten trusted cases beside them."""
    import contextlib

    root = tmp_path_factory.mktemp("bad-inputs")
    with contextlib.chdir(root):
        cases, ledger, proposals, predicted = [], {}, {}, {}
        for n, case in enumerate([*CASES, *(f"trusted_{i}" for i in range(10))]):
            labels, image = anatomy(n), Path(f"data/images/{case}.nii.gz")
            write(image, scan(labels, n), GRID)
            cases.append(Case(case, str(image), file_sha256(image), "", "here", "CC0-1.0", Split.POOL, "CT", ""))
            if case in CASES:
                proposals[case] = labels
                predicted[case] = Ensemble(dict.fromkeys(SCHEMA.names, ("m" * 64,)))
                write(f"data/round/pseudo/{case}.nii.gz", labels, GRID)
            if case == "case_1":
                write(f"data/base/labels/{case}.nii.gz", np.where(labels == 7, labels, 0), GRID)
                ledger[case, "aorta"] = entry(case, "aorta", labels)
            elif case not in CASES:
                write(f"data/base/labels/{case}.nii.gz", labels, GRID)
                ledger |= {(case, name): entry(case, name, labels) for name in SCHEMA.names}
        asked = {c: tuple(n for n in SCHEMA.names if (c, n) != ("case_1", "aorta")) for c in CASES}
        work = [WorkItem(1, c, n, 0.0, 0.0, "attention", "alice", 0.0) for c, names in asked.items() for n in names]
        export_round(work, cases, SCHEMA, ledger, predicted, "atlas", 1)
        Path("data/inbox").mkdir()
    trusted: dict[str, set[str]] = {}
    for case, name in ledger:
        trusted.setdefault(case, set()).add(name)
    context = Context(trusted={c: frozenset(names) for c, names in trusted.items()}, cases=tuple(cases))
    return root, Round(proposals, context, asked)


@pytest.fixture
def sent(organs: tuple[Path, Round], tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Round:
    """A copy of it as the current folder."""
    root, made = organs
    shutil.copytree(root / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return made
