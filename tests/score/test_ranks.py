"""Ranks of values among the cells of a round."""

from __future__ import annotations

import json
import os
import pickle
import subprocess

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from safetensors.numpy import save_file

from voxledger.errors import VoxledgerError
from voxledger.score.cells import FEATURES
from voxledger.score.ranks import OF_CLASS, Ranks, quantiles, ranks_of, read_ranks, write_ranks

SHAPE = (OF_CLASS, len(FEATURES) - 1)


def cells(values):
    """Cells that have the same value in every feature."""
    return np.repeat(np.asarray(values, np.float32)[:, None], len(FEATURES), axis=1)


def round_of(*cases, name="organ"):
    return ranks_of([{name: quantiles(cells(values)).tolist()} for values in cases])


def test_a_rank_is_the_share_that_lies_below():
    values = np.random.default_rng(0).normal(size=4000)
    asked = np.quantile(values, [0.1, 0.5, 0.9])
    found = round_of(values)("organ", cells(asked))
    np.testing.assert_allclose(found[:, 0], [0.1, 0.5, 0.9], atol=0.01)
    np.testing.assert_array_equal(found[:, -1], np.float32(asked), "the class is no value")


@given(arrays.arrays(np.float32, st.integers(1, 50), elements=st.floats(-1e6, 1e6, width=32)))
def test_ranks_lie_from_0_to_1_and_keep_the_order(values):
    found = round_of(values, [0.0, 1.0])("organ", cells(values))[:, 0]
    assert ((found >= 0) & (found <= 1)).all()
    order = np.argsort(values, kind="stable")
    assert (np.diff(found[order]) >= 0).all()


def test_models_that_became_surer_change_nothing():
    """Where all values shrink alike, as those of models that learned more."""
    rng = np.random.default_rng(1)
    cases = [rng.gamma(2, 1, rng.integers(5, 300)) for _ in range(20)]
    before, after = round_of(*cases), round_of(*(np.sqrt(one) / 10 for one in cases))
    one = before("organ", cells(cases[3]))[:, :-1]
    np.testing.assert_allclose(after("organ", cells(np.sqrt(cases[3]) / 10))[:, :-1], one, atol=0.03)


def test_every_case_counts_as_much_as_any_other():
    found = round_of(np.zeros(10_000), np.ones(3))("organ", cells([0.5]))
    assert found[0, 0] == pytest.approx(0.5, abs=0.01)


def test_a_class_without_a_cell_is_ranked_among_the_others():
    known = ranks_of([{"organ": quantiles(cells([0.0, 1.0])).tolist()}, {"vessel": quantiles(cells([2.0])).tolist()}])
    assert known("gland", cells([3.0]))[0, 0] == 1
    assert known("gland", cells([-1.0]))[0, 0] == 0
    assert known("gland", cells([1.5]))[0, 0] == pytest.approx(0.5, abs=0.01)
    assert (Ranks({})("gland", cells([3.0]))[:, :-1] == 0.5).all(), "of a round of which nothing is known"


def test_one_cell_and_none_at_all():
    assert round_of([2.0])("organ", cells([1.0, 2.0, 3.0]))[:, 0].tolist() == [0, 0.5, 1]
    assert ranks_of([{}]).of == {}
    assert round_of([2.0])("organ", cells([])).shape == (0, len(FEATURES))


def test_they_are_read_as_they_were_written(tmp_path):
    ranks = round_of(np.random.default_rng(2).normal(size=50))
    write_ranks(tmp_path / "one", ranks)
    write_ranks(tmp_path / "other", Ranks(dict(ranks.of)))
    assert (tmp_path / "one").read_bytes() == (tmp_path / "other").read_bytes()
    np.testing.assert_array_equal(read_ranks(tmp_path / "one").of["organ"], ranks.of["organ"])
    write_ranks(tmp_path / "none", Ranks({}))
    assert read_ranks(tmp_path / "none").of == {}


@pytest.mark.parametrize("content", [None, b"", pickle.dumps({"organ": 1})], ids=["no file", "nothing", "a pickle"])
def test_what_holds_no_ranks_is_refused(tmp_path, content):
    if content is not None:
        (tmp_path / "ranks").write_bytes(content)
    with pytest.raises(VoxledgerError, match="holds no ranks"):
        read_ranks(tmp_path / "ranks")


@pytest.mark.parametrize(
    "values",
    [
        np.full(SHAPE, np.nan, np.float32),
        np.linspace(1, 0, OF_CLASS, dtype=np.float32)[:, None] * np.ones(SHAPE, np.float32),
        np.zeros(SHAPE, bool),
    ],
    ids=["not a number", "falling", "of another kind"],
)
def test_what_are_no_quantiles_is_refused(tmp_path, values):
    """Else cells would get ranks that mean nothing, and nobody would notice."""
    save_file({"organ": values}, tmp_path / "ranks")
    with pytest.raises(VoxledgerError, match="numbers are no quantiles"):
        read_ranks(tmp_path / "ranks")


def test_numbers_that_numpy_does_not_know_are_refused(tmp_path):
    size = SHAPE[0] * SHAPE[1]
    for kind, width in (("BF16", 2), ("F8_E4M3", 1)):
        header = {"organ": {"dtype": kind, "shape": SHAPE, "data_offsets": [0, width * size]}}
        told = json.dumps(header).encode()
        (tmp_path / "ranks").write_bytes(len(told).to_bytes(8, "little") + told + bytes(width * size))
        with pytest.raises(VoxledgerError, match="holds no ranks"):
            read_ranks(tmp_path / "ranks")


def test_what_a_killed_process_left_is_removed(tmp_path):
    """It would enter a commit: git does not ignore what else lies in the folder."""
    ended = subprocess.Popen(["true"])
    ended.wait()
    (tmp_path / f".ranks.safetensors.{ended.pid}").write_bytes(b"half")
    before = os.umask(0o027)
    try:
        write_ranks(tmp_path / "ranks.safetensors", Ranks({}))
    finally:
        os.umask(before)
    assert [path.name for path in tmp_path.iterdir()] == ["ranks.safetensors"]
    assert (tmp_path / "ranks.safetensors").stat().st_mode & 0o777 == 0o640, "as all that stages write"


def test_ranks_of_other_features_are_refused(tmp_path):
    write_ranks(tmp_path / "ranks", Ranks({"organ": np.zeros((OF_CLASS, 2), np.float32)}))
    with pytest.raises(VoxledgerError, match="ranks of other features"):
        read_ranks(tmp_path / "ranks")
