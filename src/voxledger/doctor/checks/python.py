"""Python and the packages: whether those that are here are of the versions that voxledger asks for."""

from __future__ import annotations

import platform
import sys
from collections.abc import Iterator
from importlib.metadata import PackageNotFoundError, requires, version
from importlib.util import find_spec

from packaging.requirements import Requirement

from voxledger import __version__
from voxledger.doctor.check import Check, Finding, note, ok, wrong
from voxledger.extras import EXTRAS, install


def look() -> Iterator[Finding]:
    """Python and voxledger, packages of other versions, and the extras that are not here."""
    yield ok(f"voxledger {__version__}, Python {platform.python_version()} in {sys.prefix}")
    absent = [name for name, modules in EXTRAS.items() if not all(map(find_spec, modules))]
    here = ["", *(name for name in EXTRAS if name not in absent)]
    for requirement in map(Requirement, requires("voxledger") or []):
        if requirement.marker is None or any(requirement.marker.evaluate({"extra": extra}) for extra in here):
            yield from _compared(requirement)
    if absent:
        yield note(
            f"extras that are not installed, or not whole: {', '.join(absent)}",
            f"{install('NAME')} brings one that you need",
        )


def _compared(requirement: Requirement) -> Iterator[Finding]:
    try:
        found = version(requirement.name)
    except PackageNotFoundError:
        yield wrong(f"{requirement.name} is not installed", "`pip install --force-reinstall voxledger`")
        return
    if not requirement.specifier.contains(found, prereleases=True):
        asked = f"{requirement.name}{requirement.specifier}"
        yield wrong(f"{requirement.name} {found} is installed, voxledger asks for {asked}", f"`pip install '{asked}'`")


CHECK = Check(look)
