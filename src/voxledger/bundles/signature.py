"""Whether a return, or what it was put together of, was signed, what over, and by whom.

What was signed is one question, and whose key that was another: `Signed` answers the first alone, since curators ask
`reviewers.yaml` the second, and auditors keys of their own.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from voxledger import layout
from voxledger.bundles.carried import carried_from, why_not_now
from voxledger.bundles.counted import tables
from voxledger.errors import VoxledgerError
from voxledger.records.bundle import (
    LABELS,
    MANIFEST,
    PARTS,
    RECEIPT,
    SIGNATURE,
    SIGNED,
    Manifest,
    label_case,
    says_what_was_sent,
)
from voxledger.records.decisions import Row, read_decisions
from voxledger.records.ledger import Signature
from voxledger.records.reviewers import KeyState, Reviewers
from voxledger.records.signature import is_signed_content, parse_list, parts_of, read_receipt
from voxledger.signing import REVIEW, fits, read_header

_AGAIN = f"sign the folder as it is (`voxledger review sign FOLDER --key KEY`) and send it again, {SIGNATURE} included"
_REPLACE = (
    "; where signatures are not required, it may also come back without them, for `voxledger review receive --replace`"
)

_MOST = 20
"""Files that are named one by one."""


@dataclass(frozen=True)
class Fault:
    """Why a signature does not count, and what to do."""

    problem: str
    remedy: str
    file: str

    def within(self, part: str) -> Fault:
        """The same of a part of a return."""
        return replace(self, file=f"{part}/{self.file}")


@dataclass(frozen=True)
class Signed:
    """One signature, as far as it can be judged without knowing whose key it is by."""

    folder: Path
    """The return, or the part of it, that it is of."""
    part: str
    """The folder of the part in the return; `.` for a return as somebody sent it."""
    key: str
    """Fingerprint of the key; empty where there is no signature that could be read."""
    received: datetime | None
    faults: tuple[Fault, ...]

    @property
    def signature(self) -> Signature | None:
        """The signature, if it is by whom it should be; None where it does not count whoever made it."""
        return (
            None
            if self.faults or self.received is None
            else Signature(self.key, self.received.isoformat(timespec="seconds"))
        )


@dataclass(frozen=True)
class Signatures:
    """All signatures of one return."""

    signed: tuple[Signed, ...]
    """The oldest part first."""
    unsigned: tuple[str, ...]
    """Parts without a signature; `.` for a return as somebody sent it."""

    @property
    def all(self) -> tuple[Signature, ...]:
        """What stands behind the return: nothing while a part of it is not signed, or a signature does not count."""
        found = [one.signature for one in self.signed]
        return () if self.unsigned else tuple(dict.fromkeys(s for s in found if s is not None)) if all(found) else ()


def signatures_of(folder: Path, files: Mapping[str, str], sent: Manifest) -> Signatures:
    """What is signed of a return.

    Parameters
    ----------
    folder
        The return, in the inbox or as it is kept with a version.
    files
        SHA-256 by path of `bundle.json`, decisions, labels, and all that `records.signature.is_kept`.
    sent
        The bundle that it is a return of: a label as it was sent may be left out after it was signed.
    """
    signed, unsigned = [], []
    for part, inside in parts_of(files).items():
        if SIGNED in inside or SIGNATURE in inside:
            signed.append(_signed(folder / part, part, inside, carried_from(folder / part, sent) or sent))
        else:
            unsigned.append(part)
    return Signatures(tuple(signed), tuple(unsigned))


def _signed(folder: Path, part: str, files: Mapping[str, str], sent: Manifest) -> Signed:
    key, received, faults = "", None, list[Fault]()
    if lacking := [name for name in (SIGNED, SIGNATURE) if name not in files]:
        there = SIGNATURE if lacking == [SIGNED] else SIGNED
        faults.append(Fault(f"is here without {lacking[0]}: both together are a signature", _AGAIN + _REPLACE, there))
        return Signed(folder, part, key, received, tuple(faults))
    content, signature = ((folder / name).read_bytes() for name in (SIGNED, SIGNATURE))
    header = read_header(signature)
    if header is None:
        problem = "is no signature that `ssh-keygen -Y sign` makes, or was damaged"
        faults.append(Fault(problem, _AGAIN + _REPLACE, SIGNATURE))
    else:
        key = header.fingerprint
        if header.namespace != REVIEW:
            problem = f"was made for the namespace {header.namespace[:40]!r}, and counts for nothing but that"
            remedy = f"{_AGAIN}; with ssh-keygen alone, `-n {REVIEW}`"
            faults.append(Fault(problem, remedy + _REPLACE, SIGNATURE))
        elif not fits(content, signature, REVIEW):
            problem = f"does not fit {SIGNED}: one of them was changed since, or is from elsewhere"
            faults.append(Fault(problem, _AGAIN + _REPLACE, SIGNATURE))
    faults += _content_faults(content, files, sent)
    if RECEIPT in files:
        try:
            received = read_receipt(folder / RECEIPT)
        except VoxledgerError as error:
            faults.append(Fault(error.problem.removeprefix(f"{folder / RECEIPT} "), error.remedy, RECEIPT))
    else:
        problem = "came past `voxledger review receive`, so nobody noted when, and whether its key was valid then"
        faults.append(Fault(problem, f"`voxledger review receive {folder.as_posix()}` notes it now", SIGNATURE))
    return Signed(folder, part, key, received, tuple(faults))


def _content_faults(content: bytes, files: Mapping[str, str], sent: Manifest) -> list[Fault]:
    """What is here is what was signed: nothing altered, nothing added, nothing gone but labels as they were sent."""
    try:
        listed = parse_list(content)
    except ValueError as error:
        return [Fault(f"cannot be read: {error}", _AGAIN + _REPLACE, SIGNED)]
    faults = []
    here = {path: digest for path, digest in files.items() if is_signed_content(path)}
    for path in sorted(here.keys() | listed.keys()):
        if path not in listed:
            problem = f"is not in {SIGNED}: it was added after signing"
        elif path not in here:
            as_sent = path in sent.files and sent.files[path].sha256 == listed[path]
            problem = (
                "" if as_sent and path != MANIFEST else f"is in {SIGNED} but not here: it was taken out after signing"
            )
        else:
            problem = "" if here[path] == listed[path] else "was changed after signing"
        if problem:
            faults.append(Fault(problem, _AGAIN + _REPLACE, path))
    more = Fault(f"and {len(faults) - _MOST} more files are not as they were signed", _AGAIN + _REPLACE, SIGNED)
    return faults if len(faults) <= _MOST else [*faults[:_MOST], more]


def key_faults(signed: Signed, reviewer: str, reviewers: Reviewers) -> list[Fault]:
    """Why the key of a signature is not one of the reviewer's that was valid when it came, by `reviewers.yaml`."""
    if not signed.key:
        return []
    owner = next((name for name, one in reviewers.items() if one.key(signed.key)), None)
    if owner is None:
        problem = f"is by the key {signed.key}, which {layout.REVIEWERS} does not list"
        remedy = (
            f"if {reviewer} says that this is theirs (ask by phone, not by mail), list it there; otherwise {_AGAIN}"
        )
        return [Fault(problem, remedy + _REPLACE, SIGNATURE)]
    if owner != reviewer:
        problem = f"is by a key of {owner}, {signed.key}, and the bundle is {reviewer}'s"
        return [Fault(problem, f"{reviewer} has to {_AGAIN}{_REPLACE}", SIGNATURE)]
    key = reviewers[owner].key(signed.key)
    if key is None or signed.received is None:
        return []
    state = key.state(signed.received)
    if state is KeyState.VALID:
        return []
    when = f"{signed.received:%Y-%m-%d %H:%M} UTC, when it came"
    problem = f"is by {reviewer}'s key {signed.key}, which was {state} on {when}: {key.told(state)}"
    remedy = f"{_AGAIN}, by a key that is valid; correct {layout.REVIEWERS} if it is wrong there"
    return [Fault(problem, remedy + _REPLACE, SIGNATURE)]


