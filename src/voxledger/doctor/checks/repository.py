"""The repository: whether what people edit can be read, and the data is here."""

from __future__ import annotations

from collections.abc import Iterator

from voxledger import layout
from voxledger.doctor.check import Check, Finding, note, ok, wrong
from voxledger.errors import VoxledgerError
from voxledger.params import read_params
from voxledger.records.cases import read_cases
from voxledger.repository import is_shallow, require_pulled, require_root
from voxledger.schema import read_schema


def look() -> Iterator[Finding]:
    """Parameters, classes and cases; folders of DVC that are not here, and commits that are not."""
    require_root()
    broken = False
    for read in (read_params, lambda: read_schema(layout.SCHEMA), read_cases):
        try:
            read()
        except VoxledgerError as error:
            broken = True
            yield wrong(error.problem, error.remedy)
    if not broken:
        params = read_params()
        yield ok(f"{params.dataset}, round {params.round}, {len(read_cases())} cases")
    for folder in layout.INPUTS:
        try:
            require_pulled(folder)
        except VoxledgerError as error:
            yield note(error.problem.partition(", and would")[0], error.remedy)
    if is_shallow():
        yield note("a shallow clone: older versions are not here", "`git fetch --unshallow --tags`")


CHECK = Check(look, in_repository=True)
