"""Merging one case: what the base holds, what models predict and what reviewers returned, class by class."""

from __future__ import annotations

import shutil
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np

from voxledger import layout
from voxledger.bundles.case_return import CaseReturn, Panel, read_all
from voxledger.bundles.class_boxes import ClassBoxes
from voxledger.bundles.contradictions import Opinion, disputes
from voxledger.bundles.merge import Claim, LabelMap, Overruled, Voxels, merge, repaint, require_trust
from voxledger.bundles.shown import Sources, read_sources
from voxledger.casemap.job import Job, content, place
from voxledger.errors import BundleRefused, VoxledgerError
from voxledger.imaging.volume import read_label, write
from voxledger.import_.readings import readings_of
from voxledger.knowledge import Knowledge, knowledge_of
from voxledger.records.decisions import Decided, Decision, Row
from voxledger.records.ledger import Entry, Neighbour, Origin, WeakMark
from voxledger.records.readings import Reading, joint_bundle, joint_reviewer, joint_signatures
from voxledger.registry import CONSENSUS
from voxledger.schema import LabelSchema

_ORIGINS = {
    Decision.ACCEPT: Origin.ACCEPTED,
    Decision.REVISE: Origin.REVISED,
    Decision.REJECT: Origin.REJECTED,
}


@dataclass(frozen=True)
class Taken:
    """Voxels that a trusted mask gave to classes of higher precedence."""

    case_id: str
    class_name: str
    origin: Origin
    voxels: int
    by: tuple[str, ...]
    """Names of the classes."""


@dataclass(frozen=True)
class Merged:
    """What became of a case."""

    entries: tuple[Entry, ...]
    """Its rows of the new ledger."""
    decisions: tuple[Decided, ...]
    """One a class, of several readers what they decided together."""
    readings: tuple[Reading, ...]
    """All that was said of it in this round."""
    taken: tuple[Taken, ...]


class MergeCase(Job[Merged]):
    """Merges one case and writes its label map, if any class of it is known."""

    stage, algorithms = "import", ("import",)
    version: int = place()
    """Number of the round."""
    changed_in: int | None = content()
    """The same; None where nothing is new about the case."""
    image: Path = place()
    image_sha256: str = content()
    base: Path | None = content()
    """Label map of the base version; None where it has none."""
    pseudo: Path | None = content()
    """What the models propose; None where they predict nothing."""
    predicted: Mapping[str, tuple[str, ...]] = content()
    """Ids of the models that predict each class."""
    weak: Mapping[str, tuple[WeakMark, ...]] = content()
    """Weak labels that classes were predicted from."""
    entries: tuple[Entry, ...] = content()
    """Rows of the base ledger about the case."""
    returns: tuple[CaseReturn, ...] = content()
    panel: Panel | None = content()
    """How what several people read is settled; None where nobody reads what another one does."""
    label_schema: LabelSchema = content()

    def compute(self, folder: Path) -> Merged:
        """Merge, prove that nothing trusted is lost, and write `<case>.nii.gz`.

        Raises
        ------
        BundleRefused
            Reviewers contradict one another.
        VoxledgerError
            Base or proposal are not what they were at the export, or a trusted mask would be lost.
        """
        schema = self.label_schema
        known = {e.class_name: e for e in self.entries}
        sources = read_sources(
            schema, self.image, self.base, self.pseudo, known, frozenset(self.predicted), self.version
        )
        proposal = sources.proposal(schema)
        review, boxes = _Review.of(self, sources, proposal), ClassBoxes(schema)
        merged = merge(schema, list(review.claims.values()), proposal.shape)
        trusted = _trusted(known, sources.base, proposal, review)
        overruled = require_trust(schema, list(review.claims.values()), trusted, merged, review.moved, self.name)
        entries = tuple(
            self._entry(claim, merged, boxes, sources, known, review, overruled) for claim in review.claims.values()
        )
        if entries:
            # Also where every mask is empty: that a case holds nothing is what its rows say.
            target = folder / f"{self.name}.nii.gz"
            if self.base is not None and np.array_equal(merged, sources.base):
                shutil.copyfile(self.base, target)
            else:
                write(target, merged, sources.grid)
        return Merged(
            entries,
            tuple(_decided(schema, boxes, r, row, merged, proposal) for row, r in review.decided.values()),
            tuple(review.readings),
            tuple(Taken(self.name, name, review.claims[name].origin, o.voxels, o.by) for name, o in overruled.items()),
        )

    def _entry(
        self,
        claim: Claim,
        merged: LabelMap,
        boxes: ClassBoxes,
        sources: Sources,
        known: Mapping[str, Entry],
        review: _Review,
        overruled: Mapping[str, Overruled],
    ) -> Entry:
        """The row of a class in the new ledger; the old one where nothing about it changed."""
        old, decided = known.get(claim.name), review.decided.get(claim.name)
        box = boxes.box(claim.name, merged)
        voxels = int(self.label_schema.mask(merged[box], claim.name).sum()) if box is not None else 0
        digest = boxes.mask_sha256(claim.name, merged, sources.grid)
        model_ids, weak = tuple(self.predicted.get(claim.name, ())), tuple(self.weak.get(claim.name, ()))
        if old is not None and (knowledge_of(old) is Knowledge.TRUSTED or not model_ids):
            # What people already stood behind was not proposed by the models of this round.
            model_ids, weak = old.model_ids, old.weak
        by = overruled[claim.name].by if claim.name in overruled else ()
        neighbours = tuple(review.behind(name, known) for name in by)
        by_whom: CaseReturn | Entry | None = decided[1] if decided is not None else None
        if decided is None and old is not None and claim.origin is old.origin:
            by_whom = old
            if (digest, model_ids, weak) == (old.mask_sha256, old.model_ids, old.weak):
                return old
            neighbours = (*old.changed_by, *(n for n in neighbours if n not in old.changed_by))
        return Entry(
            self.name,
            claim.name,
            self.version,
            claim.origin,
            model_ids,
            by_whom.reviewer if by_whom is not None else "",
            by_whom.bundle if by_whom is not None else "",
            digest,
            old.mask_sha256 if old is not None else "",
            round(voxels * sources.grid.voxel_ml, 4),
            neighbours,
            by_whom is not None and by_whom.resampled,
            by_whom.signatures if by_whom is not None else (),
            weak,
        )


