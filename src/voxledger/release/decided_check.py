"""Whether the ledger names those who decided, and what they decided, as readings and returned bundles say."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from voxledger import layout
from voxledger.records.decisions import Decision
from voxledger.records.ledger import Entry, Ledger, Origin
from voxledger.records.readings import Outcome, Reading, by_group, joint_bundle, joint_reviewer
from voxledger.registry import CONSENSUS
from voxledger.release.files_check import Findings
from voxledger.release.readings_check import Kept, first_round, is_broken
from voxledger.schema import LabelSchema

_ORIGINS = {
    Decision.ACCEPT: Origin.ACCEPTED,
    Decision.REVISE: Origin.REVISED,
    Decision.REJECT: Origin.REJECTED,
}


def check_decided(
    found: Findings,
    ledger: Ledger,
    schema: LabelSchema,
    readings: Sequence[Reading] | None,
    kept: Mapping[str, Kept],
    number: int | None,
) -> None:
    """Compare every row of the ledger that people decided on with the return, or the readings, that it names.

    Parameters
    ----------
    found
        What is known to be altered or missing is passed over; adds what it finds.
    readings
        None where there are none to compare with: then rows of several readers are passed over.
    kept
        Returns of the version, by their hash.
    number
        Round of the version.
    """
    problems = []
    for (case_id, class_name), entry in ledger.items():
        what = f"case {case_id}, class {class_name}"
        if entry.bundle in kept:
            problems += [f"{what}: {why}" for why in _against_return(entry, kept[entry.bundle], schema)]
        elif not entry.bundle and (entry.reviewer or entry.origin in _ORIGINS.values()):
            problems.append(f"{what}: is {entry.origin} by {entry.reviewer or 'nobody'}, and names no return")
    if readings is not None:
        problems += _against_readings(found, ledger, schema, readings, kept, number)
    found.problems += [f"{layout.RELEASE_LEDGER}: {problem}" for problem in problems]


def _against_return(entry: Entry, one: Kept, schema: LabelSchema) -> list[str]:
    """What a row that one return decided says that it does not."""
    who = one.manifest.reviewer
    if entry.reviewer != who:
        return [f"is of {entry.reviewer or 'nobody'}, and the return {entry.bundle[:12]} of {who}"]
    keys = [(entry.case_id, name) for name in schema.names_of(entry.class_name)]
    said = {row.decision for key in keys if (row := one.rows.get(key)) and row.decision is not None}
    if not said:
        return [f"the return of {who} says nothing of it"]
    if entry.origin not in {_ORIGINS[decision] for decision in said}:
        return [f"is {entry.origin}, and {who} said {', '.join(sorted(said))}"]
    return []


def _against_readings(
    found: Findings,
    ledger: Ledger,
    schema: LabelSchema,
    readings: Sequence[Reading],
    kept: Mapping[str, Kept],
    number: int | None,
) -> list[str]:
    """Rows of the ledger that their readings do not make, and readings that made no row."""
    latest: dict[tuple[str, str], list[Reading]] = {}
    for group in sorted(by_group(readings).values(), key=lambda group: group[0].version):
        name = schema.renamed(group[0].class_name)
        if name is not None and group[0].outcome is not Outcome.PENDING:
            latest[group[0].case_id, name] = group
    first = first_round(readings, number)
    problems = []
    for key, group in latest.items():
        now = ledger.get(key)
        # What was rejected in an older round is nobody's any more once models predict it again.
        if group[0].version != number and (now is None or not now.bundle):
            continue
        if now is None or (now.reviewer, now.bundle) != _who(group):
            told = "nobody" if now is None or not now.reviewer else now.reviewer
            problems.append(f"case {key[0]}, class {key[1]}: its readings are not those of {told}")
        elif len(group) > 1 and now.origin not in _origins(group, kept):
            problems.append(f"case {key[0]}, class {key[1]}: is {now.origin}, which its readers did not say")
    for key, entry in ledger.items():
        if key in latest or not entry.bundle or is_broken(found, entry.bundle):
            continue
        one = kept.get(entry.bundle)
        if one is None or (first is not None and one.manifest.round >= first):
            problems.append(f"case {key[0]}, class {key[1]}: its readings are not those of {entry.reviewer}")
    return problems


def _who(group: Sequence[Reading]) -> tuple[str, str]:
    """What the ledger names as reviewer and return of a class that is settled."""
    for one in group:
        if one.outcome is Outcome.COUNTED:
            return one.reader, one.bundle
    return joint_reviewer(one.reader for one in group), joint_bundle(one.bundle for one in group)


def _origins(group: Sequence[Reading], kept: Mapping[str, Kept]) -> set[Origin]:
    """What the ledger may say of a class that several readers settled, as far as their decisions tell."""
    counted = [one.decision for one in group if one.outcome is Outcome.COUNTED]
    if counted:
        return {_ORIGINS[counted[0]]}
    said = [one.decision for one in group]
    rejected = said.count(Decision.REJECT)
    if 2 * rejected > len(said):
        return {Origin.REJECTED}
    method = group[0].consensus
    # Methods of others may draw what they like.
    if rejected == 0 and method in CONSENSUS.names() and not CONSENSUS.origin(method):
        if set(said) == {Decision.ACCEPT}:
            return {Origin.ACCEPTED}
        if set(said) == {Decision.REVISE} and len({one.mask_sha256 for one in group}) == 1:
            return {Origin.REVISED}
    return {Origin.ACCEPTED, Origin.REVISED}
