"""The adjudicate stage: what readers do not agree on, in a bundle for one person who sees what each of them said."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from voxledger import layout
from voxledger.bundles.case_return import CaseReturn, Panel, read_by_readers
from voxledger.bundles.disputes import AGAIN, COLUMNS, FindDisputes, what_was_said
from voxledger.bundles.returned import Return
from voxledger.casemap.run import casemap
from voxledger.errors import VoxledgerError
from voxledger.export.bundle import make_own, write_page
from voxledger.export.colors import SLICER_TABLE, SNAP_DESCRIPTIONS
from voxledger.export.readme import bundle_readme
from voxledger.imaging.volume import file_sha256
from voxledger.params import MachineParams, ReviewParams
from voxledger.records.bundle import (
    ATTENTION,
    IMAGES,
    LABELS,
    MANIFEST,
    WEAK,
    Asked,
    File,
    Manifest,
    bundle_name,
    expected_bundles,
    make_manifest,
    require_reviewers,
)
from voxledger.records.decisions import FILE as DECISIONS
from voxledger.records.decisions import Row, to_csv
from voxledger.records.page_notes import CaseNotes, read_page_notes
from voxledger.schema import LabelSchema
from voxledger.textfile import write_table


def adjudicate_round(returns: Sequence[Return], number: int, review: ReviewParams, machine: MachineParams) -> None:
    """Write `data/round/adjudication/bundle-rNN-<adjudicator>/`, or an empty folder where readers agree on all.

    Parameters
    ----------
    returns
        Those of all readers; none where nothing is adjudicated.
    number
        Of the round.

    Raises
    ------
    VoxledgerError
        Another bundle of this round lies there: the adjudicator may have a copy of it.
    """
    out = layout.ADJUDICATION
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    several, panel = read_by_readers(returns), Panel.of(review)
    if several:
        require_reviewers([*(one.reviewer for one in returns), review.adjudicator])
    bundle = bundle_name(number, review.adjudicator)
    by_case = {case: [one for one in returns if case in one.manifest.cases] for case in sorted(several)}
    jobs = [
        FindDisputes(
            name=case,
            bundle=bundle,
            returns=tuple(CaseReturn.of(one, case) for one in of_case),
            panel=panel,
            label_schema=of_case[0].manifest.label_schema,
        )
        for case, of_case in by_case.items()
    ]
    found = casemap(jobs, partial, machine)
    disputed = {job.name: why for job, why in zip(jobs, found, strict=True) if why}
    if disputed:
        _complete(partial / bundle, review.adjudicator, disputed, by_case)
    _require_no_other(out, partial, number)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(partial, out)


def _require_no_other(out: Path, made: Path, number: int) -> None:
    there, now = (
        {folder.name: manifest.id for folder, manifest in expected_bundles(place, number).items()}
        for place in (out, made)
    )
    if there and there != now:
        shutil.rmtree(made)
        raise VoxledgerError(
            f"{', '.join(there)} in {out} was made from other readings, or with other parameters, and the adjudicator "
            "may be at work on it: it stays as it is",
            f"undo the change; or {AGAIN}",
        )


Disputed = Mapping[str, Mapping[str, str]]
"""Why readers do not agree, by case and class."""
ByCase = Mapping[str, Sequence[Return]]
"""The returns of all readers of a case."""


def _complete(folder: Path, adjudicator: str, disputed: Disputed, by_case: ByCase) -> None:
    """Complete the bundle in which the readings lie."""
    for path in [p for p in folder.rglob("*") if p.is_file()]:
        make_own(path)
    sent = {case: by_case[case][0] for case in disputed}
    manifest = next(iter(sent.values())).manifest
    schema = manifest.label_schema
    asked = tuple(Asked(case_id=case, class_name=n) for case, why in disputed.items() for n in schema.names if n in why)
    for case, one in sent.items():
        _copy_sent(folder, case, one)
    said = [row for a in asked for row in what_was_said(a, disputed[a.case_id][a.class_name], by_case[a.case_id])]
    _write_texts(folder, adjudicator, asked, manifest, said)
    _write_page(folder, schema, sent)
    files = {p.relative_to(folder).as_posix(): p for p in sorted(folder.rglob("*")) if p.is_file()}
    made = make_manifest(
        dataset=manifest.dataset,
        round=manifest.round,
        reviewer=adjudicator,
        base_version=manifest.base_version,
        model_ids=tuple(sorted({model for one in sent.values() for model in one.manifest.model_ids})),
        label_schema=schema,
        asked=asked,
        voxels={case: one.manifest.voxels[case] for case, one in sent.items()},
        masks={case: one.manifest.masks.get(case, {}) for case, one in sent.items()},
        files={name: File(sha256=file_sha256(path), bytes=path.stat().st_size) for name, path in files.items()},
    )
    (folder / MANIFEST).write_bytes(made.to_bytes())


def _write_page(folder: Path, schema: LabelSchema, sent: Mapping[str, Return]) -> None:
    """The page, with what it was told of the cases in the bundles of the readers."""
    notes = {case: read_page_notes(one.exported).get(case, CaseNotes("", None)) for case, one in sent.items()}
    told = {case: one.known for case, one in notes.items() if one.known is not None}
    known = {case: [name for name in schema.names if name in names] for case, names in told.items()}
    write_page(folder, {case: one.modality for case, one in notes.items()}, known=known)


def _copy_sent(folder: Path, case: str, one: Return) -> None:
    """What all readers were sent of a case, and the colour tables, from the bundle of one of them."""
    for path in one.manifest.files:
        if path in (SLICER_TABLE, SNAP_DESCRIPTIONS) or _is_of(case, path):
            (folder / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(one.exported / path, folder / path)


def _write_texts(
    folder: Path, adjudicator: str, asked: tuple[Asked, ...], sent: Manifest, said: Sequence[Mapping[str, str]]
) -> None:
    """The table to fill in, that of what readers said, and how to go about it."""
    table = layout.RELEASE_READINGS.name
    segments = any((folder / LABELS).glob("*.seg.nrrd"))
    weak = (folder / WEAK).is_dir()
    readme = bundle_readme(
        sent.dataset, sent.round, adjudicator, sent.label_schema, asked, weak, segments, readings=table
    )
    (folder / "README.md").write_bytes(readme.encode("utf-8"))
    (folder / DECISIONS).write_bytes(to_csv(Row(a.case_id, a.class_name) for a in asked).encode("utf-8"))
    write_table(folder / table, COLUMNS, said)


def _is_of(case: str, path: str) -> bool:
    """Whether a file of a bundle is what readers were sent of a case."""
    place, _, name = path.partition("/")
    if place in (IMAGES, LABELS, WEAK):
        return name.startswith(f"{case}.")
    return place == ATTENTION and name in (f"{case}_attention.nii.gz", layout.heat(case).name, layout.HEAT_COLORS.name)
