"""Cells of cases that people judged, drawn by chance: what learned attention learns from.

An error is a connected component of the visible change (`voxledger.imaging.visible_change`); a cell is of every error
that one of its voxels in question lies in. Of every error and of what is right at most so many cells are drawn, with
the number that each stands for as its weight. Of a case of the blind audit all are kept, for the threshold is one of
regions (`voxledger.score.error_model.region_scores`). One file a case and round, of safetensors: nothing is ever
unpickled. Of the case it holds numbers by cell; with all of an audited one and their places these make a coarse picture
of what is in question, so it is as confidential as the image.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.errors import VoxledgerError
from voxledger.imaging.boxes import Box, label_boxes, union
from voxledger.imaging.components import connected_components
from voxledger.imaging.visible_change import visible_change
from voxledger.records.cases import Case
from voxledger.records.formats import Upgrade, upgraded
from voxledger.score.attention import Attention
from voxledger.score.cells import FEATURES, CaseCells, Cells
from voxledger.score.ranks import Ranks

RIGHT, OF_ERROR = 1000, 64
"""Most cells that are drawn of what is right of a class, and of each of its errors."""


def _of_voxels(said: dict[str, Any]) -> dict[str, Any]:
    """Format 1 held single voxels, of which nothing is learned any more."""
    return {**said, "features": []}


def _of_values(said: dict[str, Any]) -> dict[str, Any]:
    """Format 2 held values instead of ranks, of which nothing is learned any more."""
    return {**said, "features": []}


UPGRADES: tuple[Upgrade, ...] = (_of_voxels, _of_values)
FORMAT = len(UPGRADES) + 1
_HEADER = "voxledger"
_RESTORE = "restore it with `dvc checkout`, or in a clone `dvc pull`"


@dataclass(frozen=True)
class DrawnCells:
    """Cells that were drawn; one that touches several errors is there once for each."""

    features: npt.NDArray[np.float32]
    """(n, `FEATURES`): ranks in the round; the last column is the place of the class in `Judged.errors`."""
    asked: npt.NDArray[np.float32]
    """(n,): share of its voxels that is in question."""
    error: npt.NDArray[np.int32]
    """(n,): number of the error that a cell is of, counted over the classes from 1; 0 in what is right."""
    weight: npt.NDArray[np.float32]
    """(n,): cells that it stands for."""
    place: npt.NDArray[np.int32]
    """(n, 3): where a cell lies on the grid of cells of its class."""


@dataclass(frozen=True)
class Judged:
    """One case, as it was judged in one round; its cells wait in a file."""

    path: Path
    case_id: str
    round: int
    audited: bool
    """Whether the case was drawn blindly."""
    errors: Mapping[str, int]
    """Visible errors by class that was judged."""

    @property
    def count(self) -> int:
        """Errors of all classes."""
        return sum(self.errors.values())

    @property
    def in_question(self) -> int:
        """Of these, those with a cell that was drawn: in the others all models are certain. Read now."""
        from safetensors import safe_open

        with safe_open(self.path, framework="np") as stream:
            return int(np.count_nonzero(np.unique(stream.get_tensor("error"))))

    def cells(self) -> DrawnCells:
        """Its cells, read now."""
        from safetensors.numpy import load_file

        found = DrawnCells(**load_file(self.path))
        if len({len(part) for part in vars(found).values()}) > 1:
            raise VoxledgerError(f"{self.path} holds arrays that do not fit each other", _RESTORE)
        return found


def draw_cells(
    case: CaseCells,
    attention: Attention,
    ranks: Ranks,
    after: npt.NDArray[Any],
    revised: Mapping[str, bool],
    tolerance_mm: float,
    seed: str,
    audited: bool,
) -> tuple[dict[str, int], DrawnCells]:
    """Errors by class, and cells.

    Parameters
    ----------
    case
        With the label map that people were shown.
    attention
        Of the published criteria.
    ranks
        Of the round.
    after
        The label map that it became (z, y, x).
    revised
        By class that was judged, whether it was revised, or else accepted: then all of it was right.
    seed
        Names case and round.
    audited
        Whether the case was drawn blindly: then all cells are kept.
    """
    errors: dict[str, int] = {}
    drawn: list[_Draw] = []
    boxes = label_boxes(after)
    for number, (name, changed) in enumerate(revised.items()):
        box = union([case.mask_box(name), *(boxes.get(i) for i in case.schema.ids_of(name))]) if changed else None
        components, count = np.zeros((0, 0, 0), np.int32), 0
        if box is not None:
            was, became = (case.schema.mask(labels[box], name) for labels in (case.labels, after))
            components, count = connected_components(visible_change(was, became, case.grid.spacing, tolerance_mm))
        draw = _Draw(np.random.default_rng(list(hashlib.sha256(f"{seed}/{name}".encode()).digest())))
        if (cells := case.of(attention[name], number)) is not None:
            rows, error = _errors_of(cells, components, box)
            features = ranks(name, cells.features)[rows]
            draw.add(features, cells.asked[rows], error, cells.places[rows], audited)
        draw.count_from(sum(errors.values()))
        errors[name] = count
        drawn.append(draw)
    return errors, DrawnCells(
        np.concatenate([d.features for d in drawn]),
        np.concatenate([d.asked for d in drawn]),
        np.concatenate([d.error for d in drawn]),
        np.concatenate([d.weights() for d in drawn]),
        np.concatenate([d.place for d in drawn]),
    )


def _errors_of(
    cells: Cells, components: npt.NDArray[Any], box: Box | None
) -> tuple[npt.NDArray[np.int32], npt.NDArray[np.int32]]:
    """Every cell with every error that it is of, or 0; errors are numbered in an array that fills a box."""
    every = np.arange(len(cells.features), dtype=np.int32)
    if box is None:
        return every, np.zeros(len(every), np.int32)
    voxels, of = cells.voxels(cells.touching(box))
    error = _looked_up(components, box, voxels)
    pairs = np.unique(np.stack([of, error], axis=1)[error > 0], axis=0)
    right = np.setdiff1d(every, pairs[:, 0])
    found = np.concatenate([pairs, np.stack([right, np.zeros_like(right)], axis=1)])
    found = found[np.lexsort((found[:, 1], found[:, 0]))]
    return found[:, 0], found[:, 1]


def _looked_up(components: npt.NDArray[Any], box: Box, voxels: npt.NDArray[np.int32]) -> npt.NDArray[np.int32]:
    """The number at each voxel (n, 3) of an array that fills a box; 0 outside of it."""
    found = np.zeros(len(voxels), np.int32)
    at = voxels - np.array([s.start for s in box], np.int32)
    inside = ((at >= 0) & (at < np.array(components.shape))).all(axis=1)
    found[inside] = components[tuple(at[inside].T)]
    return found


class _Draw:
    """Cells of a class drawn by chance: of every error, and of what is right, those of lowest lot."""

    def __init__(self, rng: np.random.Generator) -> None:
        self._rng = rng
        self._seen: dict[int, int] = {}
        self.features = np.zeros((0, len(FEATURES)), np.float32)
        self.asked = np.zeros(0, np.float32)
        self.error = np.zeros(0, np.int32)
        self.place = np.zeros((0, 3), np.int32)

    def add(
        self,
        features: npt.NDArray[np.float32],
        asked: npt.NDArray[np.float32],
        error: npt.NDArray[np.int32],
        place: npt.NDArray[np.int32],
        everything: bool,
    ) -> None:
        numbers, counts = np.unique(error, return_counts=True)
        self._seen = dict(zip(numbers.tolist(), counts.tolist(), strict=True))
        order = np.lexsort((self._rng.random(len(error)), error))
        ranked = error[order]
        rank = np.arange(len(order)) - np.searchsorted(ranked, ranked, "left")
        kept = np.sort(order[(rank < np.where(ranked, OF_ERROR, RIGHT)) | everything])
        self.features, self.asked = features[kept], asked[kept]
        self.error, self.place = error[kept], place[kept]

    def weights(self) -> npt.NDArray[np.float32]:
        """How many cells each stands for."""
        numbers, place, count = np.unique(self.error, return_inverse=True, return_counts=True)
        each = np.array([self._seen[n] for n in numbers.tolist()]) / count
        return each[place].astype(np.float32)

    def count_from(self, before: int) -> None:
        """Number the errors from `before` + 1."""
        self._seen = {n + before if n else 0: count for n, count in self._seen.items()}
        self.error = np.where(self.error, self.error + np.int32(before), 0).astype(np.int32)


def write_judged(judged: Judged, cells: DrawnCells) -> None:
    """Write a case to its path; the bytes depend on the content alone."""
    from safetensors.numpy import save_file

    said = {
        **{"format": FORMAT, "case_id": judged.case_id, "round": judged.round, "audited": judged.audited},
        **{"classes": list(judged.errors), "errors": list(judged.errors.values()), "features": list(FEATURES)},
    }
    save_file(vars(cells), judged.path, metadata={_HEADER: json.dumps(said, sort_keys=True)})


def read_judged(path: Path) -> Judged | None:
    """Read what a file says of a case, without its cells; None of one that holds single voxels.

    Raises
    ------
    VoxledgerError
        The file is damaged, or of other features.
    """
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="np") as stream:
            said = upgraded(json.loads((stream.metadata() or {})[_HEADER]), UPGRADES, str(path))
            shape = stream.get_slice("features").get_shape()
        errors = dict(zip(said["classes"], map(int, said["errors"]), strict=True))
        found = Judged(path, str(said["case_id"]), int(said["round"]), bool(said["audited"]), errors)
        same = said["features"] == list(FEATURES) and shape[1:] == [len(FEATURES)]
    except (OSError, SafetensorError, KeyError, ValueError, TypeError) as error:
        raise VoxledgerError(f"{path} holds no judged cells: {error}", _RESTORE) from None
    if not said["features"]:
        return None
    if not same:
        raise VoxledgerError(f"{path} holds cells of other features", _RESTORE)
    return found


def teaching(judged: Sequence[Judged]) -> list[Judged]:
    """Those of cases that were in no blind audit, which set the threshold."""
    audited = {one.case_id for one in judged if one.audited}
    return [one for one in judged if one.case_id not in audited]


def all_judged(folder: Path, pool: Iterable[Case]) -> list[Judged]:
    """What lies in a folder of the cases of the pool, sorted by round and case; none where there is no folder.

    Of a patient of whom a case was audited blindly, audited cases alone: others would teach what sets the threshold.
    """
    patients = {case.case_id: case.patient for case in pool}
    found = [one for path in sorted(folder.glob("*.safetensors")) if (one := read_judged(path))]
    counted = apart([one for one in found if one.case_id in patients], patients)
    return sorted(counted, key=lambda one: (one.round, one.case_id))


def outdated(folder: Path) -> int:
    """How many files in a folder are of formats of which nothing is learned any more."""
    return sum(read_judged(path) is None for path in folder.glob("*.safetensors"))


def apart(judged: Sequence[Judged], patients: Mapping[str, str]) -> list[Judged]:
    """Without cases that were not audited of patients of whom another was; `patients` has the patient of every case."""
    audited = {patients[one.case_id] for one in judged if one.audited}
    return [one for one in judged if one.audited or patients[one.case_id] not in audited]
