"""What one reviewer returned of one case: a part of a return that jobs take."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from voxledger.bundles.merge import LabelMap
from voxledger.bundles.returned import Return
from voxledger.bundles.settle import Reader, Settled, overrule, read_by_several, settle
from voxledger.errors import BundleRefused
from voxledger.imaging.volume import Grid, read_label
from voxledger.params import ReviewParams
from voxledger.records.bundle import is_adjudication
from voxledger.records.decisions import Row
from voxledger.records.ledger import Signature
from voxledger.registry import CONSENSUS
from voxledger.schema import LabelSchema


@dataclass(frozen=True)
class CaseReturn:
    """What one reviewer returned of a case, as the gate let it through."""

    reviewer: str
    bundle: str
    """SHA-256 of the returned bundle."""
    labels: Path
    """The label map as it was checked, on the grid of the image."""
    shown: Path
    """The proposal that the reviewer was sent."""
    rows: tuple[Row, ...]
    """Lines with a decision."""
    resampled: bool
    """Whether its label lay on other voxels than the image."""
    asked: tuple[str, ...]
    """Classes that the reviewer was asked about."""
    adjudicates: bool
    """Whether it settles what others did not agree on."""
    signatures: tuple[Signature, ...] = ()
    """Of the whole return."""
    masks: Mapping[str, str] = field(default_factory=dict)
    """`mask_sha256` of the proposal by class, as its manifest says; none in bundles of format 1."""

    @classmethod
    def of(cls, one: Return, case_id: str) -> CaseReturn:
        """That of a case in a whole return.

        Raises
        ------
        BundleRefused
            Its label cannot be read.
        """
        labels = one.label_file(case_id)
        if labels is None:
            raise BundleRefused(
                f"{one.folder} has no label of case {case_id} that can be read", "run `dvc repro -f gate`"
            )
        rows = tuple(one.decisions(case_id).values())
        asked = tuple(a.class_name for a in one.manifest.asked if a.case_id == case_id)
        return cls(
            reviewer=one.reviewer,
            bundle=one.sha256,
            labels=labels,
            shown=one.shown(case_id),
            rows=rows,
            resampled=case_id in one.resampled,
            asked=asked,
            adjudicates=is_adjudication(one.exported),
            signatures=one.signatures,
            masks=one.manifest.masks.get(case_id, {}),
        )

    def reader(self, labels: LabelMap) -> Reader:
        """The same for a consensus; `labels` is its label map (z, y, x)."""
        return Reader(self.reviewer, labels, {row.class_name: row for row in self.rows}, frozenset(self.asked))


@dataclass(frozen=True)
class Panel:
    """How a case that several people read is settled."""

    consensus: str
    """Name of the method."""
    agreement: float
    origin: str = field(default="")
    """Package and version that the method is from, if it is not ours."""

    @classmethod
    def of(cls, review: ReviewParams) -> Panel:
        return cls(review.consensus, review.agreement, CONSENSUS.origin(review.consensus))

    def settle(
        self, schema: LabelSchema, proposal: LabelMap, returns: Sequence[CaseReturn], labels: Sequence[LabelMap]
    ) -> Settled:
        """What readers agree on, and what the adjudicator made of the rest; `labels` are theirs, in the same order."""
        pairs = list(zip(returns, labels, strict=True))
        readers = [one.reader(own) for one, own in pairs if not one.adjudicates]
        found = settle(schema, proposal, readers, CONSENSUS.get(self.consensus), self.agreement)
        for one, own in pairs:
            if one.adjudicates:
                found = overrule(schema, found, one.reader(own))
        return found


def read_by_readers(returns: Iterable[Return]) -> frozenset[str]:
    """Cases that several people read, of all returns of a round."""
    return read_by_several([_asked(one) for one in returns if not is_adjudication(one.exported)])


def _asked(one: Return) -> Collection[tuple[str, str]]:
    return [(a.case_id, a.class_name) for a in one.manifest.asked]


def read_all(returns: Sequence[CaseReturn], grid: Grid) -> list[LabelMap]:
    """Their label maps (z, y, x), in the same order."""
    return [read_label(one.labels, grid) for one in returns]
