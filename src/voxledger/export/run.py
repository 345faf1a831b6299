"""The export stage: one folder a reviewer, with all that is needed to judge and correct, and nothing that biases."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path

from voxledger import layout
from voxledger.bundles.untouched import require_untouched
from voxledger.casemap.run import ONE_PROCESS, casemap
from voxledger.errors import Misuse, VoxledgerError
from voxledger.export.bundle import Material, draw_job, write_bundle
from voxledger.params import MachineParams
from voxledger.records.bundle import Asked, bundle_name, expected_bundles, require_case_name, require_reviewers
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Ledger
from voxledger.records.mask_quality import Quality
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
    machine: MachineParams = ONE_PROCESS,
    formats: Sequence[str] = (),
    readers: int = 1,
) -> list[Path]:
    """Write `data/round/bundles/bundle-rNN-<reviewer>/` for every reviewer of the worklist.

    The bytes depend on the input alone. A bundle does not say why a case was chosen, nor in which order: a blind audit
    stays blind. An empty worklist makes an empty folder.

    Parameters
    ----------
    cases, schema, ledger
        Of the base version.
    predicted
        Who predicted each case.
    dataset, round_number
        What the bundles are called by.
    machine, formats
        Where label maps are drawn, and as which of `voxledger.imaging.formats` besides NIfTI.
    readers
        How many people may be asked about a class of a case. Their bundles say nothing of one another.

    Returns
    -------
    list
        Folders of the bundles, by reviewer.

    Raises
    ------
    BundleRefused
        Somebody changed a bundle that lies there: nothing is touched.
    Misuse
        A name cannot be a file name, or one class of one case is given to more reviewers than read one.
    VoxledgerError
        Other bundles of this round are here, the worklist names a case that is not registered or not in the pool, or a
        hash does not fit.
    CasesFailed
        Names every case that cannot be shown, and why.
    """
    known = {c.case_id: c for c in cases}, schema, ledger, predicted
    material = Material(*known, dataset, round_number, tuple(formats), _quality(worklist))
    _require_sound(worklist, material, readers)
    require_untouched(out := layout.BUNDLES, every_byte=True)
    # They appear all at once: half a bundle that a killed export left would be taken for one that somebody changed.
    partial = out.with_name(f".{out.name}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    partial.mkdir(parents=True)
    names = _write_bundles(partial, worklist, material, machine)
    _require_no_other_issue(out, partial, round_number)
    shutil.rmtree(out, ignore_errors=True)
    os.replace(partial, out)
    return [out / name for name in names]


def _quality(worklist: Sequence[WorkItem]) -> dict[tuple[str, str], Quality]:
    """What is predicted of masks, by case and class."""
    return {(item.case_id, item.class_name): item.quality for item in worklist if item.quality is not None}


def _require_no_other_issue(out: Path, made: Path, round_number: int) -> None:
    """Raise where bundles of this round are here and would become others: somebody may have copies of them."""
    there, now = (
        {folder.name: manifest.id for folder, manifest in expected_bundles(place, round_number).items()}
        for place in (out, made)
    )
    if there and there != now:
        shutil.rmtree(made)
        raise VoxledgerError(
            f"bundles of round {round_number} were made before, and would be others now: they stay as they are",
            "undo the change; or, if nobody has a copy of them, `voxledger round recall`, and they are made anew",
        )


def _write_bundles(out: Path, worklist: Sequence[WorkItem], material: Material, machine: MachineParams) -> list[str]:
    """Write the bundle of every reviewer; returns their names, by reviewer."""
    reviewers = sorted({item.reviewer for item in worklist})
    asked = {bundle_name(material.round_number, who): _asked(worklist, who, material.schema) for who in reviewers}
    jobs = [
        draw_job(bundle, case_id, [a.class_name for a in rows if a.case_id == case_id], material)
        for bundle, rows in asked.items()
        for case_id in sorted({a.case_id for a in rows})
    ]
    drawn = casemap(jobs, out, machine)
    for (bundle, rows), reviewer in zip(asked.items(), reviewers, strict=True):
        own = {job.case_id: one for job, one in zip(jobs, drawn, strict=True) if job.bundle == bundle}
        write_bundle(out / bundle, reviewer, rows, material, own)
    return list(asked)


def _asked(worklist: Sequence[WorkItem], reviewer: str, schema: LabelSchema) -> list[Asked]:
    """What a reviewer is asked about, by case and class: in no order that says why."""
    order = {name: n for n, name in enumerate(schema.names)}
    pairs = {(i.case_id, i.class_name) for i in worklist if i.reviewer == reviewer}
    return [Asked(case_id=c, class_name=k) for c, k in sorted(pairs, key=lambda p: (p[0], order[p[1]]))]


def _require_sound(worklist: Sequence[WorkItem], material: Material, readers: int) -> None:
    """Raise unless names make file names, every case is in the pool, and no class is given to too many reviewers."""
    require_reviewers({item.reviewer for item in worklist})
    asked: dict[tuple[str, str], set[str]] = {}
    for item in worklist:
        require_case_name(item.case_id)
        material.schema[item.class_name]
        case = material.cases.get(item.case_id)
        if case is None or case.split is not Split.POOL:
            raise VoxledgerError(
                f"the worklist names {item.case_id}, which is not in the pool", "run `dvc repro score`"
            )
        of_class = asked.setdefault((item.case_id, item.class_name), set())
        of_class.add(item.reviewer)
        if len(of_class) > readers:
            number = "two" if len(of_class) == 2 else len(of_class)
            raise Misuse(
                f"case {item.case_id}, class {item.class_name} is given to {number} reviewers",
                f"give every class of a case to one reviewer, or raise export.readers in {layout.PARAMS}",
            )
