"""What every reader of a case said, for the table of readings, and what became of it."""

from __future__ import annotations

from collections.abc import Collection, Sequence

from voxledger.bundles.case_return import CaseReturn
from voxledger.bundles.merge import LabelMap
from voxledger.imaging.boxes import Box, label_boxes, union
from voxledger.imaging.volume import Grid, mask_sha256
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
    order = {name: i for i, name in enumerate(schema.names)}
    found = []
    for one, own in zip(returns, labels, strict=True):
        masks = _Masks(schema, grid, proposal, one, own)
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
                    masks.sha256(row),
                    one.bundle,
                    consensus if name in disputed or said.count(name) > 1 else "",
                    outcome,
                )
            )
    return found


class _Masks:
    """Hashes of the masks that one reader stands behind; what is known is not computed."""

    def __init__(self, schema: LabelSchema, grid: Grid, proposal: LabelMap, one: CaseReturn, own: LabelMap) -> None:
        self.schema, self.grid, self.proposal, self.one, self.own = schema, grid, proposal, one, own
        self.boxes: dict[int, Box] | None = None

    def sha256(self, row: Row) -> str:
        if row.decision is Decision.REJECT:
            return ""
        name = row.class_name
        if row.decision is Decision.ACCEPT:
            return self.one.masks.get(name) or mask_sha256(self.schema.mask(self.proposal, name), self.grid)
        if self.boxes is None:
            self.boxes = label_boxes(self.own)
        box = union(self.boxes.get(i) for i in self.schema.ids_of(name)) or (slice(0, 0),) * 3
        return mask_sha256(self.schema.mask(self.own[box], name), self.grid, box)
