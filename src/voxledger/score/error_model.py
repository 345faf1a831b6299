"""A model of where errors are: gradient boosting on what `voxledger.score.cells` knows of small cells of the image.

Trees are learned by scikit-learn (`HistGradientBoostingClassifier`) and kept as plain arrays, which `walk` of
`voxledger.score.cell_kernels` reads to the same numbers: nothing is ever unpickled.

People see regions, not cells. A region is cells that hang together and of which the trees say at least `EXTENT`; it is
as likely an error as its likeliest cell, and is attended to whole or not at all (hysteresis, Canny 1986).

What a tree ensemble says is no probability on other cases. Two numbers make it one (Platt 1999), fitted on the cases of
the blind audits, which it did not learn from. On these the threshold is set too, by conformal risk control
(Angelopoulos et al. 2022): of the highest threshold with n / (n + 1) · risk + 1 / (n + 1) ≤ `miss`, where the risk is
the mean over n audited patients with errors of the share of errors that no region above it touches, the expected share
of missed errors in another such patient is at most `miss`. Units are patients, since several cases of one are not
exchangeable with cases of others. Audits of the newest rounds count, of as few as a threshold can be set by: the
networks of earlier ones erred elsewhere.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.errors import VoxledgerError

TREES, DEPTH, RATE = 100, 5, 0.1
"""How many trees, edges from the root of one to a leaf, and what each adds of what it finds."""
EXTENT = -1.3863
"""Score from which cells hang together: the trees' odds of 1 to 4. Below it, every cell is a region of its own."""
SMALLEST = 0.25
"""Least voxels in question of a region, in cells: what is smaller is no error that people see."""

Numbers = npt.NDArray[np.float64]
_NOBODY = np.zeros(0, np.int32), np.zeros(0, np.int32), np.zeros(0)


@dataclass(frozen=True)
class ErrorModel:
    """The trees, how they become a probability, and what they said of the audited cases."""

    feature: npt.NDArray[np.int16]
    """(tree, node): node k goes on to 2k + 1 where the feature is at most the bound, else to 2k + 2."""
    bound: npt.NDArray[np.float32]
    """(tree, node)."""
    value: Numbers
    """(tree, leaf), from left to right."""
    start: Numbers
    """(1,): what the trees add to."""
    platt: Numbers
    """(2,): factor and summand that make a score the logarithm of the odds."""
    audited: npt.NDArray[np.int32]
    """(error,): number of the audited patient in whom an error lies."""
    round: npt.NDArray[np.int32]
    """(error,): when it was audited."""
    found_at: Numbers
    """(error,): the highest `region_scores` in it, −∞ where no voxel of it is in question."""

    def scores(self, rows: npt.NDArray[np.float32]) -> Numbers:
        """What the trees say of cells (n, features), the higher the likelier an error."""
        from voxledger.score.cell_kernels import walk

        found: Numbers = np.full(len(rows), self.start[0])
        walk(np.ascontiguousarray(rows), self.feature, self.bound, self.value, found)
        return found

    def probabilities(self, scores: Numbers) -> Numbers:
        """Probability of an error by score."""
        odds: Numbers = self.platt[0] * scores + self.platt[1]
        return np.asarray(1.0 / (1.0 + np.exp(-np.clip(odds, -50, 50))))

    def threshold(self, miss: float) -> float | None:
        """The score from which regions are attended to; None where too few patients were audited for `miss`."""
        newest = self._newest(miss)
        return conformal_threshold(self.audited[newest], self.found_at[newest], miss)

    def audited_patients(self, miss: float) -> int:
        """Audited patients with errors, of the rounds that set the threshold for `miss`."""
        return len(np.unique(self.audited[self._newest(miss)]))

    def _newest(self, miss: float) -> npt.NDArray[np.bool_]:
        """Which errors are of the newest rounds that a threshold can be set by; all where none can."""
        for number in sorted(set(self.round.tolist()), reverse=True):
            since: npt.NDArray[np.bool_] = self.round >= number
            if conformal_threshold(self.audited[since], self.found_at[since], miss) is not None:
                return since
        return np.ones(len(self.round), np.bool_)


def patients_needed(miss: float) -> int:
    """Audited patients with errors that a threshold takes at least.

    Examples
    --------
    >>> [patients_needed(miss) for miss in (0.05, 0.15, 0.25)]
    [19, 6, 3]
    """
    return int(np.ceil(1 / miss - 1 - 1e-9))


def region_scores(places: npt.NDArray[np.int32], scores: Numbers, asked: npt.NDArray[np.float32]) -> Numbers:
    """By cell the highest score of its region; its own where that is below `EXTENT`, −∞ in regions below `SMALLEST`.

    Parameters
    ----------
    places
        (n, 3): where cells in question lie on a grid; others are no part of any region.
    asked
        (n,): share of its voxels that is in question.

    Examples
    --------
    >>> places = np.array([[0, 0, 0], [0, 0, 1], [0, 0, 3], [0, 0, 2]], np.int32)
    >>> region_scores(places, np.array([-1.0, 2.0, -0.5, -3.0]), np.array([0.2, 0.1, 0.1, 0.5])).tolist()
    [2.0, 2.0, -inf, -3.0]
    """
    from voxledger.imaging.components import connected_components

    high, found = scores >= EXTENT, np.where(asked < SMALLEST, -np.inf, scores)
    if high.any():
        at = places[high] - places[high].min(axis=0)
        grid, share = (np.zeros(at.max(axis=0) + 1, kind) for kind in (np.bool_, np.float32))
        grid[tuple(at.T)], share[tuple(at.T)] = True, asked[high]  # a cell may be there several times
        regions, count = connected_components(grid)
        peak = np.full(count + 1, -np.inf)
        region = regions[tuple(at.T)]
        np.maximum.at(peak, region, scores[high])
        peak[np.bincount(regions[grid], share[grid], count + 1) < SMALLEST] = -np.inf
        found[high] = peak[region]
    return found


