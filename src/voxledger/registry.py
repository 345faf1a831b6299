"""Families: members of one shape, found by the name of their file, or by the entry point of another package.

A member is one module in the folder of its family, such as `filter/rules/elongation.py`, or one in an installed
package that names it in its own `pyproject.toml`:

    [project.entry-points."voxledger.rules"]
    sphericity = "our_package.sphericity"

Both look the same inside: the module holds what the family asks for under the name that the family says. Nothing is
imported before a member is asked for by its name.
"""

from __future__ import annotations

import pkgutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from functools import lru_cache
from importlib import import_module
from importlib.metadata import EntryPoint, entry_points
from typing import Any

from voxledger.errors import Misuse, VoxledgerError

GROUP = "voxledger."
"""Groups of entry points are `voxledger.rules`, `voxledger.metrics` and so on."""


@dataclass(frozen=True)
class Family:
    """One family.

    Parameters
    ----------
    name
        Plural, as in the group of entry points: `rules` for `voxledger.rules`.
    noun
        What a member is called in messages, such as `rule`.
    package
        The folder of our own members as a package, such as `voxledger.filter.rules`.
    attribute
        What the module of a member holds. Empty: a class that is called like the file, in camel case.
    folders
        Whether members are folders, and single files beside them are none.

    Examples
    --------
    >>> STRATEGIES.names()
    ['continual', 'finetune', 'full']
    >>> STRATEGIES.get("ful")
    Traceback (most recent call last):
        ...
    voxledger.errors.Misuse: there is no strategy ful; did you mean full?
      → use one of continual, finetune, full
    """

    name: str
    noun: str
    package: str
    attribute: str = ""
    folders: bool = False

    def names(self) -> list[str]:
        """Names of all members, sorted; imports none of them."""
        return sorted({*self._own(), *(point.name for point in self._others())})

    def require(self, name: object) -> None:
        """Raise `Misuse` with the names that there are, and the one that was probably meant, unless there is a `name`.

        Imports nothing.
        """
        names = self.names()
        if name in names:
            return
        close = get_close_matches(str(name), names, 1)
        raise Misuse(
            f"there is no {self.noun} {name}" + (f"; did you mean {close[0]}?" if close else ""),
            f"use one of {', '.join(names)}",
        )

    def get(self, name: str) -> Any:
        """The member of a name.

        Raises
        ------
        Misuse
            There is none, or two packages have one of this name.
        VoxledgerError
            The package of another cannot be imported, or its module is no such member; names the package.
        """
        self.require(name)
        others = [point for point in self._others() if point.name == name]
        if len(others) + (name in self._own()) > 1:
            owners = [*(["voxledger"] if name in self._own() else []), *map(_distribution, others)]
            raise Misuse(
                f"{' and '.join(owners)} each have the {self.noun} {name}, and nothing says which one is meant",
                f"uninstall {owners[-1]}, or use a version of it that calls its {self.noun} otherwise",
            )
        if not others:
            return getattr(import_module(f"{self.package}.{name}"), self._holds(name))
        try:
            return getattr(others[0].load(), self._holds(name))
        except Exception as error:  # whatever the code of others does
            raise VoxledgerError(
                f"{self.noun} {name} of {_distribution(others[0])} does not work here ({others[0].value}): "
                f"{type(error).__name__}: {error}",
                f"mend or uninstall {others[0].dist.name if others[0].dist else others[0].value}",
            ) from error

    def all(self) -> dict[str, Any]:
        """All members by name, for families of which every member is used; raises as `get` where one does not work."""
        return {name: self.get(name) for name in self.names()}

    def load(self) -> tuple[dict[str, Any], list[VoxledgerError]]:
        """All members that work, by name, and why the others do not."""
        found: dict[str, Any] = {}
        broken = []
        for name in self.names():
            try:
                found[name] = self.get(name)
            except VoxledgerError as error:
                broken.append(error)
        return found, broken

    def origin(self, name: str) -> str:
        """Package and version that a member is from, such as `our-package 1.2`; empty for our own.

        It belongs into the memo key of what the member computes.
        """
        return next((_distribution(point) for point in self._others() if point.name == name), "")

    def _holds(self, name: str) -> str:
        return self.attribute or "".join(word.capitalize() for word in name.split("_"))

    def _own(self) -> Sequence[str]:
        return _modules(tuple(import_module(self.package).__path__), self.folders)

    def _others(self) -> Sequence[EntryPoint]:
        return _entry_points(GROUP + self.name, tuple(sys.path))


