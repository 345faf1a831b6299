"""Every table that lasts, and the list of their formats, `data/format.json`."""

from __future__ import annotations

import json

from voxledger.records import (
    acquisition,
    cases,
    confirmed,
    decisions,
    drawn,
    errors,
    history,
    ledger,
    mask_quality,
    overrides,
    readings,
    withdrawn,
    worklist,
)

TABLES = (
    acquisition.TABLE,
    cases.TABLE,
    confirmed.TABLE,
    decisions.TABLE,
    drawn.TABLE,
    errors.TABLE,
    history.TABLE,
    ledger.TABLE,
    mask_quality.JUDGED,
    mask_quality.PREDICTED,
    overrides.TABLE,
    readings.TABLE,
    withdrawn.KEPT_TABLE,
    withdrawn.TABLE,
    worklist.TABLE,
)


def formats() -> str:
    """The text of `data/format.json`: up to which formats this voxledger writes tables."""
    return json.dumps({table.name: table.number for table in TABLES}, indent=2, sort_keys=True) + "\n"