def conformal_threshold(patient: npt.NDArray[np.int32], found_at: Numbers, miss: float) -> float | None:
    """The highest threshold of scores that keeps the expected share of missed errors in a patient to `miss`.

    Parameters
    ----------
    patient, found_at
        Of every error: a number of its patient, and the highest score that lies in it.

    Examples
    --------
    Of nine patients with an error each, one may be missed where a fifth of the errors may:

    >>> conformal_threshold(np.arange(9), np.arange(9.0), 0.2)
    1.0
    >>> conformal_threshold(np.arange(3), np.arange(3.0), 0.2) is None
    True
    """
    _, number, errors = np.unique(patient, return_inverse=True, return_counts=True)
    patients = len(errors)
    if not patients:
        return None
    share = 1.0 / errors[number]
    order = np.argsort(found_at, kind="stable")
    ranked = found_at[order]
    # With the threshold at one error's score, those below it are missed.
    missed = np.concatenate([[0.0], np.cumsum(share[order])])[np.searchsorted(ranked, ranked, "left")]
    allowed = (missed + 1.0) / (patients + 1) <= miss + 1e-12
    possible = ranked[allowed & np.isfinite(ranked)]
    return float(possible.max()) if possible.size else None


def learn_trees(rows: npt.NDArray[np.float32], wrong: npt.NDArray[np.bool_], weight: Numbers, seed: int) -> ErrorModel:
    """Trees from cells (n, features) that were judged; on one thread, so that they repeat bit for bit."""
    from sklearn.ensemble import HistGradientBoostingClassifier
    from threadpoolctl import threadpool_limits

    boosting = HistGradientBoostingClassifier(
        max_iter=TREES,
        max_depth=DEPTH,
        max_leaf_nodes=None,
        learning_rate=RATE,
        l2_regularization=1.0,
        early_stopping=False,
        random_state=seed,
    )
    with threadpool_limits(1):
        boosting.fit(rows, wrong, sample_weight=weight)
    trees = [_full(tree.nodes) for (tree,) in boosting._predictors]
    feature, bound, value = (np.stack(part) for part in zip(*trees, strict=True))
    start = np.asarray(boosting._baseline_prediction, np.float64).reshape(1)
    return ErrorModel(feature, bound, value, start, np.array([1.0, 0.0]), *_NOBODY)


def _full(nodes: npt.NDArray[Any]) -> tuple[npt.NDArray[np.int16], npt.NDArray[np.float32], Numbers]:
    """A tree of scikit-learn as a full one; below its leaves all ways lead left, to the same value.

    Bounds become the nearest float32 below: of features, which are float32, the same ones exceed it.
    """
    feature = np.zeros(2**DEPTH - 1, np.int16)
    bound, value = np.full(2**DEPTH - 1, np.inf), np.zeros(2**DEPTH)

    def fill(place: int, node: int) -> None:
        if place >= len(feature):
            value[place - len(feature)] = nodes[node]["value"]
        elif nodes[node]["is_leaf"]:
            fill(2 * place + 1, node)
        else:
            feature[place], bound[place] = nodes[node]["feature_idx"], nodes[node]["num_threshold"]
            fill(2 * place + 1, int(nodes[node]["left"]))
            fill(2 * place + 2, int(nodes[node]["right"]))

    fill(0, 0)
    below = bound.astype(np.float32)
    return feature, np.where(below > bound, np.nextafter(below, np.float32(-np.inf)), below), value


def platt(scores: Numbers, wrong: npt.NDArray[np.bool_], weight: Numbers) -> Numbers:
    """Factor (above 0) and summand that make scores the logarithm of the odds; 1 and 0 where nothing tells them."""
    from sklearn.linear_model import LogisticRegression
    from threadpoolctl import threadpool_limits

    if not wrong.any() or wrong.all():
        return np.array([1.0, 0.0])
    with threadpool_limits(1):
        line = LogisticRegression().fit(scores[:, None], wrong, sample_weight=weight)
    return np.array([max(line.coef_[0, 0], 0.05), line.intercept_[0]])


def tensors_of(model: ErrorModel) -> dict[str, npt.NDArray[Any]]:
    """The arrays of a model by name."""
    return {field.name: np.ascontiguousarray(getattr(model, field.name)) for field in fields(ErrorModel)}


def read_error_model(weights: Path, features: int) -> ErrorModel:
    """The model in a file of weights; `features` is how many a cell has.

    Raises
    ------
    VoxledgerError
        The file holds no such model, or one of other features.
    """
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        model = ErrorModel(**load_file(weights))
        trees, inner = model.feature.shape
        fits = inner + 1 == model.value.shape[1] and model.bound.shape == (trees, inner) and len(model.value) == trees
        fits &= model.feature.size == 0 or 0 <= int(model.feature.min()) <= int(model.feature.max()) < features
        fits &= model.audited.shape == model.round.shape == model.found_at.shape == (len(model.audited),)
    except (OSError, SafetensorError, TypeError, ValueError, IndexError, AttributeError) as error:
        raise VoxledgerError(f"{weights} is no model of errors: {error}", "restore it with `dvc checkout`") from None
    if not fits:
        raise VoxledgerError(f"{weights} holds trees of other features", "restore it with `dvc checkout`")
    return model
