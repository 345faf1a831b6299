"""Where every bundle of the round stands."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from pathlib import Path
from typing import Any

from voxledger.bundles.finding import Finding
from voxledger.bundles.inbox import look_into


class State(StrEnum):
    """How far a bundle has come."""

    AWAY = "away"
    INCOMPLETE = "incomplete"
    REFUSED = "refused"
    COMPLETE = "complete"


def status(bundles: Path, inbox: Path, revisions: Path, round_number: int) -> dict[str, Any]:
    """Per reviewer what is decided, missing and wrong, and what else lies in the inbox; for JSON.

    Parameters are those of `voxledger.bundles.inbox.look_into`.
    """
    found = look_into(bundles, inbox, revisions, round_number)
    reviewers = []
    for manifest in found.expected.values():
        checked = found.returned.get(manifest.id)
        if checked is None:
            state = State.AWAY
        elif checked.problems:
            state = State.REFUSED
        elif checked.missing:
            state = State.INCOMPLETE
        else:
            state = State.COMPLETE
        reviewers.append(
            {
                "reviewer": manifest.reviewer,
                "bundle": manifest.name,
                "state": state.value,
                "cases": len(manifest.cases),
                "asked": len(manifest.asked),
                "decided": checked.decided if checked else 0,
                "missing": [_json(f) for f in checked.missing] if checked else [],
                "problems": [_json(f) for f in checked.problems] if checked else [],
            }
        )
    return {
        "bundles": reviewers,
        "problems": [_json(f) for f in found.problems],
        "not_received": [_json(f) for f in found.unpacked],
    }


def _json(finding: Finding) -> dict[str, Any]:
    return {**asdict(finding), "text": str(finding)}
