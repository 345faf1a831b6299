"""The gate stage: the round goes on when every bundle has come back, complete and in order."""

from __future__ import annotations

from pathlib import Path

from voxledger.bundles.context import Context
from voxledger.bundles.inbox import require_complete
from voxledger.params import MachineParams
from voxledger.records.received import Received, write_received


def pass_gate(
    bundles: Path,
    inbox: Path,
    revisions: Path,
    round_number: int,
    received: Path,
    context: Context = Context(),  # noqa: B008
    machine: MachineParams | None = None,
) -> None:
    """Write `received` if every bundle of the round is back and in order.

    Parameters and errors are those of `voxledger.bundles.inbox.require_complete`.
    """
    write_received(
        received,
        (
            Received(
                folder=one.folder.name,
                id=one.manifest.id,
                reviewer=one.reviewer,
                sha256=one.sha256,
                files=dict(one.files),
                kept=dict(one.kept),
                signatures=tuple(map(str, one.signatures)),
            )
            for one in require_complete(bundles, inbox, revisions, round_number, context, machine)
        ),
    )
