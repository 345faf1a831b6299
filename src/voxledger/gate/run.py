"""The gate stage: the round goes on when every bundle has come back, complete and in order."""

from __future__ import annotations

import json
from pathlib import Path

from voxledger.bundles.inbox import require_complete
from voxledger.textfile import replace_text


def pass_gate(bundles: Path, inbox: Path, revisions: Path, received: Path) -> None:
    """Write `received.json` if every expected bundle is back and in order; raises as `require_complete`."""
    found = require_complete(bundles, inbox, revisions)
    listed_bundles = [
        {
            "folder": checked.folder.name,
            "id": checked.manifest.id,
            "reviewer": checked.manifest.reviewer,
            "sha256": checked.sha256,
            "files": dict(sorted(checked.files.items())),
        }
        for checked in sorted(found.returned.values(), key=lambda c: c.manifest.name)
    ]
    replace_text(received, json.dumps({"bundles": listed_bundles}, indent=1, sort_keys=True) + "\n")
