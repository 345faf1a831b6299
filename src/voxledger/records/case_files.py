"""Whose file is this: the case that a path in a version, or in a folder of a bundle or a model, is of."""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import PurePosixPath

from voxledger import layout
from voxledger.imaging.format import other_suffixes, suffixes
from voxledger.records.bundle import ATTENTION, IMAGES, LABELS, WEAK
from voxledger.records.card import PREDICTIONS

SOFT = ".b2nd"
"""Suffix of soft predictions and attention."""
_ONE_A_CASE = (IMAGES, LABELS, WEAK, PREDICTIONS, layout.PSEUDO.name)
"""Folders whose files have the name of their case and a suffix."""
_VOXELS = (".img", ".raw", ".zraw")
"""Where the voxels of headers lie that have none themselves."""
_OF_ATTENTION = ("_attention.nii.gz", "_heat.nii.gz", SOFT)
_JUDGED = re.compile(r"r\d{2,}-(.+)\.safetensors")
"""Judged voxels: a file a round and case."""


def case_of(path: str, cases: Collection[str]) -> str | None:
    """The case whose file lies at a path; None for what is of no case, or of several.

    Parameters
    ----------
    path
        Relative to the repository, with `/`.
    cases
        All ids that there are or were: what is not one of them is no case's, whatever a name begins with.

    Examples
    --------
    >>> case_of("data/images/p1.nii.gz", {"p1", "p10", "p1.b"})
    'p1'
    >>> case_of("data/round/attention/p1_heat.nii.gz", {"p1", "p1_heat"})
    'p1'
    >>> case_of("models/base/m/predictions/p10.b2nd", {"p1", "p10"})
    'p10'
    >>> case_of("data/inbox/bundle-r00-ann/labels/p10/liver.nrrd", {"p1", "p10"})
    'p10'
    >>> case_of("models/attention/judged/r00-p1.safetensors", {"p1", "p10"})
    'p1'
    >>> case_of("data/round/bundles/bundle-r00-ann/bundle.json", {"bundle"}) is None
    True
    """
    place = PurePosixPath(path)
    above = (*place.parts[:-1], "")[::-1]
    parent, folder, name = above[1] if len(above) > 1 else "", above[2] if len(above) > 2 else "", place.name
    if folder == PREDICTIONS:
        return _named(name, _endings(folder), cases)
    if parent == ATTENTION:
        return _named(name, _OF_ATTENTION, cases)
    if parent == layout.BASE_JUDGED_CELLS.name and (judged := judged_case(name)) in cases:
        return judged
    if parent in _ONE_A_CASE:
        return _named(name, _endings(parent), cases)
    inside = [part for before, part in zip(place.parts, place.parts[1:-1], strict=False) if before == LABELS]
    return next((part for part in inside if part in cases), None)


def judged_case(name: str) -> str | None:
    """The case whose judged voxels have this file name; None for other names."""
    found = _JUDGED.fullmatch(name)
    return found[1] if found else None


def _endings(folder: str) -> tuple[str, ...]:
    more = (SOFT,) if folder == PREDICTIONS else (".json",) if folder == WEAK else ()
    return (*suffixes(), *other_suffixes(), *_VOXELS, *more)


def _named(name: str, endings: Collection[str], cases: Collection[str]) -> str | None:
    return next((name[: -len(e)] for e in endings if name.lower().endswith(e) and name[: -len(e)] in cases), None)
