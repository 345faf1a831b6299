"""All checks of machine and repository; one that fails hides no other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from voxledger.disk import disk_failure
from voxledger.doctor.check import Check, Finding, State, note, wrong
from voxledger.errors import VoxledgerError
from voxledger.extras import missing_extra
from voxledger.registry import DOCTOR
from voxledger.repository import is_root


@dataclass(frozen=True)
class Line:
    """What one check says."""

    check: str
    state: State
    said: str
    remedy: str


def examine() -> Iterator[Line]:
    """What every check says, those of the machine first; those of a repository only in the root of one."""
    checks: dict[str, Check] = {}
    for name in DOCTOR.names():
        try:
            checks[name] = DOCTOR.get(name)
        except ImportError as error:
            yield Line(name, State.WRONG, f"a package is broken: {error}", "`pip install --force-reinstall voxledger`")
    here = is_root()
    for name, check in sorted(checks.items(), key=lambda item: (item[1].in_repository, item[0])):
        if here or not check.in_repository:
            yield from look(name, check)
    if not here:
        left_out = ", ".join(name for name, check in sorted(checks.items()) if check.in_repository)
        said = f"this folder is not the root of a curation repository: {left_out} were not looked at"
        remedy = "change to the folder that `voxledger init` made, or that `git clone` did"
        yield Line("repository", State.NOTE, said, remedy)


def look(name: str, check: Check) -> Iterator[Line]:
    """What one check says; where it fails, that is its last line."""
    for finding in _findings(check):
        yield Line(name, finding.state, finding.said, finding.remedy)


def _findings(check: Check) -> Iterator[Finding]:
    try:
        yield from check.look()
    except Exception as error:
        if (extra := missing_extra(error)) is not None:
            yield note(extra.problem, extra.remedy)
        elif (known := disk_failure(error) or error) and isinstance(known, VoxledgerError):
            yield wrong(known.problem, known.remedy)
        else:
            yield wrong(f"could not be looked at: {type(error).__name__}: {error}", "report this line")
