"""Small cases on disk: an organ with a lesion in it, and a second organ, on an anisotropic grid."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest

from voxledger import layout
from voxledger.imaging.volume import Grid, file_sha256, mask_sha256, write
from voxledger.params import ModelParams
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Entry, Ledger, Origin
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(
    name="small",
    classes=(
        LabelClass(id=1, name="organ"),
        LabelClass(id=2, name="lesion", inside="organ", lesion=True),
        LabelClass(id=7, name="spleen"),
    ),
)
GRID = Grid.plain((12, 20, 24), (2.0, 1.0, 1.0))
TINY = {
    "nn": ModelParams(backend="nnunet", recipe="small", patch=(8, 16, 16), features=(4, 8), iterations=3),
    "unet": ModelParams(backend="monai", network="unet", patch=(8, 16, 16), features=(4, 8), iterations=3),
}


@dataclass(frozen=True)
class Small:
    """Cases, their ledger, and where everything lies; all paths relative to the current folder."""

    cases: list[Case]
    ledger: Ledger
    labels: Path = layout.RELEASE_LABELS
    schema: LabelSchema = SCHEMA

    def with_origin(self, case_id: str, class_name: str, origin: Origin | None) -> Small:
        """The same with another origin of one mask; None takes its row away."""
        ledger = dict(self.ledger)
        entry = ledger.pop((case_id, class_name))
        if origin is not None:
            ledger[case_id, class_name] = replace(entry, origin=origin)
        return replace(self, ledger=ledger)


def draw(seed: int) -> tuple[np.ndarray, np.ndarray]:
    """Image in HU-like values, and label map (z, y, x)."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(GRID.shape, np.uint8)
    shift = int(rng.integers(0, 3))
    labels[2:9, 3 + shift : 13 + shift, 3:12] = 1
    labels[4:7, 6 + shift : 10 + shift, 5:9] = 2
    labels[3:10, 5:15, 15:21] = 7
    image = np.choose(np.minimum(labels, 3), [-80.0, 60.0, 20.0, 120.0]) + rng.normal(0, 5, labels.shape)
    return image.astype(np.int16), labels


@pytest.fixture
def small(folder: Path) -> Small:
    """Three cases of the pool and one test case, every class of every case from the sources."""
    cases, ledger = [], {}
    for number in range(4):
        case_id = f"c{number}"
        image, labels = draw(number)
        path = f"images/{case_id}.nii.gz"
        write(path, image, GRID)
        write(f"data/release/labels/{case_id}.nii.gz", labels, GRID)
        split = Split.TEST if number == 3 else Split.POOL
        cases.append(Case(case_id, path, file_sha256(path), "", "here", "CC0-1.0", split, "CT", ""))
        for name in SCHEMA.names:
            digest = mask_sha256(SCHEMA.mask(labels, name), GRID)
            ledger[case_id, name] = Entry(case_id, name, 0, Origin.SOURCE, (), "", "", digest, "", 1.0)
    return Small(cases, ledger)


@pytest.fixture
def schema() -> LabelSchema:
    return SCHEMA


@pytest.fixture
def tiny() -> dict[str, ModelParams]:
    """One model a backend, small enough to train in seconds."""
    return TINY
