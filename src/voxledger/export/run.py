"""The export stage: one folder a reviewer, with all that is needed to judge and correct, and nothing that biases."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from voxledger import layout
from voxledger.bundles.shown import entries_of, read_sources, require_proposed
from voxledger.bundles.untouched import require_untouched
from voxledger.errors import Misuse, VoxledgerError
from voxledger.export.colors import SLICER_TABLE, SNAP_DESCRIPTIONS, slicer_table, snap_descriptions
from voxledger.export.readme import bundle_readme
from voxledger.imaging.volume import Grid, file_sha256, smallest_unsigned, write
from voxledger.progress import progress
from voxledger.records.bundle import (
    ATTENTION,
    IMAGES,
    LABELS,
    MANIFEST,
    WEAK,
    Asked,
    File,
    bundle_name,
    make_manifest,
    require_case_name,
    require_reviewers,
    voxel_count,
)
from voxledger.records.cases import Case, Split
from voxledger.records.decisions import FILE as DECISIONS
from voxledger.records.decisions import Row, to_csv
from voxledger.records.ledger import Ledger
from voxledger.records.predicted import Ensemble
from voxledger.records.worklist import WorkItem
from voxledger.schema import LabelSchema


def export_round(
    worklist: Sequence[WorkItem],
    cases: Sequence[Case],
    schema: LabelSchema,
    ledger: Ledger,
    predicted: Mapping[str, Ensemble],
    dataset: str,
    round_number: int,
    *,
    base: Path = layout.BASE,
    pseudo: Path = layout.PSEUDO,
    attention: Path = layout.ATTENTION,
    out: Path = layout.BUNDLES,
) -> list[Path]:
    """Write `out/bundle-rNN-<reviewer>/` for every reviewer of the worklist; the bytes depend on the input alone.

    A bundle does not say why a case was chosen, nor in which order: a blind audit stays blind. An empty worklist
    makes an empty folder.

    Parameters
    ----------
    predicted
        Who predicted each case.

    Raises
    ------
    BundleRefused
        Somebody changed a bundle that lies there: nothing is touched.
    Misuse
        A name cannot be a file name, or one class of one case is given to two reviewers.
    VoxledgerError
        The worklist names a case that is not registered or not in the pool, or a hash does not fit.
    """
    require_reviewers({item.reviewer for item in worklist})
    known = {c.case_id: c for c in cases}
    readers: dict[tuple[str, str], str] = {}
    for item in worklist:
        require_case_name(item.case_id)
        schema[item.class_name]
        case = known.get(item.case_id)
        if case is None or case.split is not Split.POOL:
            raise VoxledgerError(
                f"the worklist names {item.case_id}, which is not in the pool", "run `dvc repro score`"
            )
        if readers.setdefault((item.case_id, item.class_name), item.reviewer) != item.reviewer:
            raise Misuse(
                f"case {item.case_id}, class {item.class_name} is given to two reviewers",
                "give every class of a case to one reviewer",
            )
    require_untouched(out, every_byte=True)
    # They appear all at once: half a bundle that a killed export left would be taken for one that somebody changed.
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    ledger_file = base / "ledger.csv"
    base_version = file_sha256(ledger_file) if ledger_file.is_file() else ""
    bar = progress("export", len({(i.reviewer, i.case_id) for i in worklist}))
    folders = []
    for reviewer in sorted({item.reviewer for item in worklist}):
        folder = partial / bundle_name(round_number, reviewer)
        pairs = {(i.case_id, i.class_name) for i in worklist if i.reviewer == reviewer}
        order = {name: n for n, name in enumerate(schema.names)}
        asked = tuple(Asked(case_id=c, class_name=k) for c, k in sorted(pairs, key=lambda p: (p[0], order[p[1]])))
        voxels: dict[str, int] = {}
        models: set[str] = set()
        for case_id in sorted({a.case_id for a in asked}):
            case = known[case_id]
            ensemble = predicted.get(case_id, Ensemble({}))
            require_proposed(case_id, predicted.get(case_id), pseudo / f"{case_id}.nii.gz")
            grid = _export_case(folder, case, schema, ledger, ensemble.classes, round_number, base, pseudo)
            wanted = [a.class_name for a in asked if a.case_id == case_id]
            _export_attention(folder, case_id, schema, wanted, grid, attention)
            voxels[case_id] = voxel_count(grid.shape)
            models.update(ensemble.model_ids)
            bar.step(case_id)
        texts = {
            DECISIONS: to_csv(Row(a.case_id, a.class_name) for a in asked),
            SLICER_TABLE: slicer_table(schema),
            SNAP_DESCRIPTIONS: snap_descriptions(schema),
            "README.md": bundle_readme(dataset, round_number, reviewer, schema, asked, (folder / WEAK).is_dir()),
        }
        for name, text in texts.items():
            (folder / name).write_bytes(text.encode("utf-8"))
        manifest = make_manifest(
            dataset=dataset,
            round=round_number,
            reviewer=reviewer,
            base_version=base_version,
            model_ids=tuple(sorted(models)),
            label_schema=schema,
            asked=asked,
            voxels=voxels,
            files={
                p.relative_to(folder).as_posix(): File(sha256=file_sha256(p), bytes=p.stat().st_size)
                for p in sorted(folder.rglob("*"))
                if p.is_file()
            },
        )
        (folder / MANIFEST).write_bytes(manifest.to_bytes())
        folders.append(out / folder.name)
    bar.close()
    shutil.rmtree(out, ignore_errors=True)
    os.replace(partial, out)
    return folders


def _export_case(
    folder: Path,
    case: Case,
    schema: LabelSchema,
    ledger: Ledger,
    predicted: frozenset[str],
    round_number: int,
    base: Path,
    pseudo: Path,
) -> Grid:
    """Image, proposal and weak label of one case; returns the grid of its image."""
    name = f"{case.case_id}.nii.gz"
    if file_sha256(case.image) != case.sha256:
        raise VoxledgerError(f"{case.image} is not the registered image", f"run `dvc checkout {layout.IMAGES}`")
    sources = read_sources(
        schema,
        Path(case.image),
        base / "labels" / name if (base / "labels" / name).is_file() else None,
        pseudo / name if (pseudo / name).is_file() else None,
        entries_of(ledger, case),
        predicted,
        round_number,
    )
    (folder / IMAGES).mkdir(parents=True, exist_ok=True)
    shutil.copyfile(case.image, folder / IMAGES / name)
    write(folder / LABELS / name, sources.proposal(schema), sources.grid)
    if case.weak_label:
        weak = Path(case.weak_label)
        (folder / WEAK).mkdir(exist_ok=True)
        shutil.copyfile(weak, folder / WEAK / weak.name)
    return sources.grid


def _export_attention(
    folder: Path, case_id: str, schema: LabelSchema, asked: Sequence[str], grid: Grid, attention: Path
) -> None:
    """The heat map, and one label map of the classes in question, inner classes over outer ones."""
    heat = attention / f"{case_id}_heat.nii.gz"
    bits = attention / f"{case_id}.b2nd"
    if heat.is_file():
        (folder / ATTENTION).mkdir(parents=True, exist_ok=True)
        shutil.copyfile(heat, folder / ATTENTION / heat.name)
        shutil.copyfile(attention / "heat.ctbl", folder / ATTENTION / "heat.ctbl")
    if bits.is_file():
        from voxledger.imaging.attention_file import open_attention

        found = open_attention(bits)
        shown = np.zeros(grid.shape, np.uint16)
        for name in sorted(asked, key=lambda n: (len(schema.chain(n)), schema[n].id)):
            box = found.boxes.get(name)
            if box is not None:
                shown[box][found.read(name, box) > 0] = schema[name].id
        write(folder / ATTENTION / f"{case_id}_attention.nii.gz", smallest_unsigned(shown), grid)
