"""One bundle: image, proposal, attention and weak label of its cases, and all that a reviewer needs beside them."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from voxledger import layout
from voxledger.bundles.shown import entries_of, read_sources, require_proposed
from voxledger.errors import VoxledgerError
from voxledger.export.colors import SLICER_TABLE, SNAP_DESCRIPTIONS, slicer_table, snap_descriptions
from voxledger.export.readme import bundle_readme
from voxledger.imaging.volume import Grid, file_sha256, smallest_unsigned, write
from voxledger.records.bundle import (
    ATTENTION,
    IMAGES,
    LABELS,
    MANIFEST,
    WEAK,
    Asked,
    File,
    make_manifest,
    voxel_count,
)
from voxledger.records.cases import Case
from voxledger.records.decisions import FILE as DECISIONS
from voxledger.records.decisions import Row, to_csv
from voxledger.records.ledger import Ledger
from voxledger.records.predicted import Ensemble
from voxledger.schema import LabelSchema


@dataclass(frozen=True)
class Material:
    """What the bundles of a round are made from."""

    cases: Mapping[str, Case]
    schema: LabelSchema
    ledger: Ledger
    """Of the base version."""
    predicted: Mapping[str, Ensemble]
    """Who predicted each case."""
    dataset: str
    round_number: int


def write_bundle(
    folder: Path, reviewer: str, asked: Sequence[Asked], material: Material, step: Callable[[str], None]
) -> None:
    """Write the bundle of one reviewer into a new folder; the bytes depend on the arguments alone.

    Parameters
    ----------
    asked
        Classes of cases that the reviewer is asked about, in the order of `decisions.csv`.
    step
        Is told every case that is done.

    Raises
    ------
    VoxledgerError
        An image, a base label or a pseudo-label is not what it was, or is not here.
    """
    voxels: dict[str, int] = {}
    models: set[str] = set()
    for case_id in sorted({a.case_id for a in asked}):
        grid = _write_case(folder, material.cases[case_id], material)
        _write_attention(folder, case_id, material.schema, [a.class_name for a in asked if a.case_id == case_id], grid)
        voxels[case_id] = voxel_count(grid.shape)
        models.update(material.predicted.get(case_id, Ensemble({})).model_ids)
        step(case_id)
    _write_texts(folder, reviewer, asked, material)
    manifest = make_manifest(
        dataset=material.dataset,
        round=material.round_number,
        reviewer=reviewer,
        base_version=file_sha256(layout.BASE_LEDGER) if layout.BASE_LEDGER.is_file() else "",
        model_ids=tuple(sorted(models)),
        label_schema=material.schema,
        asked=tuple(asked),
        voxels=voxels,
        files={
            p.relative_to(folder).as_posix(): File(sha256=file_sha256(p), bytes=p.stat().st_size)
            for p in sorted(folder.rglob("*"))
            if p.is_file()
        },
    )
    (folder / MANIFEST).write_bytes(manifest.to_bytes())


def _write_texts(folder: Path, reviewer: str, asked: Sequence[Asked], material: Material) -> None:
    """The table to fill in, colour tables, and how to go about it."""
    schema, weak = material.schema, (folder / WEAK).is_dir()
    texts = {
        DECISIONS: to_csv(Row(a.case_id, a.class_name) for a in asked),
        SLICER_TABLE: slicer_table(schema),
        SNAP_DESCRIPTIONS: snap_descriptions(schema),
        "README.md": bundle_readme(material.dataset, material.round_number, reviewer, schema, tuple(asked), weak),
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode("utf-8"))


def _write_case(folder: Path, case: Case, material: Material) -> Grid:
    """Image, proposal and weak label of one case; returns the grid of its image."""
    base, pseudo = (layout.label_map(place, case.case_id) for place in (layout.BASE_LABELS, layout.PSEUDO))
    ensemble = material.predicted.get(case.case_id)
    require_proposed(case.case_id, ensemble, pseudo)
    if file_sha256(case.image) != case.sha256:
        raise VoxledgerError(f"{case.image} is not the registered image", f"run `dvc checkout {layout.IMAGES}`")
    sources = read_sources(
        material.schema,
        Path(case.image),
        base if base.is_file() else None,
        pseudo if pseudo.is_file() else None,
        entries_of(material.ledger, case),
        ensemble.classes if ensemble is not None else frozenset(),
        material.round_number,
    )
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(case.image, layout.label_map(folder / IMAGES, case.case_id))
    write(layout.label_map(folder / LABELS, case.case_id), sources.proposal(material.schema), sources.grid)
    if case.weak_label:
        weak = Path(case.weak_label)
        (folder / WEAK).mkdir(exist_ok=True)
        shutil.copyfile(weak, folder / WEAK / weak.name)
    return sources.grid


def _write_attention(folder: Path, case_id: str, schema: LabelSchema, asked: Sequence[str], grid: Grid) -> None:
    """The heat map, and one label map of the classes in question, inner classes over outer ones."""
    heat, bits = layout.heat(case_id), layout.attention(case_id)
    if heat.is_file():
        (folder / ATTENTION).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(heat, folder / ATTENTION / heat.name)
        shutil.copyfile(layout.HEAT_COLORS, folder / ATTENTION / layout.HEAT_COLORS.name)
    if bits.is_file():
        from voxledger.imaging.attention_file import open_attention

        found = open_attention(bits)
        shown = np.zeros(grid.shape, np.uint16)
        for name in sorted(asked, key=lambda n: (len(schema.chain(n)), schema[n].id)):
            box = found.boxes.get(name)
            if box is not None:
                shown[box][found.read(name, box) > 0] = schema[name].id
        write(folder / ATTENTION / f"{case_id}_attention.nii.gz", smallest_unsigned(shown), grid)
