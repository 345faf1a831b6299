"""What is said of a cell, as its rank among the cells of the round.

Networks that learned more are surer: a deviation of 0.1 that marked few cells of one round marks hardly any of the
next, and a model that learned from values falls silent where errors are as many. So a value counts as the share of the
cells of its class that lie below it in this round (quantile normalisation, Bolstad et al. 2003), from 0 to 1.

The cells are those of classes that nobody stands behind, in `MOST_CASES` cases of the pool, drawn by chance; every case
counts as much as any other.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from voxledger.errors import VoxledgerError
from voxledger.score.cells import FEATURES
from voxledger.textfile import replace_bytes

MOST_CASES = 64
OF_CASE, OF_CLASS = 33, 129
"""Quantiles that are taken of a case, and of all cases together."""
_RESTORE = "run `dvc repro score`, or in a clone `dvc pull`"

Quantiles = npt.NDArray[np.float32]
"""(quantile, feature): those of `FEATURES` but the class, from the lowest to the highest."""


def quantiles(features: npt.NDArray[np.float32], count: int = OF_CASE) -> Quantiles:
    """Of cells (n, `FEATURES`), one at least."""
    found: Quantiles = np.quantile(features[:, :-1], np.linspace(0, 1, count), axis=0).astype(np.float32)
    return found


@dataclass(frozen=True)
class Ranks:
    """What values come to in one round."""

    of: Mapping[str, Quantiles]
    """By class."""

    def __call__(self, name: str, features: npt.NDArray[np.float32]) -> npt.NDArray[np.float32]:
        """Cells of a class (n, `FEATURES`) with ranks instead of values, but for the class.

        A class of which no cell is known is ranked among all others, and is in the middle where there are none.

        Examples
        --------
        >>> cells = np.repeat(np.array([[0.0], [1.0], [2.0]], np.float32), len(FEATURES), axis=1)
        >>> Ranks({"liver": quantiles(cells, 3)})("liver", cells)[:, 0].round(2).tolist()
        [0.17, 0.5, 0.83]
        """
        found = features.copy()
        if not self.of:
            found[:, :-1] = 0.5
            return found
        known = self.of[name] if name in self.of else _together(list(self.of.values()))
        for column, among in enumerate(known.T):
            below, up_to = (np.searchsorted(among, features[:, column], side) for side in ("left", "right"))
            found[:, column] = (below + up_to) / (2 * len(among))
        return found


def ranks_of(cases: Sequence[dict[str, list[list[float]]]]) -> Ranks:
    """Ranks of a round from the `quantiles` of its cases by class."""
    by_class: dict[str, list[Quantiles]] = {}
    for case in cases:
        for name, values in case.items():
            by_class.setdefault(name, []).append(np.asarray(values, np.float32))
    return Ranks({name: _together(values) for name, values in by_class.items()})


def _together(several: Sequence[Quantiles]) -> Quantiles:
    found: Quantiles = np.quantile(np.concatenate(several), np.linspace(0, 1, OF_CLASS), axis=0).astype(np.float32)
    return found


def write_ranks(path: Path, ranks: Ranks) -> None:
    """Write them whole or not at all; the bytes depend on the content alone."""
    from safetensors.numpy import save

    replace_bytes(path, save({name: np.ascontiguousarray(values) for name, values in ranks.of.items()}))


def read_ranks(path: Path) -> Ranks:
    """Read what `write_ranks` wrote.

    Raises
    ------
    VoxledgerError
        There is no such file, it is damaged, holds what are no quantiles, or is of other features.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        found = load_file(path)
    except (OSError, SafetensorError, TypeError, AttributeError) as error:  # numpy does not know every kind of number
        raise VoxledgerError(f"{path} holds no ranks: {error}", _RESTORE) from None
    if any(values.shape != (OF_CLASS, len(FEATURES) - 1) for values in found.values()):
        raise VoxledgerError(f"{path} holds ranks of other features", _RESTORE)
    if not all(values.dtype == np.float32 and (values[1:] >= values[:-1]).all() for values in found.values()):
        raise VoxledgerError(f"{path} holds no ranks: its numbers are no quantiles", _RESTORE)
    return Ranks(found)
