"""A curator confirms what looks wrong in a return, on record in git."""

from __future__ import annotations

from collections.abc import Sequence

from voxledger import layout
from voxledger.bundles.context import read_context
from voxledger.bundles.finding import Finding
from voxledger.bundles.inbox import look_into
from voxledger.bundles.returned import Return
from voxledger.errors import Misuse
from voxledger.params import read_params
from voxledger.records.confirmed import Confirmed, read_confirmed, write_confirmed
from voxledger.release.times import now
from voxledger.repository import git


def confirm(reviewer: str, case_id: str, kind: str, class_name: str, reason: str) -> Confirmed:
    """Confirm one warning of a reviewer's return, and commit that.

    Raises
    ------
    Misuse
        There is no such warning, or no reason is given; names those that there are.
    """
    if not reason.strip():
        raise Misuse("a confirmation needs a reason", "say with --reason what you looked at")
    params = read_params()
    found = look_into(layout.BUNDLES, layout.INBOX, layout.BASE_REVISIONS, params.round, read_context(params.review))
    one = next((r for r in found.returned.values() if r.reviewer == reviewer), None)
    if one is None:
        names = ", ".join(sorted(r.reviewer for r in found.returned.values())) or "nobody has sent anything back"
        raise Misuse(f"there is no return of {reviewer} in this round", f"name one of {names}")
    waiting = [f for f in one.missing if f.kind]
    _require(waiting, one, case_id, kind, class_name)
    curator = git("var", "GIT_AUTHOR_IDENT").partition(" <")[0]
    row = Confirmed(one.sha256, case_id, class_name, kind, curator, now(), reason.strip())
    write_confirmed(layout.CONFIRMED, [*read_confirmed(layout.CONFIRMED), row])
    git("add", "--", str(layout.CONFIRMED))
    what = f"{kind} of {class_name or 'the label map'} in case {case_id}"
    git("commit", "--quiet", "--message", f"Confirmed: {what}, returned by {reviewer}", "--", str(layout.CONFIRMED))
    return row


def _require(waiting: Sequence[Finding], one: Return, case_id: str, kind: str, class_name: str) -> None:
    if any((f.case_id, f.kind, f.class_name) == (case_id, kind, class_name) for f in waiting):
        return
    listed = "; ".join(f"{f.case_id} {f.kind}{f' --class {f.class_name}' if f.class_name else ''}" for f in waiting)
    blocking = any((f.case_id, f.kind, f.class_name) == (case_id, kind, class_name) for f in one.problems)
    raise Misuse(
        f"{one.manifest.name} has no warning {kind} of {class_name or 'the label map'} in case {case_id} to confirm"
        + (": it is blocking" if blocking else ""),
        f"confirm one of: {listed}"
        if listed
        else f"nothing waits to be confirmed; review.findings in {layout.PARAMS} says what blocks",
    )
