"""What several returns say of the same case: only one may decide on a class, and none may claim what another has.

Cases that several people read are left out: they may differ, and `voxledger.bundles.settle` says what follows.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

from voxledger.bundles.contradictions import Opinion, disputes
from voxledger.bundles.finding import Finding
from voxledger.bundles.returned import Return
from voxledger.imaging.volume import read_label
from voxledger.records.decisions import FILE as DECISIONS


def decided_twice(returns: Iterable[Return], several: Collection[str] = ()) -> list[Finding]:
    """Classes of cases on which two bundles decide; only one may, except in cases that several people read."""
    by: dict[tuple[str, str], str] = {}
    found = []
    for one in returns:
        for key, row in sorted(one.rows.items()):
            if row.decision is None or key[0] in several:
                continue
            first = by.setdefault(key, one.folder.name)
            if first != one.folder.name:
                problem = f"{first} decides on it too"
                remedy = "agree on one decision and leave the other line out"
                found.append(Finding(one.folder.name, problem, remedy, *key, DECISIONS))
    return found


def claimed_twice(returns: Iterable[Return], several: Collection[str] = ()) -> list[Finding]:
    """Voxels that two bundles give to different classes; nobody but the reviewers can say who is right.

    A label that cannot be read is passed over: it is a finding already. So are cases that several people read.
    """
    found = []
    ordered = sorted(returns, key=lambda r: r.manifest.name)
    for case in sorted({c for one in ordered for c in one.manifest.cases}.difference(several)):
        deciding = [one for one in ordered if one.decisions(case)]
        if len(deciding) < 2:
            continue
        first = deciding[0]
        opinions = {one.folder.name: o for one in deciding if (o := opinion(one, case)) is not None}
        names = {o.reviewer: name for name, o in opinions.items()}
        shown = read_label(first.shown(case))
        for dispute in disputes(first.manifest.label_schema, shown, list(opinions.values())):
            one, other = (names[reviewer] for reviewer in dispute.reviewers)
            remedy = (
                f"{' and '.join(dispute.reviewers)} have to agree; whoever gives way corrects the label and sends "
                "a new return: `voxledger review receive FILE.zip`"
            )
            found.append(Finding(other, f"{dispute}, see {one}", remedy, case))
    return found


def opinion(one: Return, case_id: str) -> Opinion | None:
    """What a return says of a case; None where its label cannot be read."""
    labels = one.labels(case_id)
    if labels is None:
        return None
    decided = {name: row.decision for name, row in one.decisions(case_id).items() if row.decision is not None}
    return Opinion(one.reviewer, labels, decided)