@dataclass(frozen=True)
class _Review:
    """What reviewers made of the claims of a case."""

    claims: dict[str, Claim]
    """By class, in the order of the schema."""
    decided: dict[str, tuple[Row, CaseReturn]]
    """The decision on a class, and the return that it is in."""
    moved: dict[str, Voxels]
    """Voxels that a revised class gave to others."""
    settled: dict[str, LabelMap]
    """Label maps (z, y, x) that hold what readers revised together, before an adjudicator, by class."""
    readings: list[Reading]

    @classmethod
    def of(cls, job: MergeCase, sources: Sources, proposal: LabelMap) -> _Review:
        """Lay what was returned over the claims of base and models."""
        if not job.returns:
            return cls(sources.claims, {}, {}, {}, [])
        for one in job.returns:
            if not np.array_equal(read_label(one.shown, sources.grid), proposal):
                raise VoxledgerError(
                    f"{one.shown} is not what is proposed now: labels or predictions changed after the export",
                    f"bring {layout.BASE} and {layout.ROUND} back to what they were at the export with `dvc checkout`",
                )
        labels = read_all(job.returns, sources.grid)
        said = _separately(job, proposal, labels) if job.panel is None else [_together(job, proposal, labels)]
        schema, moved, seen = job.label_schema, dict[str, Voxels](), proposal
        for part in said:
            revised = [name for name, (row, _) in part.rows.items() if row.decision is Decision.REVISE]
            seen, given = repaint(schema, seen, proposal, part.labels, revised)
            moved |= given
            for name, voxels in part.adjudicated.items():
                moved[name] = np.union1d(moved[name], voxels)
        claims = {name: Claim(name, c.origin, c.version, seen) for name, c in sources.claims.items()}
        decided: dict[str, tuple[Row, CaseReturn]] = {}
        for part in said:
            for name, (row, who) in part.rows.items():
                if name in decided:
                    raise BundleRefused(
                        f"case {job.name}, class {name} was decided on twice", "run `dvc repro -f gate`"
                    )
                assert row.decision is not None
                mask = {Decision.ACCEPT: seen, Decision.REVISE: part.labels, Decision.REJECT: None}[row.decision]
                claims[name] = Claim(name, _ORIGINS[row.decision], job.version, mask)
                decided[name] = row, who
        disputed = {name for one in said for name in one.disputed}
        method = job.panel.consensus if job.panel is not None else ""
        said_by = readings_of(schema, job.version, sources.grid, proposal, job.returns, labels, disputed, method)
        settled = {name: labels for part in said for name, labels in part.settled.items()}
        return cls({name: claims[name] for name in schema.names if name in claims}, decided, moved, settled, said_by)

    def behind(self, name: str, known: Mapping[str, Entry]) -> Neighbour:
        """Who stands behind a class: this round's decision, or the one in the base ledger."""
        if name in self.decided:
            one = self.decided[name][1]
            return Neighbour(name, one.reviewer, one.bundle)
        entry = known.get(name)
        return Neighbour(name, entry.reviewer, entry.bundle) if entry else Neighbour(name, "", "")