@lru_cache
def _modules(path: tuple[str, ...], folders: bool) -> Sequence[str]:
    """Names of the modules, or only of the packages, in some folders."""
    return [m.name for m in pkgutil.iter_modules(path) if m.ispkg or not folders]


@lru_cache
def _entry_points(group: str, path: tuple[str, ...]) -> Sequence[EntryPoint]:
    """Entry points of a group; `path` is where they are looked for."""
    return sorted(_installed(path).select(group=group), key=lambda point: (point.name, _distribution(point)))


@lru_cache
def _installed(path: tuple[str, ...]) -> Any:
    """Entry points of all installed packages, whose files are read once."""
    return entry_points()


def _distribution(point: EntryPoint) -> str:
    return f"{point.dist.name} {point.dist.version}" if point.dist else point.value


RULES = Family("rules", "rule", "voxledger.filter.rules")
"""Rules of the filter: `voxledger.filter.rule`."""
ACQUISITION = Family("acquisition", "acquisition function", "voxledger.score.acquisition", "ACQUISITION")
"""Which cases people look at first: `voxledger.score.acquire`."""
METRICS = Family("metrics", "metric", "voxledger.evaluate.metrics", "METRIC")
"""What two masks are compared by: `voxledger.evaluate.metric`."""
STRATEGIES = Family("strategies", "strategy", "voxledger.retrain.strategies", "start")
"""Where training starts: `voxledger.retrain.strategy`."""

BACKENDS = Family("backends", "backend", "voxledger.models", "BACKEND", folders=True)
"""What trains and predicts: `voxledger.models.backend`."""

FORMATS = Family("formats", "format", "voxledger.imaging.formats", "FORMAT")
"""How images and labels are read: `voxledger.imaging.format`."""

EXECUTORS = Family("executors", "executor", "voxledger.casemap.executors", "execute")
"""Where jobs are computed: `voxledger.casemap.executor`."""

LAYOUTS = Family("layouts", "layout", "voxledger.release.layouts", "write")
"""How a version is handed over: `voxledger.release.handover`."""

DESCRIPTIONS = Family("descriptions", "description", "voxledger.release.descriptions", "describe")
"""What a release is described by: `voxledger.release.describe`."""

CHECKS = Family("checks", "check", "voxledger.bundles.checks", "CHECK")
"""What is likely not what a reviewer meant: `voxledger.bundles.check`."""

CARRIERS = Family("carriers", "carrier", "voxledger.review.carriers", "connect")
"""How bundles get to reviewers, and returns back: `voxledger.review.carrier`."""

CONSENSUS = Family("consensus", "consensus method", "voxledger.bundles.consensus", "CONSENSUS")
"""How several readings of one class become one: `voxledger.bundles.votes`."""

WEAK_READERS = Family("weak_readers", "reader of weak labels", "voxledger.weak.readers", "READER")
"""What people mark objects in: `voxledger.weak.reader`."""

WEAK_CHECKS = Family("weak_checks", "check of weak labels", "voxledger.weak.checks", "CHECK")
"""Whether what was predicted fits the weak label that it was predicted from: `voxledger.weak.check`."""

PROMPTS = Family("prompts", "kind of weak label", "voxledger.weak.prompts", "prompts")
"""What an interactive network is told of a weak label: `voxledger.weak.prompts`. The kinds are those of
`voxledger.weak.label`, and others bring none."""

DOCTOR = Family("doctor", "check of the machine", "voxledger.doctor.checks", "CHECK")
"""What `voxledger doctor` looks at: `voxledger.doctor.check`. Others bring none."""

FAMILIES = (
    *(RULES, ACQUISITION, METRICS, STRATEGIES, BACKENDS, FORMATS, EXECUTORS, LAYOUTS, CHECKS, CARRIERS, CONSENSUS),
    *(DESCRIPTIONS, WEAK_READERS, WEAK_CHECKS),
)
