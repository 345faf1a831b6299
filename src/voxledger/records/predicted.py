"""Who predicted what: `data/round/infer.jsonl`, one line a model and case, kept in git.

The soft predictions are the bulk of all bytes, and another kind of CPU computes other last bits. So no stage depends
on the files: this table stands for them. It holds what a prediction depends on, as the key of its case, and nothing
that was computed from voxels but the classes. Where the files are not here, as in a clone, the stage that reads them
makes them again.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from voxledger.errors import VoxledgerError
from voxledger.textfile import replace_text


@dataclass(frozen=True)
class Predicted:
    """One case as one model predicted it."""

    case_id: str
    model: str
    """Name of the model's folder."""
    model_id: str
    classes: tuple[str, ...]
    """Classes that the model has a say in, in the order of the schema; none where a model of a region did not find its
    organ."""
    key: str
    """Hash of image, model, parameters and algorithm version, and of the weak labels that the model was told of."""
    weak: tuple[tuple[str, str], ...] = ()
    """Class and weak label (see `WeakMark`) of every object that the model was told of; there it has the only say."""

    @property
    def file(self) -> str:
        """Path of the soft prediction in the folder of predictions."""
        return f"{self.model}/{self.case_id}.b2nd"


@dataclass(frozen=True)
class Ensemble:
    """The models that predicted a case: ids by class that they know."""

    by_class: Mapping[str, tuple[str, ...]]
    weak: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    """Weak labels by class, of those that were predicted from some."""

    @property
    def classes(self) -> frozenset[str]:
        """Classes that any of them knows."""
        return frozenset(self.by_class)

    @property
    def model_ids(self) -> tuple[str, ...]:
        """All of them, sorted."""
        return tuple(sorted({m for ids in self.by_class.values() for m in ids}))


def read_predicted(path: Path) -> list[Predicted]:
    """Read the table, in its order.

    Raises
    ------
    VoxledgerError
        It is missing or damaged.
    """
    try:
        lines = [json.loads(line) for line in path.read_text("utf-8").splitlines()]
        return [
            Predicted(**{**line, "classes": tuple(line["classes"]), "weak": tuple(map(tuple, line.get("weak", ())))})
            for line in lines
        ]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise VoxledgerError(
            f"{path} is not the table of predictions: {error}",
            f"bring it back with `git restore {path}`, or make it anew with `dvc repro --force --single-item infer`",
        ) from None


def write_predicted(path: Path, rows: Iterable[Predicted]) -> None:
    """Write the table, in the order given."""
    # What was told of nothing is written as it was before there were weak labels.
    written = ({name: v for name, v in vars(row).items() if name != "weak" or v} for row in rows)
    replace_text(path, "".join(json.dumps(row, sort_keys=True) + "\n" for row in written))


def ensembles(rows: Iterable[Predicted]) -> dict[str, Ensemble]:
    """Who predicted each case; cases that no model predicted are left out.

    A class that a model was told of is its own: of the others none has a say in it in that case.
    """
    rows = list(rows)
    weak: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        for name, mark in row.weak:
            weak.setdefault(row.case_id, {}).setdefault(name, set()).add(mark)
    found: dict[str, dict[str, set[str]]] = {}
    for row in rows:
        by_class, marked = found.setdefault(row.case_id, {}), weak.get(row.case_id, {})
        for name in row.classes:
            if row.weak or name not in marked:
                by_class.setdefault(name, set()).add(row.model_id)
    return {c: Ensemble(_sorted(of), _sorted(weak.get(c, {}))) for c, of in found.items()}


def _sorted(sets: Mapping[str, set[str]]) -> dict[str, tuple[str, ...]]:
    return {name: tuple(sorted(values)) for name, values in sets.items()}