@dataclass(frozen=True, eq=False)
class _Said:
    """One label map, and what is decided by it."""

    labels: LabelMap
    """Innermost ids (z, y, x)."""
    rows: dict[str, tuple[Row, CaseReturn]]
    """By class, with who decided."""
    disputed: tuple[str, ...] = ()
    """Classes on which the readers do not agree."""
    settled: Mapping[str, LabelMap] = field(default_factory=dict)
    """Label maps (z, y, x) that hold what readers revised together, by class."""
    adjudicated: Mapping[str, Voxels] = field(default_factory=dict)
    """Voxels (flat indices) that an adjudicator gave to or took from a class, by class."""


def _separately(job: MergeCase, proposal: LabelMap, labels: Sequence[LabelMap]) -> list[_Said]:
    """Every return by itself: no two decide on one class, or give a voxel to different ones; the gate saw to that."""
    opinions = [
        Opinion(one.reviewer, own, {row.class_name: row.decision for row in one.rows if row.decision is not None})
        for one, own in zip(job.returns, labels, strict=True)
    ]
    for dispute in disputes(job.label_schema, proposal, opinions):
        raise BundleRefused(f"case {job.name}: {dispute}", "run `dvc repro -f gate`")
    return [
        _Said(own, {row.class_name: (row, one) for row in one.rows})
        for one, own in zip(job.returns, labels, strict=True)
    ]


def _together(job: MergeCase, proposal: LabelMap, labels: Sequence[LabelMap]) -> _Said:
    """What the readers of a case agree on, and what an adjudicator settled; what is disputed is left out."""
    assert job.panel is not None
    settled = job.panel.settle(job.label_schema, proposal, job.returns, labels)
    if settled.disputed and CONSENSUS.get(job.panel.consensus).adjudicated:
        told = "; ".join(f"{name}: {why}" for name, why in settled.disputed.items())
        raise BundleRefused(f"case {job.name} waits for the adjudicator: {told}", "run `dvc repro gate`")
    rows = {name: (row, _who(job.returns, name)) for name, row in settled.rows.items()}
    return _Said(settled.labels, rows, tuple(settled.disputed), settled.kept(), settled.moved(job.label_schema))


def _who(returns: Sequence[CaseReturn], name: str) -> CaseReturn:
    """Who decided on a class: the adjudicator, or all readers who said something of it, as one."""
    said = [one for one in returns if any(row.class_name == name for row in one.rows)]
    for one in said:
        if one.adjudicates or len(said) == 1:
            return one
    return replace(
        said[0],
        reviewer=joint_reviewer(one.reviewer for one in said),
        bundle=joint_bundle(one.bundle for one in said),
        resampled=any(one.resampled for one in said),
        signatures=joint_signatures(one.signatures for one in said),
    )


def _trusted(known: Mapping[str, Entry], base: LabelMap, proposal: LabelMap, review: _Review) -> dict[str, LabelMap]:
    """Label maps that hold the masks that people stand behind, by class: all that must not be lost."""
    found = {
        name: base
        for name, entry in known.items()
        if knowledge_of(entry) is Knowledge.TRUSTED
        and (name not in review.decided or review.decided[name][0].decision is Decision.ACCEPT)
    }
    for name, (row, _) in review.decided.items():
        returned = review.claims[name].labels
        if row.decision is Decision.REVISE and returned is not None:
            found[name] = review.settled.get(name, returned)
        elif row.decision is Decision.ACCEPT:
            found.setdefault(name, proposal)
    return found


def _decided(
    schema: LabelSchema, boxes: ClassBoxes, one: CaseReturn, row: Row, merged: LabelMap, proposal: LabelMap
) -> Decided:
    assert row.decision is not None
    name = row.class_name
    box = boxes.box(name, merged, proposal)
    changed = 0 if box is None else int((schema.mask(merged[box], name) != schema.mask(proposal[box], name)).sum())
    return Decided(
        row.case_id,
        name,
        row.decision,
        one.reviewer,
        row.minutes,
        row.error_type,
        row.comment,
        one.bundle,
        changed,
        row.difficulty,
    )
