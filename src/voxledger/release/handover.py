"""Handing a version over in the layout that others use: images, labels, and where each came from."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxledger import layout
from voxledger.disk import naming
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.format import Origin, WriteLabels
from voxledger.imaging.volume import Grid, Volume, read
from voxledger.imaging.volume import write as write_volume
from voxledger.params import read_params
from voxledger.records.cases import Split, read_cases, require_one_channel
from voxledger.records.identity import LOOKED_AT, require_no_identity
from voxledger.records.ledger import read_ledger
from voxledger.records.pseudonyms import default_folder, source_of
from voxledger.registry import LAYOUTS
from voxledger.release.describe import write_descriptions
from voxledger.release.facts import PROVENANCE
from voxledger.release.state import release_name
from voxledger.schema import LabelClass, LabelSchema, read_schema

_RECORDS = (
    *(layout.RELEASE_LEDGER, layout.MANIFEST, layout.SIGNATURE, layout.SCHEMA, layout.CASES),
    *(layout.ACQUISITION, layout.DATASET_DESCRIPTION),
)


@dataclass(frozen=True)
class ReleasedCase:
    """One case of a version."""

    case_id: str
    split: Split
    modality: str
    image: Path
    labels: Path
    origin: Origin
    """What formats refer to that refer to the image."""
    patient: str
    """Pseudonym of the person in the image."""

    def read(self) -> Volume:
        """The label map (z, y, x) of innermost ids, on its grid."""
        return read(self.labels)


@dataclass(frozen=True)
class Released:
    """A version: its cases, sorted, and classes."""

    dataset: str
    version: str
    cases: Sequence[ReleasedCase]
    schema: LabelSchema

    def split(self, *splits: Split) -> list[ReleasedCase]:
        """The cases of some splits."""
        return [case for case in self.cases if case.split in splits]


WriteLayout = Callable[[Released, Path], None]
"""What a member of the family is: writes a version into an empty folder."""


def hand_over(target: Path, name: str, keys: Path | None = None) -> Released:
    """Write the labels of `data/release`, with their images, in a layout; whole or not at all.

    Parameters
    ----------
    target
        A folder that is not there yet.
    name
        Of a layout, see `voxledger.release.layouts`.
    keys
        Folder of keys, in which UIDs of DICOM series are; by default that of the dataset.

    Raises
    ------
    Misuse
        The target is there already, or there is no such layout.
    VoxledgerError
        Images or labels are not here, or something looks like the identity of a patient.
    """
    write: WriteLayout = LAYOUTS.get(name)
    if target.exists():
        raise Misuse(f"{target} is there already", "name a folder that is not")
    params = read_params()
    require_no_identity(LOOKED_AT, params.dataset, params.cases.not_identity, "`voxledger release export`")
    released = read_released(keys or default_folder(params.dataset))
    partial = target.with_name(f".{target.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        with naming(target):
            partial.mkdir(parents=True)
            write(released, partial)
            for record in (r for r in _RECORDS if r.is_file()):
                (partial / PROVENANCE).mkdir(exist_ok=True)
                shutil.copyfile(record, partial / PROVENANCE / record.name)
            write_descriptions(partial)
            partial.rename(target)
    finally:
        shutil.rmtree(partial, ignore_errors=True)
    return released


def read_released(keys: Path) -> Released:
    """The version in `data/release`."""
    params = read_params()
    ledger = {case_id for case_id, _ in read_ledger(layout.RELEASE_LEDGER)}
    cases = [case for case in read_cases() if case.case_id in ledger]
    if gone := ledger - {case.case_id for case in cases}:
        raise VoxledgerError(
            f"{layout.RELEASE} still has {len(gone)} cases that {layout.CASES} does not, as after a withdrawal",
            "`voxledger round run` makes it anew",
        )
    require_one_channel(cases)
    version = release_name(params.round)
    found = [
        ReleasedCase(
            case.case_id,
            case.split,
            case.modality,
            Path(case.image),
            layout.label_map(layout.RELEASE_LABELS, case.case_id),
            Origin(f"{params.dataset}/{version}/{case.case_id}", source_of(keys, case.case_id)),
            case.patient,
        )
        for case in cases
    ]
    if not found:
        raise VoxledgerError(f"{layout.RELEASE} holds no label", "`voxledger round run` makes it")
    if missing := [str(p) for case in found for p in (case.image, case.labels) if not p.is_file()]:
        raise VoxledgerError(f"{', '.join(missing[:5])}: {len(missing)} files are not here", "`dvc pull` brings them")
    return Released(params.dataset, version, found, read_schema(layout.SCHEMA))


def write_in_format(released: Released, out: Path, suffix: str, write: WriteLabels) -> None:
    """Write the label map of every case as `labels/<case><suffix>` in a format, and copy images."""
    for case in released.cases:
        copy(case.image, out / "images" / f"{case.case_id}.nii.gz")
        labels = case.read()
        write(out / "labels" / f"{case.case_id}{suffix}", labels.array, labels.grid, released.schema, case.origin)


def copy(source: Path, target: Path) -> None:
    """Copy a file into a folder that is made if need be."""
    target.parent.mkdir(parents=True, exist_ok=True)
    shutil.copyfile(source, target)


def example_files(write: WriteLayout) -> list[str]:
    """Files that a layout writes of a version with one case, `case-7`, and one class, `liver`: for examples."""
    schema = LabelSchema(name="example", classes=(LabelClass(id=3, name="liver", code="10200004"),))
    labels, grid = np.zeros((4, 4, 4), np.uint8), Grid.plain((4, 4, 4))
    labels[1:3, 1:3, 1:3] = 3
    with tempfile.TemporaryDirectory(prefix="voxledger-") as folder:
        image, mask, out = (Path(folder) / name for name in ("image.nii.gz", "labels.nii.gz", "out"))
        write_volume(image, labels * 10, grid)
        write_volume(mask, labels, grid)
        case = ReleasedCase("case-7", Split.POOL, "CT", image, mask, Origin("example/case-7"), "case-7")
        write(Released("abdomen", "v1.0.0", [case], schema), out)
        return sorted(p.relative_to(out).as_posix() for p in out.rglob("*") if p.is_file())
