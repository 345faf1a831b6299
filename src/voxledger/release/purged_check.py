"""Which files that a version lacks were withdrawn: what a list says that somebody trusted has signed, and no more."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.records.case_files import case_of
from voxledger.records.cases import read_cases
from voxledger.records.manifest import Manifest
from voxledger.records.purged import Purged, file_digest, parse_purged
from voxledger.release.files_check import Findings
from voxledger.signing import WITHDRAWAL, signer, trusts_for


@dataclass
class Withdrawals:
    """What a list says of a version."""

    files: dict[str, str] = field(default_factory=dict)
    """Files that are not here because they were withdrawn, with the SHA-256 that they had."""
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def check_withdrawals(
    found: Findings, manifest: Manifest | None, path: Path | None, allowed_signers: Path | None
) -> Withdrawals:
    """Tell files that were withdrawn from others that are not here.

    Parameters
    ----------
    found
        What is missing here.
    manifest
        Of the version.
    path
        The list, with its signature beside it; without one nothing is excused.
    allowed_signers
        Keys that the auditor trusts, with the namespace `voxledger-withdrawal`.
    """
    result = Withdrawals()
    if manifest is None or path is None or allowed_signers is None:
        return result
    try:
        purged = _trusted(path, allowed_signers)
        cases = {c.case_id: c.patient for c in read_cases()} if layout.CASES.as_posix() not in found.unusable else None
    except VoxledgerError as error:
        result.problems.append(error.problem)
        return result
    if purged.dataset != manifest.dataset:
        result.problems.append(f"{path}: is of the dataset {purged.dataset}, not of {manifest.dataset}")
    elif cases is None:
        result.notes.append(f"without {layout.CASES}, it was not looked at what was withdrawn")
    else:
        _excuse(result, found, manifest, purged, cases, path)
    return result


def _trusted(path: Path, allowed_signers: Path) -> Purged:
    signature = path.with_name(f"{path.name}.sig")
    if not signature.is_file():
        raise VoxledgerError(f"{signature}: missing, so the list is not signed", "get both files")
    content = path.read_bytes()
    who = signer(content, signature.read_bytes(), WITHDRAWAL, allowed_signers)
    if who.name is None:
        namespace = "" if trusts_for(allowed_signers, WITHDRAWAL) else f", which trusts no key for {WITHDRAWAL}"
        why = f": {who.why}" if who.why else namespace
        raise VoxledgerError(f"{path}: is not signed by anybody in {allowed_signers}{why}", "ask the curator")
    return parse_purged(content, path)


def _excuse(
    result: Withdrawals, found: Findings, manifest: Manifest, purged: Purged, cases: Mapping[str, str], path: Path
) -> None:
    """Take what was withdrawn out of what is missing, of every patient whose part of the list is of one patient."""
    digests = {file_digest(name, sha256): name for name, sha256 in manifest.files.items()}
    missing, here = set(found.missing), list[str]()
    for removed in purged.patients.values():
        named = sorted(digests[digest] for digest in removed.files if digest in digests)
        owners = {name: cases.get(case_of(name, cases) or "") for name in named}
        if foreign := [name for name, owner in owners.items() if owner is None]:
            result.problems.append(f"{path}: names {foreign[0]}, which is no patient's alone")
        elif len(patients := set(owners.values())) > 1:
            result.problems.append(f"{path}: names files of {len(patients)} patients as those of one: {named[0]}, …")
        else:
            result.files |= {name: manifest.files[name] for name in named if name in missing}
            here += [name for name in named if name not in found.unusable]
    found.missing[:] = [name for name in found.missing if name not in result.files]
    if here:
        result.notes.append(f"{len(here)} files are here that were withdrawn, the first is {here[0]}: remove them")
