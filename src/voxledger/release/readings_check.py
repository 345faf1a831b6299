"""Whether the readings of a version are what its returned bundles say, which the manifest covers byte for byte."""

from __future__ import annotations

from pathlib import Path

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.records.bundle import MANIFEST, Manifest, content_sha256, is_decisions, read_manifest, returned_files
from voxledger.records.decisions import FILE as DECISIONS
from voxledger.records.decisions import Decision, Row, read_decisions
from voxledger.records.ledger import Ledger
from voxledger.records.readings import JOINT, Outcome, Reading, joint_bundle, read_readings
from voxledger.release.files_check import Findings
from voxledger.schema import LabelSchema


def check_readings(found: Findings, ledger: Ledger, schema: LabelSchema) -> int:
    """Compare every reading with the return that it is from, and the ledger with the readings that it stands for.

    Adds what it finds; what is known to be altered or missing is passed over. Returns how many were compared.
    """
    table = layout.RELEASE_READINGS
    if table.as_posix() in found.unusable or not table.is_file():
        return 0
    try:
        readings = read_readings(table)
    except VoxledgerError as error:
        found.problems.append(error.problem)
        return 0
    by_bundle: dict[str, list[Reading]] = {}
    for reading in readings:
        by_bundle.setdefault(reading.bundle, []).append(reading)
    compared = 0
    for bundle, of_one in by_bundle.items():
        folder = layout.RELEASE_REVISIONS / bundle
        if any(Path(name).is_relative_to(folder) for name in found.unusable):
            continue
        found.problems += [f"{table}: {problem}" for problem in _against_return(folder, bundle, of_one)]
        compared += len(of_one)
    found.problems += [f"{layout.RELEASE_LEDGER}: {problem}" for problem in _against_ledger(readings, ledger, schema)]
    return compared


def _against_return(folder: Path, bundle: str, readings: list[Reading]) -> list[str]:
    """What the readings of one return say that it does not."""
    if not (folder / MANIFEST).is_file():
        return [f"the return {bundle[:12]} of {readings[0].reader} is not in {folder.parent}"]
    try:
        manifest = read_manifest((folder / MANIFEST).read_bytes(), str(folder / MANIFEST))
    except VoxledgerError as error:
        return [error.problem]
    files = returned_files(folder)
    if content_sha256(manifest.id, files) != bundle:
        return [f"{folder} is not the return {bundle[:12]}"]
    tables = [path for path in files if is_decisions(path)]
    rows: dict[tuple[str, str], Row] = {}
    # Beside another table the one as it was sent does not count.
    for path in sorted(tables, key=lambda path: files[path] != manifest.files[DECISIONS].sha256):
        rows.update({key: row for key, row in read_decisions(folder / path).rows.items() if row.decision is not None})
    problems = []
    for reading in readings:
        row, shown = rows.get(reading.key), _shown(manifest, reading)
        what = f"case {reading.case_id}, class {reading.class_name}, {reading.reader}"
        if manifest.reviewer != reading.reader or manifest.round != reading.version:
            problems.append(f"{what}: the return is of {manifest.reviewer} in round {manifest.round}")
        elif row is None or row.decision is not reading.decision:
            said = "nothing" if row is None else row.decision
            problems.append(f"{what}: the return says {said}, not {reading.decision}")
        elif reading.decision is Decision.ACCEPT and shown not in (None, reading.mask_sha256):
            problems.append(f"{what}: another mask was accepted")
    return problems


def _shown(manifest: Manifest, reading: Reading) -> str | None:
    """Hash of the mask that the reader was sent; None where its bundle does not say."""
    return manifest.masks.get(reading.case_id, {}).get(reading.class_name)


def _against_ledger(readings: list[Reading], ledger: Ledger, schema: LabelSchema) -> list[str]:
    """Rows of the ledger that several readers stand behind, and that their readings do not make."""
    problems = []
    for (case_id, class_name), entry in ledger.items():
        if JOINT not in entry.reviewer:
            continue
        names = schema.names_of(class_name)
        by_round: dict[int, set[str]] = {}
        for reading in readings:
            if reading.case_id == case_id and reading.class_name in names and reading.outcome is Outcome.MERGED:
                by_round.setdefault(reading.version, set()).add(reading.bundle)
        if entry.bundle not in {joint_bundle(bundles) for bundles in by_round.values()}:
            problems.append(f"case {case_id}, class {class_name}: its readings are not those of {entry.reviewer}")
    return problems
