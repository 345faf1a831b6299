"""Versions: of what this round is computed with, of its tables, and of the packages that the last version had."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from voxledger import layout
from voxledger.doctor.check import Check, Finding, note, ok, wrong
from voxledger.errors import VoxledgerError
from voxledger.records.formats import table_formats
from voxledger.records.manifest import read_manifest
from voxledger.records.tables import TABLES
from voxledger.software import ABSENT, software
from voxledger.stage import require_pipeline


def look() -> Iterator[Finding]:
    """Pipeline and algorithms, formats of tables, Python and packages."""
    findings = [*_pipeline(), *_tables(), *_packages()]
    yield from findings or [ok("pipeline, algorithms and tables are those of this voxledger")]


def _pipeline() -> Iterator[Finding]:
    try:
        require_pipeline()
    except VoxledgerError as error:
        yield wrong(error.problem, error.remedy)


def _tables() -> Iterator[Finding]:
    known, here = {table.name: table.number for table in TABLES}, table_formats()
    if newer := sorted(name for name, number in here.items() if number > known.get(name, 0)):
        yield wrong(f"a newer voxledger wrote the tables {', '.join(newer)}", "update voxledger")


def _packages() -> Iterator[Finding]:
    if not layout.MANIFEST.is_file():
        return
    manifest = read_manifest(layout.MANIFEST.read_bytes())
    made = _environment(manifest.ran) or _environment(manifest.closed)
    listed = dict(line.lower().split("==") for line in made.get("packages", {}).get("list", []) if "==" in line)
    listed["python"] = str(made.get("python", "")).rpartition(" ")[2]
    here = {name.lower(): version for name, version in software().versions.items()}
    differ = [
        f"{name} {listed[name]} (here {version})"
        for name, version in here.items()
        if name != "voxledger" and listed.get(name) not in (None, "", version) and version != ABSENT
    ]
    if differ:
        yield note(
            f"{manifest.dataset} {manifest.version} was made with other versions: {', '.join(differ)}",
            "nothing, to verify or go on; for the same last bits install those",
        )


def _environment(made: Any) -> dict[str, Any]:
    found = made.get("environment") if made else None
    return found if isinstance(found, dict) else {}


CHECK = Check(look, in_repository=True)
