"""Was the attention right? After import, attention against what reviewers really changed.

An error is a region that a reviewer changed (see `voxledger.bundles.taxonomy`); it is found if attention of its
class touches it. A region of attention is a connected component (26 neighbours); it is right if it touches an
error. Sensitivity = errors found / errors, precision = regions right / regions, as in AbdomenAtlas-8K, which
reports 0.78 and 0.83; both also voxel by voxel. Only classes that a reviewer accepted or revised count: what a
rejected mask should have been is not known.

There are two readings. Strictly, any voxel that was changed is an error. The published figures are of errors that
people see: there a change is one as far as it is visible (`voxledger.imaging.visible_change`).
"""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger import layout
from voxledger.audit import ACCEPTABLE_MISSED, Audit, pooled
from voxledger.bundles.judged import Counts, judge
from voxledger.bundles.reviewed import Reviewed, decided_by_case, reviewed
from voxledger.bundles.taxonomy import Region, regions
from voxledger.casemap.job import Job, content
from voxledger.casemap.run import casemap
from voxledger.evaluate.hindsight_section import hindsight_section
from voxledger.imaging.attention_file import PUBLISHED, Criterion
from voxledger.imaging.boxes import Box
from voxledger.imaging.soft import SoftPrediction
from voxledger.imaging.visible_change import visible_change
from voxledger.imaging.volume import read_label
from voxledger.params import EvaluateParams, MachineParams
from voxledger.records.cases import Case, Split, in_split
from voxledger.records.errors import Error, ErrorRow, read_errors, write_errors
from voxledger.records.readings import Outcome, read_readings
from voxledger.records.worklist import AUDIT, read_worklist
from voxledger.schema import LabelSchema
from voxledger.statistics import clopper_pearson
from voxledger.textfile import replace_text


def culprits(predictions: Mapping[str, SoftPrediction], name: str, region: Region, box: Box) -> list[str]:
    """Models that made the error: on most of its voxels they say what the reviewer took back."""
    added_here = 2 * region.added > region.voxels
    made = []
    for model, prediction in predictions.items():
        if prediction.looked_for(name):
            claimed = (prediction.read(name, box) > 0.5)[region.mask]
            wrong = np.count_nonzero(~claimed if added_here else claimed)
            if 2 * wrong > region.voxels:
                made.append(model)
    return made


def criterion_of(bits: npt.NDArray[np.uint8]) -> str:
    """The criterion that holds in most voxels of a region, the first of those that tie; empty where none does."""
    covered = {str(c.name).lower(): int(np.count_nonzero(bits & np.uint8(c))) for c in Criterion}
    return max(covered, key=lambda name: covered[name]) if any(covered.values()) else ""


def hindsight(
    cases: Sequence[Case],
    schema: LabelSchema,
    round_number: int,
    machine: MachineParams,
    *,
    tolerance_mm: float = EvaluateParams().error_tolerance_mm,
    earlier: Sequence[Audit] = (),
) -> dict[str, Any]:
    """Write `layout.HINDSIGHT` (metrics), `layout.ERRORS` (after those of the rounds before) and the section.

    Reads decisions, worklist, bundles, attention and predictions of the round, and the labels of the release.
    What reviewers were shown is the label in their bundle. Returns the metrics.

    Parameters
    ----------
    tolerance_mm
        How far a change has to reach to be visible.
    earlier
        Audits of the rounds before, oldest first.
    """
    jobs = [
        JudgeAttention(name=case.case_id, case=case, schema=schema, attention=attention, tolerance_mm=tolerance_mm)
        for case in reviewed(cases)
        if (attention := layout.attention(case.case_id)).is_file()
    ]
    found = casemap(jobs, layout.REPORTS, machine)
    errors = [ErrorRow(**vars(error), round=round_number) for judged in found for error in judged.errors]
    history = [*read_errors(layout.BASE_ERRORS), *errors]
    metrics = {
        "round": round_number,
        "attention": _attention_metrics([judged.counts for judged in found], schema),
        "visible": {
            "tolerance_mm": tolerance_mm,
            **_attention_metrics([judged.visible for judged in found], schema),
        },
        "errors": dict(sorted(Counter(e.kind for e in errors).items())),
        "errors_by_class": _tally(errors, lambda e: [e.class_name]),
        "errors_by_source": _tally(errors, lambda e: [e.source]),
        "errors_by_model": _tally(errors, lambda e: e.models),
        "errors_by_round": _tally(history, lambda e: [str(e.round)]),
        "audit": _audit_metrics([*earlier, _audit(cases, schema, round_number)]),
    }
    replace_text(layout.HINDSIGHT, json.dumps(metrics, indent=2) + "\n")
    write_errors(layout.ERRORS, history)
    replace_text(layout.HINDSIGHT_SECTION, hindsight_section(metrics))
    return metrics


@dataclass(frozen=True)
class Judged:
    """What became of the attention of one case."""

    counts: dict[str, dict[str, Counts]]
    """By class and criterion; `any` is all criteria together."""
    visible: dict[str, dict[str, Counts]]
    """The same of what is visible of the errors."""
    errors: list[Error]


class JudgeAttention(Job[Judged]):
    """Compare the attention of a case with what its reviewer changed."""

    stage, algorithms = "hindsight", ("hindsight",)
    case: Reviewed = content()
    schema: LabelSchema = content()
    attention: Path = content()
    tolerance_mm: float = content()

    def compute(self, folder: Path) -> Judged:
        return _judge_case(self.case, self.schema, self.attention, self.tolerance_mm)


