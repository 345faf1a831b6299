"""The whole way of a bundle on real MR crops with expert labels."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from voxledger.bundles.inbox import received_returns
from voxledger.errors import BundleRefused
from voxledger.export.run import export_round
from voxledger.gate.run import pass_gate
from voxledger.imaging.volume import file_sha256, mask_sha256, read, read_grid, read_label, write
from voxledger.import_.run import import_round
from voxledger.params import MachineParams
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Origin
from voxledger.records.predicted import Ensemble
from voxledger.records.worklist import WorkItem
from voxledger.review.by_reference import ByReference
from voxledger.review.emulate import dice, emulate_bundle
from voxledger.schema import LabelClass, LabelSchema

DATA = Path(__file__).parents[2].parent / "shared" / "data" / "hippocampus"
SCHEMA = LabelSchema(
    name="hippocampus", classes=(LabelClass(id=1, name="anterior"), LabelClass(id=2, name="posterior"))
)
BUNDLES, INBOX = Path("data/round/bundles"), Path("data/inbox")

pytestmark = pytest.mark.skipif(
    not DATA.is_dir(), reason="no real images beside the project: ../shared/data/hippocampus"
)


@pytest.fixture
def cases(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    monkeypatch.chdir(tmp_path)
    found = []
    for number, path in enumerate(sorted((DATA / "images").glob("*.nii.gz"))[:4]):
        case_id = path.name.removesuffix(".nii.gz")
        image = Path(f"data/images/{path.name}")
        image.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(path, image)
        digest = file_sha256(image)
        found.append(Case(case_id, str(image), digest, digest, "msd", "CC-BY-SA-4.0", Split.POOL, "MR", ""))
        grid = read_grid(image)
        labels = read_label(DATA / "labels" / path.name, grid)
        # The first model is right, the others are worse and worse.
        proposed = np.roll(labels, number, axis=2)
        write(f"data/round/pseudo/{path.name}", proposed, grid)
    return found


def predicted(cases: list[Case]) -> dict[str, Ensemble]:
    return {c.case_id: Ensemble(dict.fromkeys(SCHEMA.names, ("declared-id",))) for c in cases}


def asked(case: Case, class_name: str) -> WorkItem:
    return WorkItem(1, case.case_id, class_name, 0.0, 0.0, "attention", "ann", 0.0)


def test_there_and_back(cases: list[Case]) -> None:
    work = [asked(c, n) for c in cases for n in SCHEMA.names]
    (bundle,) = export_round(work, cases, SCHEMA, {}, predicted(cases), "hippocampus", 1)
    emulate_bundle(bundle, DATA / "labels", BUNDLES, INBOX, ByReference(0.9))
    pass_gate(BUNDLES, INBOX, Path("data/base/revisions"), 1, Path("data/round/received.json"))
    returns = received_returns(Path("data/round/received.json"), BUNDLES, INBOX, 1)
    ledger = import_round(cases, SCHEMA, {}, predicted(cases), returns, 1, MachineParams(workers=1))
    origins = set()
    for case in cases:
        grid = read_grid(case.image)
        truth = read_label(DATA / "labels" / f"{case.case_id}.nii.gz", grid)
        released = read(f"data/release/labels/{case.case_id}.nii.gz")
        assert released.array.dtype == np.uint8
        for name in SCHEMA.names:
            mask = SCHEMA.mask(released.array, name)
            assert dice(mask, SCHEMA.mask(truth, name)) >= 0.9
            entry = ledger[case.case_id, name]
            assert entry.mask_sha256 == mask_sha256(mask, grid)
            assert entry.model_ids == ("declared-id",)
            origins.add(entry.origin)
    assert origins == {Origin.ACCEPTED, Origin.REVISED}
    received = json.loads(Path("data/round/received.json").read_text())["bundles"][0]
    assert {e.bundle for e in ledger.values()} == {received["sha256"]}


@pytest.mark.parametrize("axis", [0, 1, 2])
def test_a_real_label_flipped_under_the_same_header_is_refused(cases: list[Case], axis: int) -> None:
    case = cases[2]
    work = [asked(case, n) for n in SCHEMA.names]
    (bundle,) = export_round(work, cases, SCHEMA, {}, predicted(cases), "hippocampus", 1)
    folder = emulate_bundle(bundle, DATA / "labels", BUNDLES, INBOX, ByReference(1.0)).folder
    label = read(folder / f"labels/{case.case_id}.nii.gz")
    write(
        folder / f"labels/{case.case_id}.nii.gz",
        np.flip(read(bundle / f"labels/{case.case_id}.nii.gz").array, axis),
        label.grid,
    )
    with pytest.raises(BundleRefused, match=f"flipped along {'zyx'[axis]}"):
        pass_gate(BUNDLES, INBOX, Path("data/base/revisions"), 1, Path("data/round/received.json"))
