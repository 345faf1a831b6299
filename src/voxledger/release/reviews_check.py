"""Signatures of reviews: every return that a version keeps, against what was signed, and keys."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from voxledger import layout
from voxledger.bundles.counted import tables
from voxledger.bundles.signature import Signatures, Signed, key_faults, put_together, signatures_of
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import differences, read
from voxledger.records.bundle import LABELS, MANIFEST, SIGNATURE, SIGNED, content_sha256, read_manifest
from voxledger.records.bundle import Manifest as BundleManifest
from voxledger.records.decisions import Decision, read_decisions
from voxledger.records.ledger import Ledger, Signature
from voxledger.records.manifest import Manifest
from voxledger.records.readings import JOINT, joint_bundles, joint_signatures, read_readings
from voxledger.records.reviewers import read_reviewers
from voxledger.records.signature import is_kept
from voxledger.release.files_check import Findings
from voxledger.schema import LabelSchema
from voxledger.signing import REVIEW, principals, read_header, signer, trusts_for


@dataclass(frozen=True)
class Review:
    """One return that a version keeps."""

    bundle: str
    """SHA-256 of what came back."""
    reviewer: str
    round: int
    signatures: tuple[str, ...]
    """Those that count, as `KEY@TIME` of receipt; none where it, or a part of it, is not signed."""


@dataclass
class Reviews:
    """What was found."""

    keys: str = ""
    """Whose keys counted: the path of a file of the auditor's, or that of the version's own."""
    reviews: list[Review] = field(default_factory=list)
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


Whose = Callable[[Signed, str], list[str]]
"""What is wrong with the key of a signature of a reviewer."""


def check_reviews(
    found: Findings, manifest: Manifest | None, ledger: Ledger, required: bool, allowed_signers: Path | None
) -> Reviews:
    """Check the signatures of all returns under `data/release/revisions` of the working tree.

    Parameters
    ----------
    found
        What is altered or missing here: returns that are not whole are passed over, since that is said already.
    ledger
        Of the version.
    required
        Whether the version asks that reviews of its round are signed.
    allowed_signers
        Keys that the auditor trusts; without them those of the version's own `reviewers.yaml` count, as `keys` says.

    Raises
    ------
    VoxledgerError
        `reviewers.yaml` of the version cannot be read.
    """
    result, kept, standing = Reviews(), _kept(manifest), dict[str, tuple[Signature, ...]]()
    some = any(is_kept(path) for files in kept.values() for path in files)
    whose = _whose(result, allowed_signers) if some else _nothing
    for bundle, files in sorted(kept.items()):
        folder = layout.RELEASE_REVISIONS / bundle
        if any((folder / path).as_posix() in found.unusable for path in files):
            continue
        try:
            sent = read_manifest((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))
        except (OSError, VoxledgerError):
            if any(map(is_kept, files)):
                result.problems.append(f"{folder}: is signed, but holds no {MANIFEST} that can be read")
            continue
        signatures = signatures_of(folder, files, sent)
        said = _faults(folder, files, signatures, sent, whose)
        if required and manifest and sent.round == manifest.round and signatures.unsigned:
            said.append(f"{folder / SIGNED}: missing, and review.require_signature asks {sent.reviewer} to sign")
        said += _against_ledger(ledger, bundle, signatures)
        standing[bundle] = signatures.all
        result.problems += said
        counting = tuple(map(str, signatures.all)) if not said else ()
        result.reviews.append(Review(bundle, sent.reviewer, sent.round, counting))
    joint = _joint(found)
    result.problems += _of_several(ledger, joint or {}, standing)
    result.problems += _not_here(ledger, kept.keys() | (joint or {}).keys(), joint is not None)
    if result.problems:
        result.notes.append(
            "a review whose signature does not count may be anybody's: ask its reviewer for the return as it was sent, "
            f"or do without the classes for which {layout.RELEASE_LEDGER} names that return"
        )
    return result


def _kept(manifest: Manifest | None) -> dict[str, dict[str, str]]:
    """SHA-256 by path in a return, by the SHA-256 of the return."""
    found: dict[str, dict[str, str]] = {}
    for name, digest in (manifest.files if manifest else {}).items():
        if Path(name).is_relative_to(layout.RELEASE_REVISIONS):
            bundle, _, inside = Path(name).relative_to(layout.RELEASE_REVISIONS).as_posix().partition("/")
            found.setdefault(bundle, {})[inside] = digest
    return found


def _faults(
    folder: Path, files: Mapping[str, str], signatures: Signatures, sent: BundleManifest, whose: Whose
) -> list[str]:
    """What is wrong with the signatures of a return, and with what was put together of signed ones."""
    found = []
    for one in signatures.signed:
        found += [f"{one.folder / fault.file}: {fault.problem}" for fault in one.faults]
        found += [f"{one.folder / SIGNATURE}: {problem}" for problem in whose(one, sent.reviewer)]
    if signatures.signed:
        if content_sha256(sent.id, files) != folder.name:
            found.append(f"{folder}: holds another return than its name says")
        rows = {key: row for path in tables(files, sent) for key, row in read_decisions(folder / path).rows.items()}
        parts = put_together(folder, files, rows, sent)
        found += [f"{folder / fault.file}: {fault.problem}" for fault in parts.faults]
        for case, (part, _) in parts.carried.items():
            revised = [n for (c, n), row in rows.items() if c == case and row.decision is Decision.REVISE]
            found += _not_as_drawn(folder, case, part, revised, sent.label_schema)
    return found


def _not_as_drawn(folder: Path, case: str, part: str, revised: Collection[str], schema: LabelSchema) -> list[str]:
    """Revised classes that a label has otherwise than the one that was signed, if that is here on the same grid.

    Export's proposal, over which the gate saw it laid, is not kept with a version.
    """
    now, then = (layout.label_map(place / LABELS, case) for place in (folder, folder / part))
    if not then.is_file():
        return []
    try:
        drawn, label = read(then), read(now)
    except VoxledgerError as error:
        return [error.problem]
    if differences(drawn.grid, label.grid):
        return []
    other = [n for n in revised if not np.array_equal(schema.mask(drawn.array, n), schema.mask(label.array, n))]
    return [f"{now}: class {name} is not what was drawn in {part}" for name in other]


def _against_ledger(ledger: Ledger, bundle: str, signatures: Signatures) -> list[str]:
    """The ledger says of every class that a return decided on how it was signed."""
    said = {(c, n): entry.signatures for (c, n), entry in ledger.items() if entry.bundle == bundle}
    return [
        _otherwise(case, name, told, f"what {layout.RELEASE_REVISIONS / bundle} holds")
        for (case, name), told in sorted(said.items())
        if told != signatures.all
    ]


def _otherwise(case: str, name: str, told: tuple[Signature, ...], what: str) -> str:
    says = f"says that it was signed with {told[0].key}" if told else "says that it was not signed"
    return f"{layout.RELEASE_LEDGER}: case {case}, class {name} {says}, which is not {what}"


def _joint(found: Findings) -> dict[str, frozenset[str]] | None:
    """Returns that several readers settled classes by, by what the ledger names in their place.

    None where the table of readings is altered or missing, or cannot be read, which is said already.
    """
    if layout.RELEASE_READINGS.as_posix() in found.unusable:
        return None
    try:
        return joint_bundles(read_readings(layout.RELEASE_READINGS))
    except (VoxledgerError, UnicodeDecodeError):
        return None


def _not_here(ledger: Ledger, known: Collection[str], of_several: bool) -> list[str]:
    """Rows of signed returns that are not `known`; those of several readers are passed over unless that can be told."""
    return [
        f"{layout.RELEASE_LEDGER}: case {case}, class {name} is of a signed return that is not in the version"
        for (case, name), entry in sorted(ledger.items())
        if entry.signatures and entry.bundle not in known and (of_several or JOINT not in entry.reviewer)
    ]


def _of_several(
    ledger: Ledger, joint: Mapping[str, frozenset[str]], standing: Mapping[str, tuple[Signature, ...]]
) -> list[str]:
    """The same of classes that several readers settled, whose returns are all here."""
    found = []
    for (case, name), entry in sorted(ledger.items()):
        bundles = joint.get(entry.bundle, frozenset())
        if bundles and bundles <= standing.keys():
            signatures = joint_signatures(standing[bundle] for bundle in bundles)
            if entry.signatures != signatures:
                found.append(_otherwise(case, name, entry.signatures, "what the returns of its readers hold"))
    return found


def _whose(result: Reviews, allowed_signers: Path | None) -> Whose:
    result.keys = str(allowed_signers or layout.REVIEWERS)
    if allowed_signers is None:
        reviewers = read_reviewers()
        return lambda signed, reviewer: [fault.problem for fault in key_faults(signed, reviewer, reviewers)]
    if not trusts_for(allowed_signers, REVIEW):
        result.keys = ""
        result.notes.append(
            f"{allowed_signers} trusts no key for {REVIEW}, so it was not looked at who signed reviews; "
            "`voxledger review reviewers --allowed-signers` prints the lines that the repository claims"
        )
        return _nothing
    return lambda signed, reviewer: _by_auditor(signed, reviewer, allowed_signers)


def _nothing(_signed: Signed, _reviewer: str) -> list[str]:
    return []


def _by_auditor(signed: Signed, reviewer: str, allowed_signers: Path) -> list[str]:
    """What `ssh-keygen` says of a signature, with the keys that an auditor holds, at the time at which it came."""
    if not signed.key or signed.received is None or signed.faults:
        return []
    content, signature = ((signed.folder / name).read_bytes() for name in (SIGNED, SIGNATURE))
    found = signer(content, signature, REVIEW, allowed_signers, signed.received, reviewer)
    if found.name is not None:
        return []
    header = read_header(signature)
    owners = principals(allowed_signers, header) if header is not None else []
    if reviewer in owners:
        when = f"when it came, {signed.received:%Y-%m-%d %H:%M} UTC"
        why = found.why.removeprefix(f"{reviewer}: ") or f"for {REVIEW}"
        return [f"is by a key of {reviewer}, {signed.key}, that {allowed_signers} does not trust {when}: {why}"]
    if owners:
        return [f"is by a key of {', '.join(owners)}, {signed.key}, and the review is {reviewer}'s"]
    unknown = f"is by the key {signed.key}, which is nobody's in {allowed_signers}"
    return [f"{unknown} (if {reviewer} says that it is theirs, add it there under that name)"]