def _judge_case(case: Reviewed, schema: LabelSchema, attention_file: Path, tolerance_mm: float) -> Judged:
    from voxledger.imaging.attention_file import open_attention
    from voxledger.imaging.soft import open_soft

    attention = open_attention(attention_file)
    before, after = (read_label(path, attention.grid) for path in (case.before, case.after))
    predictions = {name: open_soft(path) for name, path in case.predictions.items()}
    counts: dict[str, dict[str, Counts]] = {}
    visible: dict[str, dict[str, Counts]] = {}
    errors = []
    for name, decision in case.decisions.items():
        # an accepted mask was right, also where a class of higher precedence took voxels from it later
        truth = after if decision == "revise" else before
        was, became = schema.mask(before, name), schema.mask(truth, name)
        bits = attention.read(name)
        counts[name] = _by_criterion(bits, was != became)
        visible[name] = _by_criterion(bits, visible_change(was, became, attention.grid.spacing, tolerance_mm))
        for error in regions(schema, name, before, truth):
            errors.append(
                Error(
                    case_id=case.case_id,
                    class_name=name,
                    source=case.source,
                    kind=error.kind.value,
                    criterion=criterion_of(bits[error.box][error.mask]),
                    voxels=error.voxels,
                    ml=error.voxels * attention.grid.voxel_ml,
                    added_voxels=error.added,
                    found=bool((bits[error.box] != 0)[error.mask].any()),
                    models=tuple(culprits(predictions, name, error, error.box)),
                )
            )
    return Judged(counts, visible, errors)


def _by_criterion(bits: npt.NDArray[np.uint8], changed: npt.NDArray[np.bool_]) -> dict[str, Counts]:
    """What was found of a change, by criterion of the attention, and by all together."""
    each = {str(c.name).lower(): judge(bits & np.uint8(c), changed) for c in PUBLISHED}
    return {"any": judge(bits, changed), **each}


def _attention_metrics(judged: Sequence[Mapping[str, Mapping[str, Counts]]], schema: LabelSchema) -> dict[str, Any]:
    keys = ["any", *(str(c.name).lower() for c in PUBLISHED)]
    total: dict[tuple[str, str], Counts] = {}
    for one in judged:
        for name, by_key in one.items():
            for key, counts in by_key.items():
                for group in (name, ""):
                    total[group, key] = total.get((group, key), Counts()) + counts
    found = {key: total.get(("", key), Counts()).metrics() for key in keys}
    classes = {n: {key: total[n, key].metrics() for key in keys} for n in schema.names if (n, "any") in total}
    return {"cases": len(judged), **found, "classes": classes}


def _tally(errors: Sequence[ErrorRow], groups: Any) -> dict[str, dict[str, int]]:
    found: dict[str, Counter[str]] = {}
    for error in errors:
        for group in groups(error):
            found.setdefault(group, Counter())[error.kind] += 1
    return {group: dict(sorted(kinds.items())) for group, kinds in sorted(found.items())}


def _audit(cases: Sequence[Case], schema: LabelSchema, round_number: int) -> Audit:
    """In how many of the audited cases the models' labels were wrong although nobody was going to look."""
    decided = decided_by_case(layout.DECISIONS)
    drawn = {r.case_id for r in read_worklist(layout.WORKLIST) if r.reason == AUDIT}
    said = read_readings(layout.RELEASE_READINGS)
    # what readers do not agree on cannot be said to be right
    pending = {r.case_id for r in said if r.version == round_number and r.outcome is Outcome.PENDING}
    # a case without attention was labelled from nothing: no label of a model was audited
    audited = [c for c in drawn & (decided.keys() | pending) if layout.attention(c).is_file()]
    wrong = sum(c in pending or any(d in ("revise", "reject") for d in decided[c].values()) for c in audited)
    asked = {
        "pool": sorted((c.case_id, c.sha256) for c in in_split(cases, Split.POOL)),
        "classes": sorted((c.name, c.inside) for c in schema.classes),
    }
    return Audit(round_number, len(audited), wrong, hashlib.sha256(json.dumps(asked).encode()).hexdigest()[:16])


def _audit_metrics(audits: Sequence[Audit]) -> dict[str, Any]:
    last, together = audits[-1], pooled(audits)
    cases, wrong = sum(a.cases for a in together), sum(a.with_errors for a in together)
    return {
        **_share_with_errors(last.cases, last.with_errors),
        "population": last.population,
        "pooled": {
            "rounds": len(together),
            "since_round": min((a.round for a in together), default=last.round),
            **_share_with_errors(cases, wrong),
        },
        "allows_to_stop": clopper_pearson(wrong, cases).high <= ACCEPTABLE_MISSED,
    }


def audit_of(metrics: Mapping[str, Any]) -> Audit:
    """The audit of the round that metrics speak of."""
    found = metrics["audit"]
    return Audit(metrics["round"], found["cases"], found["with_errors"], found["population"])


def _share_with_errors(cases: int, wrong: int) -> dict[str, Any]:
    share = clopper_pearson(wrong, cases)
    return {
        "cases": cases,
        "with_errors": wrong,
        "share": _rounded(share.estimate) if cases else None,
        "low": _rounded(share.low),
        "high": _rounded(share.high),
    }


def _rounded(value: float) -> float:
    return round(value, 6)
