"""What every reader of a case said, for the table of readings, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from voxledger.bundles.case_return import CaseReturn
from voxledger.bundles.class_boxes import ClassBoxes
from voxledger.bundles.merge import LabelMap
from voxledger.imaging.volume import Grid
from voxledger.records.decisions import Decision, Row
from voxledger.records.readings import Outcome, Reading
from voxledger.schema import LabelSchema


def readings_of(
    schema: LabelSchema,
    version: int,
    grid: Grid,
    proposal: LabelMap,
    returns: Sequence[CaseReturn],
    labels: Sequence[LabelMap],
    disputed: Collection[str],
    consensus: str,
) -> list[Reading]:
    """The readings of one case, return by return, in the order of the classes.

    Parameters
    ----------
    version
        The round.
    proposal
        Label map (z, y, x) that all of them were sent.
    returns, labels
        What came back, and the label map (z, y, x) of each.
    disputed
        Classes that the readers did not agree on, and nobody settled.
    consensus
        By which method they were to agree; empty where nobody read what another one did.
    """
    settled_by = {row.class_name: one for one in returns if one.adjudicates for row in one.rows}
    said = [row.class_name for one in returns for row in one.rows]
    order, boxes = {name: i for i, name in enumerate(schema.names)}, ClassBoxes(schema)
    found = []
    for one, own in zip(returns, labels, strict=True):
        for row in sorted(one.rows, key=lambda r: order[r.class_name]):
            assert row.decision is not None
            name = row.class_name
            if name in disputed:
                outcome = Outcome.PENDING
            elif name in settled_by:
                outcome = Outcome.COUNTED if settled_by[name] is one else Outcome.OVERRULED
            else:
                outcome = Outcome.MERGED if said.count(name) > 1 else Outcome.COUNTED
            found.append(
                Reading(
                    version,
                    row.case_id,
                    name,
                    one.reviewer,
                    row.decision,
                    row.minutes,
                    row.error_type.value,
                    row.comment,
                    _mask_sha256(boxes, grid, row, one, proposal, own),
                    one.bundle,
                    consensus if name in disputed or said.count(name) > 1 else "",
                    outcome,
                    row.difficulty,
                )
            )
    return found


def _mask_sha256(boxes: ClassBoxes, grid: Grid, row: Row, one: CaseReturn, proposal: LabelMap, own: LabelMap) -> str:
    """Hash of the mask that a reader stands behind; empty where the class was rejected."""
    name = row.class_name
    if row.decision is Decision.REJECT:
        return ""
    if row.decision is Decision.ACCEPT:
        return one.masks.get(name) or boxes.mask_sha256(name, proposal, grid)
    return boxes.mask_sha256(name, own, grid)