@dataclass(frozen=True)
class PutTogether:
    """What is to be said of a return that was put together of parts."""

    faults: tuple[Fault, ...] = ()
    drawn: tuple[str, ...] = ()
    """Cases whose label was drawn of several."""
    carried: Mapping[str, tuple[str, Manifest]] = field(default_factory=dict)
    """Cases whose label was drawn anew from what a return of an earlier bundle drew: that part, and that bundle."""


def put_together(
    folder: Path, files: Mapping[str, str], rows: Mapping[tuple[str, str], Row], sent: Manifest
) -> PutTogether:
    """Whether a return that was put together of parts says what they say.

    Parameters
    ----------
    rows
        What the return decides, by case and class.
    """
    parts = parts_of(files)
    if "." in parts:
        return PutTogether()
    if strange := [part for part in parts if not part.removeprefix(f"{PARTS}/").isdigit()]:
        problem = (
            "is no signed return that voxledger put this one together of: it alone keeps these in a folder so named"
        )
        told = "move it out of the return, or give it another name, if somebody else made it"
        return PutTogether(tuple(Fault(problem, told, part) for part in strange))
    earlier = {part: then for part in parts if (then := carried_from(folder / part, sent)) is not None}
    remedy = "receive the returns again that it was put together of: they lie beside it in the inbox"
    faults = _other_decisions(folder, parts, earlier, rows, sent, remedy)
    own = [part for part in parts if part not in earlier]
    for part in own:
        manifest = folder / part / MANIFEST
        if not manifest.is_file() or not says_what_was_sent(manifest.read_bytes(), sent):
            faults.append(Fault("is not that of the bundle that was sent", remedy, f"{part}/{MANIFEST}"))
    drawn, carried = [], {}
    for path, digest in files.items():
        case = label_case(path, sent.cases) if path.startswith(f"{LABELS}/") else None
        known = {parts[part].get(path) for part in own} | {sent.files[path].sha256 if path in sent.files else ""}
        if case is None or digest in known:
            continue
        drawn_in = [part for part, inside in parts.items() if _drew(inside, case, earlier.get(part, sent))]
        if len(drawn_in) > 1:
            drawn.append(case)
        elif drawn_in and drawn_in[0] in earlier:
            carried[case] = drawn_in[0], earlier[drawn_in[0]]
        else:
            faults.append(Fault("is in none of the signed returns that this one was put together of", remedy, path))
    return PutTogether(tuple(faults), tuple(drawn), carried)


