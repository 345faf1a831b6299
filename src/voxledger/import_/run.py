"""The import stage: returned bundles and new predictions become the labels and the ledger of the next version."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from voxledger import layout
from voxledger.bundles.case_return import CaseReturn, Panel, read_by_readers
from voxledger.bundles.returned import Return
from voxledger.bundles.shown import require_proposed
from voxledger.casemap.run import casemap
from voxledger.errors import BundleRefused, VoxledgerError
from voxledger.import_.merge_case import MergeCase, Merged, Taken
from voxledger.knowledge import Knowledge, knowledge_of
from voxledger.params import MachineParams, ReviewParams
from voxledger.records.bundle import MANIFEST, returned_files
from voxledger.records.cases import Case, Split
from voxledger.records.decisions import write_decided
from voxledger.records.ledger import Entry, Ledger, WeakMark, by_case, write_ledger
from voxledger.records.predicted import Ensemble
from voxledger.records.readings import read_readings, write_readings
from voxledger.schema import LabelSchema
from voxledger.textfile import write_table

MERGE_COLUMNS = ["case_id", "class_name", "origin", "voxels", "taken_by"]


def import_round(
    cases: Sequence[Case],
    schema: LabelSchema,
    ledger: Ledger,
    predicted: Mapping[str, Ensemble],
    returns: Sequence[Return],
    version: int,
    machine: MachineParams,
    review: ReviewParams = ReviewParams(),  # noqa: B008
) -> Ledger:
    """Merge every case class by class and write labels, revisions and ledger of the next version.

    Writes under `data/release` `labels/<case>.nii.gz` of every case with a row in the ledger, `revisions/<bundle
    sha256>/`, `readings.csv` and `ledger.csv`, and under `data/round` `decisions.csv`, `merge.csv` (trusted masks that
    gave voxels to a class of higher precedence) and `import.jsonl`. Cases outside the pool are passed on as they are,
    byte for byte, and so is every label that comes out as it was.

    Parameters
    ----------
    cases, schema
        All registered cases, and the classes.
    ledger
        Of the base version.
    predicted
        Who predicted each case.
    returns
        What the gate let through, see `voxledger.bundles.inbox.received_returns`. Nothing else of the inbox is read.
    version
        Number of the round.
    review
        How what several people read is settled.

    Raises
    ------
    BundleRefused
        A return changes while it is taken in.
    CasesFailed
        Names every case that could not be merged; nothing of the version is written.
    """
    rows, several = by_case(ledger), read_by_readers(returns)
    panels = dict.fromkeys(several, Panel.of(review))
    jobs = [_job(c, schema, rows.get(c.case_id, {}), predicted, returns, version, panels) for c in cases]
    found = casemap(
        [job for job in jobs if job.entries or job.predicted or job.returns],
        layout.RELEASE_LABELS,
        machine,
        manifest=layout.IMPORT_CASES,
        nothing_else=True,
    )
    merged = {(e.case_id, e.class_name): e for one in found for e in one.entries}
    _require_nothing_lost(ledger, merged)
    _keep_revisions(layout.BASE_REVISIONS, layout.RELEASE_REVISIONS, returns)
    _write_tables(found, schema)
    write_ledger(layout.RELEASE_LEDGER, merged, schema.names)
    return merged


def _write_tables(found: Sequence[Merged], schema: LabelSchema) -> None:
    """What was decided, what every reader said, and which trusted masks gave voxels away."""
    order = {name: i for i, name in enumerate(schema.names)}
    said = sorted((row for one in found for row in one.readings), key=lambda row: (row.case_id, order[row.class_name]))
    write_readings(layout.RELEASE_READINGS, [*read_readings(layout.BASE_READINGS), *said])
    decisions = [row for one in found for row in one.decisions]
    write_decided(layout.DECISIONS, sorted(decisions, key=lambda row: (row.case_id, order[row.class_name])))
    write_table(layout.MERGED, MERGE_COLUMNS, [_merge_row(t) for one in found for t in one.taken])


def _job(
    case: Case,
    schema: LabelSchema,
    entries: Mapping[str, Entry],
    predicted: Mapping[str, Ensemble],
    returns: Sequence[Return],
    version: int,
    panels: Mapping[str, Panel],
) -> MergeCase:
    base, pseudo = (layout.label_map(place, case.case_id) for place in (layout.BASE_LABELS, layout.PSEUDO))
    ensemble = predicted.get(case.case_id) if case.split is Split.POOL else None
    require_proposed(case.case_id, ensemble, pseudo)
    said = tuple(CaseReturn.of(one, case.case_id) for one in returns if case.case_id in one.manifest.cases)
    return MergeCase(
        name=case.case_id,
        version=version,
        # A case that is passed on as it is has no round of its own.
        changed_in=version if said or ensemble is not None else None,
        image=Path(case.image),
        image_sha256=case.sha256,
        base=base if base.is_file() else None,
        pseudo=pseudo if ensemble is not None else None,
        predicted=dict(sorted(ensemble.by_class.items())) if ensemble is not None else {},
        weak=_weak(ensemble) if ensemble is not None else {},
        entries=tuple(entries.values()),
        returns=said,
        panel=panels.get(case.case_id),
        label_schema=schema,
    )


def _weak(ensemble: Ensemble) -> dict[str, tuple[WeakMark, ...]]:
    return {name: tuple(map(WeakMark.parse, marks)) for name, marks in sorted(ensemble.weak.items())}


def _merge_row(taken: Taken) -> dict[str, str | int]:
    return {
        "case_id": taken.case_id,
        "class_name": taken.class_name,
        "origin": taken.origin.value,
        "voxels": taken.voxels,
        "taken_by": ";".join(taken.by),
    }


def _require_nothing_lost(before: Ledger, after: Ledger) -> None:
    """Every row of the base is in the new ledger; a trusted one loses its trust to a reviewer's reject alone."""
    for (case_id, name), entry in before.items():
        now = after.get((case_id, name))
        was, known = knowledge_of(entry), knowledge_of(now)
        rejected = now is not None and known is Knowledge.REJECTED and now.bundle != entry.bundle
        if now is None or (was is Knowledge.TRUSTED and known is not Knowledge.TRUSTED and not rejected):
            raise VoxledgerError(
                f"case {case_id}, class {name} of the base ledger ({entry.origin}) would be lost",
                f"nothing was written to the ledger; is the case still in {layout.CASES}?",
            )


def _keep_revisions(base: Path, out: Path, returns: Sequence[Return]) -> None:
    """Copy every earlier revision, and add the new ones as they came under the hash of the returned bundle."""
    shutil.rmtree(out, ignore_errors=True)
    out.mkdir(parents=True)
    if base.is_dir():
        for earlier in sorted(p for p in base.iterdir() if p.is_dir()):
            shutil.copytree(earlier, out / earlier.name)
    for one in returns:
        target = out / one.sha256
        for path in (MANIFEST, *one.files, *one.kept):
            (target / path).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(one.folder / path, target / path)
        if returned_files(target) != one.files:
            raise BundleRefused(f"{one.folder} has changed since the gate let it through", "run `dvc repro gate`")
