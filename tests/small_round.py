"""A small curation repository with two models, three pool cases and a test case; the current folder of a test."""

from __future__ import annotations

import contextlib
import csv
import shutil
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pytest

from voxledger.bundles.context import Context
from voxledger.bundles.inbox import received_returns, require_complete
from voxledger.export.adjudication import adjudicate_round
from voxledger.export.run import export_round
from voxledger.gate.run import pass_gate
from voxledger.imaging.attention_file import write_attention
from voxledger.imaging.boxes import bounding_box
from voxledger.imaging.soft import write_soft
from voxledger.imaging.volume import Grid, file_sha256, mask_sha256, read_grid, read_label, write
from voxledger.import_.run import import_round
from voxledger.params import MachineParams
from voxledger.records.bundle import Manifest, read_manifest
from voxledger.records.cases import Case, Split
from voxledger.records.decisions import Row, read_decisions, to_csv
from voxledger.records.emulated import Looks
from voxledger.records.ledger import Entry, Ledger, Origin, read_ledger, write_ledger
from voxledger.records.predicted import Predicted, ensembles
from voxledger.records.worklist import WorkItem
from voxledger.release.decided_check import check_decided
from voxledger.release.files_check import Findings
from voxledger.release.readings_check import check_readings, kept_returns, readable
from voxledger.review.by_reference import ByReference
from voxledger.review.emulate import emulate_bundle
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(
    name="abdomen",
    classes=(
        LabelClass(id=1, name="liver", color=(180, 60, 40)),
        LabelClass(id=2, name="pancreas"),
        LabelClass(id=3, name="lesion", inside="pancreas", lesion=True),
        LabelClass(id=5, name="kidney_left"),
        LabelClass(id=6, name="kidney_right"),
    ),
)
GRID = Grid((10, 16, 20), (2.5, 0.8, 0.7), (-31.25, 12.5, 100.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
MODELS = ("a" * 64, "b" * 64)


def anatomy(shift: int = 0) -> np.ndarray:
    """A label map that has no symmetry; `shift` moves the pancreas and grows the lesion."""
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:7, 1:8, 1:7] = 1
    labels[2:8, 9 + shift : 13 + shift, 4:14] = 2
    labels[3:5, 10 + shift : 12 + shift, 5 : 7 + shift] = 3
    labels[4:9, 2:6, 15:19] = 5
    labels[3:8, 3:7, 9:12] = 6
    return labels


@dataclass
class Repo:
    """The repository, and the stages of a round on it."""

    root: Path
    version: int = 1
    cases: list[Case] = field(default_factory=list)
    schema: LabelSchema = SCHEMA
    predicted: list[Predicted] = field(default_factory=list)
    context: Context = field(default_factory=Context)

    def add_case(
        self, case_id: str, split: Split, source: dict[str, np.ndarray] | None, pseudo: np.ndarray | None
    ) -> None:
        """Register a case; `source` holds the label map with the source mask of every class that has one."""
        image = np.random.default_rng(len(self.cases)).normal(size=GRID.shape).astype(np.float32)
        path = Path(f"data/images/{case_id}.nii.gz")
        write(path, image, GRID)
        self.cases.append(Case(case_id, str(path), file_sha256(path), "", "test", "CC0-1.0", split, "CT", ""))
        ledger = read_ledger("data/base/ledger.csv")
        if source:
            labels = np.zeros(GRID.shape, np.uint8)
            for name in sorted(source, key=lambda n: len(SCHEMA.chain(n))):
                labels[SCHEMA.mask(source[name], name)] = SCHEMA[name].id
            write(f"data/base/labels/{case_id}.nii.gz", labels, GRID)
            for name in source:
                mask = SCHEMA.mask(labels, name)
                ledger[case_id, name] = Entry(
                    case_id, name, 0, Origin.SOURCE, (), "", "", mask_sha256(mask, read_grid(path)), "",
                    float(mask.sum() * GRID.voxel_ml),
                )  # fmt: skip
        write_ledger("data/base/ledger.csv", ledger, SCHEMA.names)
        if pseudo is not None:
            write(f"data/round/pseudo/{case_id}.nii.gz", pseudo, GRID)
            for number, model in enumerate(MODELS):
                target = f"data/round/predictions/model-{number}/{case_id}.b2nd"
                soft = ((n, SCHEMA.mask(pseudo, n).astype(np.float32)) for n in SCHEMA.names)
                write_soft(target, soft, SCHEMA.names, GRID, model, self.cases[-1].sha256)
                self.predicted.append(Predicted(case_id, f"model-{number}", model, tuple(SCHEMA.names), "0" * 64))
            masks = []
            for name in SCHEMA.names:
                bits = SCHEMA.mask(pseudo, name).astype(np.uint8)
                box = bounding_box(bits, 1)
                masks.append((name, box, bits[box] if box else bits))
            write_attention(f"data/round/attention/{case_id}.b2nd", masks, SCHEMA.names, GRID)
            write(f"data/round/attention/{case_id}_heat.nii.gz", (pseudo > 0).astype(np.float32), GRID)
            Path("data/round/attention/heat.ctbl").write_text("# Color table file heat.ctbl\n")

    def export(self, *items: tuple[str, str, str], formats: tuple[str, ...] = (), readers: int = 1) -> list[Path]:
        return export_round(
            [WorkItem(1, c, name, 0.0, 0.0, "attention", who, 0.0) for c, name, who in items],
            self.cases,
            SCHEMA,
            read_ledger("data/base/ledger.csv"),
            ensembles(self.predicted),
            "atlas",
            self.version,
            formats=formats,
            readers=readers,
        )

    def names(self) -> list[str]:
        return SCHEMA.names

    def gate(self, machine: MachineParams | None = None) -> None:
        pass_gate(
            Path("data/round/bundles"),
            Path("data/inbox"),
            Path("data/base/revisions"),
            self.version,
            Path("data/round/received.json"),
            self.context,
            machine,
        )

    def adjudicate(self) -> None:
        asked = (
            Path("data/round/bundles"),
            Path("data/inbox"),
            Path("data/base/revisions"),
            self.version,
            self.context,
        )
        returns = require_complete(*asked, readers_only=True)
        adjudicate_round(returns, self.version, self.context.review, MachineParams(workers=1))

    def take_in(self) -> Ledger:
        ledger = import_round(
            self.cases,
            SCHEMA,
            read_ledger("data/base/ledger.csv"),
            ensembles(self.predicted),
            received_returns(
                Path("data/round/received.json"),
                Path("data/round/bundles"),
                Path("data/inbox"),
                self.version,
                self.context,
            ),
            self.version,
            MachineParams(workers=1),
            self.context.review,
        )
        assert self.doubts() == []
        return ledger

    def doubts(self) -> list[str]:
        """What `verify` says of ledger and readings."""
        found, ledger = Findings(), read_ledger("data/release/ledger.csv")
        kept, readings = kept_returns(found), readable(found)
        check_decided(found, ledger, SCHEMA, readings, kept, self.version)
        if readings is not None:
            check_readings(found, readings, kept, self.version, self.context.review.model_dump())
        return found.problems

    def manifest(self, reviewer: str) -> Manifest:
        path = self.bundle(reviewer) / "bundle.json"
        return read_manifest(path.read_bytes(), str(path))

    def bundle(self, reviewer: str) -> Path:
        name = f"bundle-r{self.version:02d}-{reviewer}"
        places = [Path("data/round") / place / name for place in ("adjudication", "bundles")]
        return next((place for place in places if place.is_dir()), places[-1])

    def give_back(
        self,
        reviewer: str,
        labels: dict[str, np.ndarray] | None = None,
        target: Path | None = None,
        **decisions: dict[str, Row | str],
    ) -> Path:
        """Return a bundle by hand: `decisions` maps case to class to a decision; the others are accepted."""
        folder = target or Path("data/inbox") / self.bundle(reviewer).name
        shutil.copytree(self.bundle(reviewer), folder)
        for case_id, array in (labels or {}).items():
            write(folder / f"labels/{case_id}.nii.gz", array, GRID)
        rows = read_decisions(folder / "decisions.csv").rows
        for key in list(rows):
            rows[key] = self.row(*key, "accept")
        for case_id, by_class in decisions.items():
            for name, decision in by_class.items():
                rows[case_id, name] = (
                    replace(decision, case_id=case_id)
                    if isinstance(decision, Row)
                    else self.row(case_id, name, decision)
                )
        (folder / "decisions.csv").write_text(to_csv(rows.values()), "utf-8")
        return folder

    @staticmethod
    def row(case_id: str, name: str, decision: str, error: str = "none") -> Row:
        from voxledger.records.decisions import Decision
        from voxledger.records.error_kind import ErrorKind

        return Row(case_id, name, Decision(decision) if decision else None, 2.5, ErrorKind(error))

    def emulate(self, reviewer: str, reference: Path, bound: float = 0.9, looks: Looks = Looks.EVERYWHERE) -> Path:
        bundles, reader = Path("data/round/bundles"), ByReference(bound, looks=looks)
        return emulate_bundle(self.bundle(reviewer), reference, bundles, Path("data/inbox"), reader).folder

    def released(self, case_id: str) -> np.ndarray:
        return read_label(f"data/release/labels/{case_id}.nii.gz")

    def shown(self, reviewer: str, case_id: str) -> np.ndarray:
        return read_label(self.bundle(reviewer) / f"labels/{case_id}.nii.gz")

    def table(self, path: str) -> list[dict[str, str]]:
        with open(path, encoding="utf-8", newline="") as stream:
            return list(csv.DictReader(stream))

    def next_round(self) -> None:
        """What `voxledger round open` does to the data."""
        for name in ("labels", "revisions"):
            shutil.rmtree(f"data/base/{name}", ignore_errors=True)
            shutil.copytree(f"data/release/{name}", f"data/base/{name}")
        shutil.copyfile("data/release/ledger.csv", "data/base/ledger.csv")
        for folder in Path("data/inbox").glob("bundle-*"):
            shutil.rmtree(folder)
        self.version += 1


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Repo:
    root = tmp_path_factory.mktemp("template")
    with contextlib.chdir(root):
        Path("data/inbox").mkdir(parents=True)
        Path("data/inbox/README.md").write_text("here\n")
        repo = Repo(root)
        repo.add_case("case_1", Split.POOL, {"liver": anatomy()}, anatomy(1))
        repo.add_case("case_2", Split.POOL, None, anatomy(1))
        repo.add_case("case_3", Split.POOL, None, anatomy(1))
        repo.add_case("test_1", Split.TEST, {n: anatomy() for n in SCHEMA.names}, anatomy(1))
    return repo


@pytest.fixture
def repo(template: Repo, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Repo:
    shutil.copytree(template.root / "data", tmp_path / "data")
    monkeypatch.chdir(tmp_path)
    return Repo(tmp_path, cases=list(template.cases), predicted=list(template.predicted))
