"""Where every bundle of the round stands."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

from voxledger.bundles.context import Context
from voxledger.bundles.finding import Finding
from voxledger.bundles.inbox import look_into
from voxledger.bundles.returned import Return
from voxledger.records.bundle import EMULATED, Manifest
from voxledger.records.ledger import Signature


class State(StrEnum):
    """How far a bundle has come."""

    AWAY = "away"
    INCOMPLETE = "incomplete"
    REFUSED = "refused"
    COMPLETE = "complete"


@dataclass(frozen=True)
class BundleStatus:
    """Where one bundle stands."""

    reviewer: str
    bundle: str
    """Its name."""
    state: State
    cases: int
    asked: int
    """Classes of cases that the reviewer is asked about."""
    decided: int
    """Those of them that have a decision."""
    minutes: float | None
    """What the returned decisions say that they took; None where none says so."""
    missing: tuple[Finding, ...]
    problems: tuple[Finding, ...]
    notes: tuple[Finding, ...]
    """What was undone or decided to read its labels, and what else is worth saying: nothing that anybody has to do."""
    signatures: tuple[Signature, ...] = ()
    """Those that count."""
    emulated: bool = False
    """Whether a virtual reader drew, whose minutes are assumed."""


@dataclass(frozen=True)
class InboxStatus:
    """Where all bundles of a round stand, and what else is in the inbox."""

    bundles: tuple[BundleStatus, ...]
    problems: tuple[Finding, ...]
    """Of the inbox as a whole."""
    not_received: tuple[Finding, ...]
    """What somebody still has to receive, see `voxledger.bundles.inbox.Inbox.unpacked`."""

    def to_json(self) -> dict[str, Any]:
        """The same for programs; every finding has its `text` for people, too."""
        kinds = ("missing", "problems", "notes")
        return {
            "bundles": [asdict(b) | {kind: _json(getattr(b, kind)) for kind in kinds} for b in self.bundles],
            "problems": _json(self.problems),
            "not_received": _json(self.not_received),
        }


def status(
    bundles: Path,
    inbox: Path,
    revisions: Path,
    round_number: int,
    context: Context = Context(),  # noqa: B008
) -> InboxStatus:
    """Per reviewer what is decided, missing and wrong, and what else lies in the inbox.

    Parameters are those of `voxledger.bundles.inbox.look_into`.
    """
    found = look_into(bundles, inbox, revisions, round_number, context)
    return InboxStatus(
        tuple(_of(manifest, found.returned.get(manifest.id)) for manifest in found.expected.values()),
        tuple(found.problems),
        tuple(found.unpacked),
    )


def _of(manifest: Manifest, one: Return | None) -> BundleStatus:
    if one is None:
        state = State.AWAY
    elif one.problems:
        state = State.REFUSED
    else:
        state = State.INCOMPLETE if one.missing else State.COMPLETE
    return BundleStatus(
        manifest.reviewer,
        manifest.name,
        state,
        len(manifest.cases),
        len(manifest.asked),
        one.decided if one else 0,
        _minutes(one),
        one.missing if one else (),
        one.problems if one else (),
        one.notes if one else (),
        one.signatures if one else (),
        one is not None and EMULATED in one.files,
    )


def _minutes(one: Return | None) -> float | None:
    given = [row.minutes for row in one.rows.values() if row.minutes is not None] if one else []
    return round(sum(given), 2) if given else None


def _json(findings: tuple[Finding, ...]) -> list[dict[str, Any]]:
    return [{**asdict(finding), "text": str(finding)} for finding in findings]
