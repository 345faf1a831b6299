from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxledger.cases.incoming import Incoming
from voxledger.cases.intake import add_cases
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import Grid, write
from voxledger.params import CasesParams, MachineParams
from voxledger.records.cases import Split
from voxledger.records.ledger import read_ledger
from voxledger.records.mask_check import require_masks
from voxledger.schema import LabelSchema

GRID = Grid.plain((6, 7, 8), (3.0, 0.8, 0.8))


def schema(*names: str) -> LabelSchema:
    return LabelSchema.model_validate({"name": "s", "classes": [{"id": i + 1, "name": n} for i, n in enumerate(names)]})


@pytest.fixture
def registered(folder: Path) -> Path:
    for n in range(2):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[1, 1, 1 : 3 + n], labels[3, 2:5, 3] = 1, 2
        write(folder / f"images/c{n}.nii.gz", np.random.default_rng(n).integers(0, 99, GRID.shape), GRID)
        write(folder / f"labels/c{n}.nii.gz", labels, GRID)
    add_cases(Incoming(folder / "images", labels=folder / "labels", split=Split.POOL), schema("a", "b"), CasesParams())
    return folder


def check(folder: Path, *names: str) -> None:
    from voxledger.records.cases import read_cases

    ledger = read_ledger("data/base/ledger.csv")
    labels = Path("data/base/labels")
    require_masks(read_cases(), schema(*names), ledger, labels, folder / "out", MachineParams(workers=1))


def test_masks_of_the_ledger_pass(registered: Path) -> None:
    check(registered, "a", "b")
    check(registered, "a", "b", "new")


def test_classes_that_swapped_names_are_found(registered: Path) -> None:
    with pytest.raises(VoxledgerError, match="case c0: a, b; case c1: a, b"):
        check(registered, "b", "a")


def test_a_replaced_label_is_found(registered: Path) -> None:
    check(registered, "a", "b")
    write("data/base/labels/c1.nii.gz", np.ones(GRID.shape, np.uint8), GRID)
    with pytest.raises(VoxledgerError, match=r"\(case c1: a, b\)"):
        check(registered, "a", "b")


def test_an_altered_image_is_named_and_not_remembered(registered: Path) -> None:
    """On its grid no mask is the one of the ledger, which is no fault of the label; restored, all is well again."""
    path = Path("data/images/c1.nii.gz")
    kept = path.read_bytes()
    write(path, np.zeros(GRID.shape, np.int16), Grid.plain(GRID.shape, (3.0, 0.9, 0.9)))
    with pytest.raises(VoxledgerError, match=r"data/images/c1.nii.gz is not the image that was registered"):
        check(registered, "a", "b")
    path.write_bytes(kept)
    check(registered, "a", "b")