def _other_decisions(
    folder: Path,
    parts: Mapping[str, Mapping[str, str]],
    earlier: Mapping[str, Manifest],
    rows: Mapping[tuple[str, str], Row],
    sent: Manifest,
    remedy: str,
) -> list[Fault]:
    """Lines that no part has. What is taken over from an earlier bundle may be left out, and takes no other's place."""
    said: dict[tuple[str, str], Row] = {}
    for part, then in reversed(list(earlier.items())):
        lines = _lines(folder / part, parts[part], then)
        said |= {key: row for key, row in lines.items() if not why_not_now(key, then, sent)}
    may_lack = set(said)
    for part in (one for one in parts if one not in earlier):
        lines = _lines(folder / part, parts[part], sent)
        said |= lines
        may_lack -= lines.keys()
    return [
        Fault(f"{what} case {case}, class {name} as none of the signed returns does", remedy, SIGNED)
        for case, name in sorted(rows.keys() | said.keys())
        if (what := _differs(rows.get((case, name)), said.get((case, name))))
        if not ((case, name) in may_lack and _is_blank(rows.get((case, name))))
    ]


def _lines(folder: Path, files: Mapping[str, str], sent: Manifest) -> dict[tuple[str, str], Row]:
    """What a part decides or confirms."""
    found = {}
    for path in tables(files, sent):
        for key, row in read_decisions(folder / path).rows.items():
            if row.decision is not None or row.confirmed:
                found[key] = row
    return found


def _is_blank(row: Row | None) -> bool:
    return row is None or (row.decision is None and not row.confirmed)


def _differs(now: Row | None, then: Row | None) -> str:
    what = [None if row is None else (row.decision, row.confirmed, row.error_type) for row in (now, then)]
    blank = _is_blank(now) and then is None
    return "" if what[0] == what[1] or blank else "decides on"


def _drew(files: Mapping[str, str], case: str, sent: Manifest) -> bool:
    """Whether a return has a label of a case that is not as it was sent."""
    own = {path: digest for path, digest in files.items() if path.startswith(f"{LABELS}/")}
    as_sent = {path for path in own if path in sent.files and sent.files[path].sha256 == own[path]}
    return any(label_case(path, sent.cases) == case for path in own.keys() - as_sent)
