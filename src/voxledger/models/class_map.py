"""What the classes of a model from elsewhere are called here.

A map is a YAML file of lines `theirs: ours`; `ignore` says that the model's word on a class is not wanted. Several of
theirs may be one of ours. Ready maps lie in `maps/`, with their source and licence; there a class has a list of names,
of which the first that `labels.yaml` has is taken, and it is ignored where there is none.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from voxledger import layout
from voxledger.errors import Misuse
from voxledger.models.dataset import IGNORE
from voxledger.schema import LabelSchema
from voxledger.textfile import read_yaml

_READY = Path(__file__).with_name("maps")


def ready_maps() -> list[str]:
    """Names of the maps that come along, sorted.

    Examples
    --------
    >>> ready_maps()
    ['abdomenatlas', 'totalsegmentator']
    """
    return sorted(path.stem for path in _READY.glob("*.yaml"))


def class_map(chosen: str | None, theirs: Sequence[str], schema: LabelSchema) -> dict[str, str]:
    """The class of the schema, or `ignore`, for each class of a model, in the order of `theirs`.

    Parameters
    ----------
    chosen
        Path of a map, or the name of a ready one. None: every class must have the name of one of the schema.
    theirs
        Names of the model's classes, without the background.

    Raises
    ------
    Misuse
        The map leaves out a class, names one that the model or the schema does not have, or ignores all.
    """
    if chosen in ready_maps():
        listed = read_yaml(_READY / f"{chosen}.yaml", "classes")["classes"]
        found = {name: _first(listed[name], schema) for name in theirs if name in listed}
        what = f"the map {chosen}"
    elif chosen is not None:
        found, what = _read(Path(chosen), theirs, schema), chosen
    else:
        found, what = {name: name for name in theirs if name in schema.by_name}, layout.SCHEMA.as_posix()
    if left_out := [name for name in theirs if name not in found]:
        raise Misuse(
            f"{what} does not have these classes of the model: {', '.join(left_out)}",
            f"give a file of lines `theirs: ours` with --map, ours a class of {layout.SCHEMA} or `{IGNORE}`; "
            f"ready ones are {', '.join(ready_maps())}",
        )
    if all(ours == IGNORE for ours in found.values()):
        raise Misuse(
            f"{what} maps no class of the model to one of {layout.SCHEMA}: {', '.join(theirs)}",
            "map those that the model shall have a say in",
        )
    return {name: found[name] for name in theirs}


def _first(names: Sequence[str], schema: LabelSchema) -> str:
    return next((today for name in names if (today := schema.renamed(name))), IGNORE)


def _read(path: Path, theirs: Sequence[str], schema: LabelSchema) -> dict[str, str]:
    """A map that a curator wrote."""
    if not path.is_file():
        raise Misuse(f"{path}: no such file", f"give a file with --map, or one of {', '.join(ready_maps())}")
    values: dict[Any, Any] = read_yaml(path)
    if strange := [str(name) for name in values if name not in theirs]:
        raise Misuse(
            f"{path} names classes that the model does not have: {', '.join(strange)}", f"it has {', '.join(theirs)}"
        )
    for name, ours in values.items():
        if ours != IGNORE and (not isinstance(ours, str) or ours not in schema.by_name):
            told = schema.told_of(str(ours)) or f"use {IGNORE} or one of {', '.join(schema.names)}"
            raise Misuse(f"{path}: {name}: {ours} is not a class of {layout.SCHEMA}", told)
    return {str(name): str(ours) for name, ours in values.items()}
