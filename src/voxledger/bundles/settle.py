"""One label of a case from those of its readers: what they agree on, class by class, laid over what was proposed.

The result is what one reviewer might have returned, and is merged by the same rules. Classes that are revised are laid
down from outer to inner, so that what lies in a lesion is also of its organ.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from voxledger.bundles.class_boxes import ClassBoxes
from voxledger.bundles.merge import LabelMap, Mask, Voxels
from voxledger.bundles.votes import Consensus, Votes, split, unlike_most
from voxledger.imaging.boxes import Box
from voxledger.records.decisions import DIFFICULTIES, Decision, Row
from voxledger.records.error_kind import ErrorKind
from voxledger.schema import LabelSchema


@dataclass(frozen=True, eq=False)
class Reader:
    """What one reader returned of a case."""

    name: str
    labels: LabelMap
    """Innermost ids (z, y, x)."""
    rows: Mapping[str, Row]
    """Lines with a decision, by class."""
    asked: frozenset[str]
    """Classes that the reader was asked about."""


@dataclass(frozen=True, eq=False)
class Settled:
    """What the readers of a case agree on."""

    labels: LabelMap
    """Innermost ids (z, y, x): what was proposed, with the classes that they revised together."""
    rows: Mapping[str, Row]
    """What they decided together, by class."""
    disputed: Mapping[str, str]
    """Why they did not, by class, for people."""
    agreed: LabelMap | None = None
    """The labels (z, y, x) before an adjudicator decided; None where nobody did."""
    adjudicated: frozenset[str] = frozenset()
    """Classes that the adjudicator decided on."""

    def kept(self) -> dict[str, LabelMap]:
        """Label maps (z, y, x) that hold what readers revised together and no adjudicator decided on, by class."""
        names = [n for n, row in self.rows.items() if row.decision is Decision.REVISE and n not in self.adjudicated]
        return dict.fromkeys(names, self.labels if self.agreed is None else self.agreed)

    def moved(self, schema: LabelSchema) -> dict[str, Voxels]:
        """Voxels (flat indices) that an adjudicator gave to or took from a class, by class."""
        if self.agreed is None:
            return {}
        revised = [n for n in self.adjudicated if self.rows[n].decision is Decision.REVISE]
        masks = {n: schema.mask(self.agreed, n) != schema.mask(self.labels, n) for n in sorted(revised)}
        return {n: np.flatnonzero(mask) for n, mask in masks.items()}


def settle(
    schema: LabelSchema,
    proposal: LabelMap,
    readers: Sequence[Reader],
    method: Consensus,
    agreement: float,
) -> Settled:
    """What several readers say of a case together.

    A class is settled by those who were asked about it, or, where nobody was, by all readers of the case. It has to be
    kept, or rejected, by more than half of them; where it is kept, `method` says whether their masks agree, and which
    one they make. With every method that one has to be like the masks of more than half of those who keep the class.
    It was accepted where it comes out as it was proposed and no more than half of them revised it, or else revised.

    Parameters
    ----------
    proposal
        Label map (z, y, x) that all of them were sent.
    agreement
        Bound on Dice, as the method takes it, and of the mask that comes out with those of the readers.
    """
    boxes = ClassBoxes(schema)
    labels, rows, disputed = proposal.astype(np.min_scalar_type(max(c.id for c in schema.classes))), {}, {}
    decided = {name for reader in readers for name in reader.rows}
    for name in sorted(decided, key=lambda n: (len(schema.chain(n)), schema[n].id)):
        box = boxes.box(name, proposal, *(r.labels for r in readers)) or (slice(0, 0),) * 3
        votes = _votes(schema, name, proposal, readers, box)
        said = [(r.name, r.rows[name]) for r in readers if name in r.rows]
        rejected = 2 * votes.rejected > votes.readers
        if why := split(votes) or ("" if rejected else method.dispute(votes, agreement)):
            disputed[name] = why
            continue
        mask = votes.proposed if rejected else method.draw(votes)
        if not rejected and (why := unlike_most(votes, mask, agreement)):
            disputed[name] = why
            continue
        accepted = np.array_equal(mask, votes.proposed) and 2 * sum(votes.drawn) <= votes.keeps
        decision = Decision.ACCEPT if accepted else Decision.REVISE
        rows[name] = _together(said, Decision.REJECT if rejected else decision)
        if decision is Decision.REVISE:
            around = next((n for n in schema.chain(name)[1:] if _is_revised(rows, n)), None)
            lay(schema, labels[box], name, mask, _painted(name, readers, box), around)
    return Settled(labels, rows, disputed)


def overrule(schema: LabelSchema, settled: Settled, reader: Reader) -> Settled:
    """The same with what an adjudicator decided: it counts alone, whatever readers said of these classes."""
    labels, rows = settled.labels.copy(), {**settled.rows, **reader.rows}
    for name in sorted(reader.rows, key=lambda n: (len(schema.chain(n)), schema[n].id)):
        if _is_revised(reader.rows, name):
            around = next((n for n in schema.chain(name)[1:] if _is_revised(rows, n)), None)
            lay(schema, labels, name, schema.mask(reader.labels, name), [reader.labels], around)
    disputed = {n: why for n, why in settled.disputed.items() if n not in reader.rows}
    return Settled(labels, rows, disputed, settled.labels, frozenset(reader.rows))


def lay(
    schema: LabelSchema, region: LabelMap, name: str, mask: Mask, painted: Sequence[LabelMap], around: str | None
) -> None:
    """Make the mask of a class in a label map what it has to be, in place; all arrays are (z, y, x) of one box.

    Parameters
    ----------
    painted
        What those who revised the class returned: a voxel that it gives up becomes what more than half of them painted
        there, or else background, for which the merge takes what was proposed.
    around
        The class around it that was revised, too: what is given up stays in it.
    """
    own = schema.ids_of(name)
    inside = schema.ids_of(around) if around is not None else None
    had = np.isin(region, own)
    gave = had & ~mask
    region[mask & ~had] = schema[name].id
    if not gave.any():
        return
    said = np.stack([labels[gave] for labels in painted])
    became = np.full(said.shape[1], schema[around].id if around is not None else 0, region.dtype)
    for value in np.unique(said):
        if value not in own and (inside is None or value in inside):
            became[2 * np.count_nonzero(said == value, axis=0) > len(said)] = value
    region[gave] = became


def _votes(schema: LabelSchema, name: str, proposal: LabelMap, readers: Sequence[Reader], box: Box) -> Votes:
    proposed = schema.mask(proposal[box], name)
    asked = [r for r in readers if name in r.asked] or readers
    said = [(r, r.rows[name].decision) for r in readers if name in r.rows]
    kept = [(r, d) for r, d in said if d is not Decision.REJECT]
    return Votes(
        readers=max(len(asked), len(said)),
        rejected=len(said) - len(kept),
        masks=tuple(schema.mask(r.labels[box], name) if d is Decision.REVISE else proposed for r, d in kept),
        drawn=tuple(d is Decision.REVISE for _, d in kept),
        proposed=proposed,
    )


def _painted(name: str, readers: Sequence[Reader], box: Box) -> list[LabelMap]:
    return [reader.labels[box] for reader in readers if _is_revised(reader.rows, name)]


def _is_revised(rows: Mapping[str, Row], name: str) -> bool:
    return name in rows and rows[name].decision is Decision.REVISE


def _together(said: Sequence[tuple[str, Row]], decision: Decision) -> Row:
    """One line of several: their minutes add up, the kind of error is what most name, the hardest counts."""
    first = said[0][1]
    minutes = [row.minutes for _, row in said if row.minutes is not None]
    kinds = Counter(row.error_type for _, row in said if row.error_type is not ErrorKind.NONE)
    most = sorted(kinds, key=lambda kind: (-kinds[kind], list(ErrorKind).index(kind)))
    return Row(
        first.case_id,
        first.class_name,
        decision,
        sum(minutes) if minutes else None,
        most[0] if most and decision is not Decision.ACCEPT else ErrorKind.NONE,
        "; ".join(f"{name}: {row.comment}" for name, row in said if row.comment),
        difficulty=max((row.difficulty for _, row in said), key=("", *DIFFICULTIES).index),
    )


def read_by_several(asked: Collection[Collection[tuple[str, str]]]) -> frozenset[str]:
    """Cases of which some class is asked of more than one reader.

    Parameters
    ----------
    asked
        Cases and classes that each bundle asks about; those of adjudicators left out.
    """
    counts = Counter(key for of_one in asked for key in set(of_one))
    return frozenset(case_id for (case_id, _), count in counts.items() if count > 1)
