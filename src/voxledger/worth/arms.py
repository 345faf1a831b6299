"""What models learn from in each arm of the comparison."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import replace
from enum import StrEnum
from pathlib import Path

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import mask_sha256, read_grid, read_label
from voxledger.knowledge import Knowledge, knowledge_of
from voxledger.models.cohort import Member, build_cohort
from voxledger.models.training import TrainingCase
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Ledger
from voxledger.schema import LabelSchema


class Arm(StrEnum):
    """What is learned from beside the cases of other sources that people stand behind."""

    WITHOUT = "without"
    """Nothing."""
    PREDICTED = "predicted"
    """All cases of the cohort that have a label, with whatever models drew and people did not reject."""
    REVIEWED = "reviewed"
    """Those of its cases and classes that people stand behind."""
    REFERENCE = "reference"
    """All cases of the cohort with reference labels: the most that its images could be worth."""


def require_cohort(cases: Sequence[Case], name: str) -> list[Case]:
    """The cases of the pool that came from a source.

    Raises
    ------
    Misuse
        There are none.
    """
    found = [case for case in cases if case.split is Split.POOL and case.source == name]
    if not found:
        sources = sorted({case.source for case in cases if case.split is Split.POOL})
        raise Misuse(
            f"no case of the pool has the source {name}",
            f"`voxledger cases list` shows sources; the pool has {', '.join(sources) or 'no case'}",
        )
    return found


def learned_from(
    arm: Arm,
    name: str,
    cases: Sequence[Case],
    ledger: Ledger,
    schema: LabelSchema,
    labels: Path = layout.BASE_LABELS,
    references: Path | None = None,
) -> tuple[TrainingCase, ...]:
    """The cases that an arm learns from, sorted by case id.

    Parameters
    ----------
    name
        Of the cohort: the source of its cases.
    cases
        The case table.
    ledger, labels
        What is known of the labels, and their folder, `<case>.nii.gz`.
    references
        Folder of reference labels of the cohort, `<case>.nii.gz`, for `Arm.REFERENCE`.

    Raises
    ------
    Misuse
        The pool has no such cohort, or one of its cases has no reference label.
    VoxledgerError
        A label is missing, or there is nothing to learn from.
    """
    cohort = require_cohort(cases, name)
    inside = {case.case_id for case in cohort}
    trusted = [TrainingCase.of(member, labels, schema) for member in build_cohort(cases, ledger, schema)]
    learned = [case for case in trusted if arm is Arm.REVIEWED or case.case_id not in inside]
    if arm is Arm.PREDICTED:
        learned += [found for case in cohort if (found := _as_predicted(case, ledger, schema, labels)) is not None]
    if arm is Arm.REFERENCE:
        learned += [_as_reference(case, schema, references) for case in cohort]
    if not learned:
        raise VoxledgerError(
            f"without {name} no case of the pool has a label that people stand behind",
            "a cohort is compared with others: add labelled cases of another source",
        )
    return tuple(sorted(learned, key=lambda case: case.case_id))


def sha256_of(cases: Sequence[TrainingCase]) -> str:
    """Hash of what is learned from, for the cards of the models."""
    said = [[c.case_id, c.image_sha256, sorted(c.masks.items()), sorted(c.knowledge.items())] for c in cases]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _as_predicted(case: Case, ledger: Ledger, schema: LabelSchema, labels: Path) -> TrainingCase | None:
    """A case whose predicted classes are taught as if people stood behind them; None where it has no label."""
    entries = tuple(ledger[case.case_id, n] for n in schema.names if (case.case_id, n) in ledger)
    drawn = [e for e in entries if knowledge_of(e) in (Knowledge.TRUSTED, Knowledge.PREDICTED)]
    if not drawn or not layout.label_map(labels, case.case_id).is_file():
        return None
    known = dict.fromkeys(schema.names, Knowledge.UNKNOWN) | {e.class_name: Knowledge.TRUSTED for e in drawn}
    one = TrainingCase.of(Member(case, entries), labels, schema)
    return replace(one, knowledge=known, masks={e.class_name: e.mask_sha256 for e in drawn})


def _as_reference(case: Case, schema: LabelSchema, references: Path | None) -> TrainingCase:
    """A case with a reference label of all classes."""
    label = layout.label_map(references or Path(), case.case_id)
    if references is None or not label.is_file():
        raise Misuse(
            f"case {case.case_id} has no reference label{f' {label}' if references else ''}",
            "give a folder with one label map for each case of the cohort, or leave --references out",
        )
    grid = read_grid(case.channels[0].image)
    array = read_label(label, grid)
    schema.check(array, str(label))
    return TrainingCase(
        case_id=case.case_id,
        image=Path(case.image),
        image_sha256=case.sha256,
        modality=case.modality,
        label=label,
        knowledge=dict.fromkeys(schema.names, Knowledge.TRUSTED),
        masks={name: mask_sha256(schema.mask(array, name), grid) for name in schema.names},
    )
