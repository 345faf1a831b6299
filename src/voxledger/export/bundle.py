"""One bundle: image, proposal, attention and weak label of its cases, and all that a reviewer needs beside them."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import MappingProxyType

from voxledger import layout
from voxledger.bundles.shown import entries_of, require_proposed
from voxledger.export.colors import SLICER_TABLE, SNAP_DESCRIPTIONS, slicer_table, snap_descriptions
from voxledger.export.draw_case import DrawCase, Drawn, not_registered
from voxledger.export.readme import bundle_readme
from voxledger.imaging.volume import file_sha256
from voxledger.page import NAME as PAGE
from voxledger.page import page
from voxledger.records.bundle import (
    ATTENTION,
    IMAGES,
    MANIFEST,
    PAGE_NOTES,
    WEAK,
    Asked,
    File,
    make_manifest,
)
from voxledger.records.cases import Case
from voxledger.records.decisions import FILE as DECISIONS
from voxledger.records.decisions import Row, to_csv
from voxledger.records.ledger import Ledger
from voxledger.records.mask_quality import Quality
from voxledger.records.page_notes import FORMAT
from voxledger.records.predicted import Ensemble
from voxledger.schema import LabelSchema
from voxledger.textfile import read_json_if_there


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
    formats: tuple[str, ...] = ()
    """In which labels go out besides NIfTI."""
    quality: Mapping[tuple[str, str], Quality] = field(default_factory=dict)
    """What is predicted of masks, by case and class."""


def draw_job(bundle: str, case_id: str, asked: Sequence[str], material: Material) -> DrawCase:
    """The job of drawing what a reviewer is shown of one case.

    Raises
    ------
    VoxledgerError
        A pseudo-label is not here.
    """
    case, ensemble = material.cases[case_id], material.predicted.get(case_id)
    base, pseudo = (layout.label_map(place, case_id) for place in (layout.BASE_LABELS, layout.PSEUDO))
    require_proposed(case_id, ensemble, pseudo)
    bits = layout.attention(case_id)
    return DrawCase(
        name=f"{case_id} ({bundle})",
        case_id=case_id,
        bundle=bundle,
        image=Path(case.image),
        image_sha256=case.sha256,
        base=base if base.is_file() else None,
        pseudo=pseudo if pseudo.is_file() else None,
        attention=bits if bits.is_file() else None,
        entries=tuple(entries_of(material.ledger, case).values()),
        predicted=tuple(sorted(ensemble.classes)) if ensemble is not None else (),
        version=material.round_number,
        asked=tuple(asked),
        label_schema=material.schema,
        formats=material.formats,
    )


def write_bundle(
    folder: Path, reviewer: str, asked: Sequence[Asked], material: Material, drawn: Mapping[str, Drawn]
) -> None:
    """Complete the bundle of one reviewer, in which the label maps lie; the bytes depend on the arguments alone.

    Parameters
    ----------
    asked
        Classes of cases that the reviewer is asked about, in the order of `decisions.csv`.
    drawn
        What was drawn, by case.

    Raises
    ------
    VoxledgerError
        An image is not what it was.
    """
    models: set[str] = set()
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        make_own(path)
    for case_id in sorted(drawn):
        _copy_images(folder, material.cases[case_id])
        models.update(material.predicted.get(case_id, Ensemble({})).model_ids)
    if pointed := read_json_if_there(layout.ATTENTION_FROM, "model"):
        models.add(pointed["model"])
    _write_texts(folder, reviewer, asked, material)
    files = {
        p.relative_to(folder).as_posix(): File(sha256=file_sha256(p), bytes=p.stat().st_size)
        for p in sorted(folder.rglob("*"))
        if p.is_file()
    }
    for case_id in drawn:
        image = layout.label_map(Path(IMAGES), case_id).as_posix()
        if files[image].sha256 != material.cases[case_id].sha256:
            raise not_registered(material.cases[case_id].image)
    manifest = make_manifest(
        dataset=material.dataset,
        round=material.round_number,
        reviewer=reviewer,
        base_version=file_sha256(layout.BASE_LEDGER) if layout.BASE_LEDGER.is_file() else "",
        model_ids=tuple(sorted(models)),
        label_schema=material.schema,
        asked=tuple(asked),
        voxels={case_id: one.voxels for case_id, one in drawn.items()},
        masks={case_id: one.masks for case_id, one in drawn.items()},
        files=files,
    )
    (folder / MANIFEST).write_bytes(manifest.to_bytes())


def make_own(path: Path) -> None:
    """Put a file that may be written to in the place of one that belongs to the memo: people work in copies of it."""
    own = path.with_name(f".{path.name}.own")
    shutil.copyfile(path, own)
    os.replace(own, path)


def _write_texts(folder: Path, reviewer: str, asked: Sequence[Asked], material: Material) -> None:
    """The table to fill in, colour tables, how to go about it, and the page."""
    schema, weak = material.schema, (folder / WEAK).is_dir()
    texts = {
        DECISIONS: to_csv(Row(a.case_id, a.class_name) for a in asked),
        SLICER_TABLE: slicer_table(schema),
        SNAP_DESCRIPTIONS: snap_descriptions(schema),
        "README.md": bundle_readme(
            material.dataset,
            material.round_number,
            reviewer,
            schema,
            tuple(asked),
            weak,
            "seg_nrrd" in material.formats,
        ),
    }
    for name, text in texts.items():
        (folder / name).write_bytes(text.encode("utf-8"))
    quality: dict[str, dict[str, Quality]] = {}
    for a in asked:
        if found := material.quality.get((a.case_id, a.class_name)):
            quality.setdefault(a.case_id, {})[a.class_name] = found
    cases = {a.case_id for a in asked}
    ensembles = {case_id: material.predicted.get(case_id, Ensemble({})) for case_id in cases}
    known = {case_id: [name for name in schema.names if name in of.classes] for case_id, of in ensembles.items()}
    write_page(folder, {case_id: material.cases[case_id].modality for case_id in cases}, quality, known)


SHOWN_QUALITY = ("predicted_dice", "predicted_dice_low", "predicted_dice_high")


def write_page(
    folder: Path,
    modalities: Mapping[str, str],
    quality: Mapping[str, Mapping[str, Quality]] = MappingProxyType({}),
    known: Mapping[str, Sequence[str]] = MappingProxyType({}),
) -> None:
    """Put the page for review in a browser into a bundle, with what it is told of the cases.

    Parameters
    ----------
    modalities
        By case.
    quality
        What is predicted of masks, by case and class.
    known
        Classes that models know, by case. Without any, notes are written in format 1, as they were.
    """
    (folder / PAGE).write_bytes(page())
    cases: dict[str, dict[str, object]] = {case: {"modality": of} for case, of in sorted(modalities.items())}
    for case, names in known.items():
        cases[case]["known"] = list(names)
    for case, of_case in quality.items():
        cases[case]["classes"] = {
            name: {column: round(getattr(of, column), 4) for column in SHOWN_QUALITY} for name, of in of_case.items()
        }
    notes = {"format": FORMAT if known else 1, "cases": cases}
    (folder / PAGE_NOTES).write_bytes((json.dumps(notes, indent=1, ensure_ascii=False) + "\n").encode("utf-8"))


def _copy_images(folder: Path, case: Case) -> None:
    """Image, heat map and weak label of one case."""
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(case.image, layout.label_map(folder / IMAGES, case.case_id))
    if case.weak_label:
        weak = Path(case.weak_label)
        (folder / WEAK).mkdir(exist_ok=True)
        shutil.copyfile(weak, folder / WEAK / weak.name)
    heat = layout.heat(case.case_id)
    if heat.is_file():
        (folder / ATTENTION).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(heat, folder / ATTENTION / heat.name)
        shutil.copyfile(layout.HEAT_COLORS, folder / ATTENTION / layout.HEAT_COLORS.name)
