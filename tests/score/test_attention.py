"""The fast attention equals the plain one voxel by voxel."""

from __future__ import annotations

import ensembles
import numpy as np
import plain_attention
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.attention_file import PUBLISHED, Criterion
from voxledger.imaging.boxes import bounding_box
from voxledger.imaging.volume import Grid
from voxledger.params import ScoreParams
from voxledger.score.attention import Attention


def whole(attention, name):
    found = attention[name]
    bits = np.zeros(attention.grid.shape, np.uint8)
    if found.box is not None:
        bits[found.box] = found.bits
    return bits


def assert_equal_to_plain(tmp_path, models, schema, params, grid=None):
    attention = Attention(ensembles.write_ensemble(tmp_path, models, grid), schema, params)
    bits, heat = plain_attention.attention(models, schema, params)
    for name in schema.names:
        fast = whole(attention, name)
        np.testing.assert_array_equal(fast, bits[name], err_msg=name)
        found = attention[name]
        assert found.box == bounding_box(bits[name])
        assert found.attention == np.count_nonzero(bits[name])
        assert found.voxels == {c: np.count_nonzero(bits[name] & c) for c in PUBLISHED}
        known = [m[name] for m in models if name in m]
        if known:
            mean = plain_attention.over_those_that_looked(np.nanmean, np.stack(known))
            assert found.predicted == np.count_nonzero(mean > 0.5)
            formula = plain_attention.binary if params.entropy == "binary" else plain_attention.one_sided
            entropy = plain_attention.over_those_that_looked(np.nanmean, np.stack([formula(p) for p in known]))
            assert found.entropy == pytest.approx(entropy.sum(), abs=1e-6)
    assert np.abs(attention.heat / 255 - heat).max() <= 1.01 / 255
    return attention


@pytest.mark.parametrize("opening", [0, 1, 3])
@pytest.mark.parametrize("shape", [(20, 23, 19), (3, 30, 30), (2, 9, 9), (7, 7, 7)])
def test_equals_plain_for_every_opening(tmp_path, shape, opening):
    schema = ensembles.schema_of(3)
    probabilities = ensembles.ensemble(shape, schema.names, 3, seed=opening)
    attention = assert_equal_to_plain(tmp_path, probabilities, schema, ScoreParams(opening=opening))
    if opening == 0:
        assert sum(attention[n].attention for n in schema.names) > 0


NESTED = {"c1": {"inside": "c0", "lesion": True}, "c2": {"may_overlap": ("c3",)}}


@pytest.mark.parametrize("entropy", ["one_sided", "binary", "categorical"])
@pytest.mark.parametrize(
    ("shape", "models"),
    [((40, 37, 45), 3), ((70, 20, 33), 2), ((12, 140, 20), 5), ((9, 9, 9), 1), ((1, 30, 30), 3), ((5, 5, 5), 2)],
)
def test_equals_plain(tmp_path, shape, models, entropy):
    schema = ensembles.schema_of(5, **NESTED)
    probabilities = ensembles.ensemble(shape, schema.names, models, seed=models)
    attention = assert_equal_to_plain(tmp_path, probabilities, schema, ScoreParams(entropy=entropy))
    if min(shape) >= 20:
        assert sum(attention[n].attention for n in schema.names) > 0


def test_every_criterion_occurs(tmp_path):
    schema = ensembles.schema_of(4, **NESTED)
    models = ensembles.ensemble((40, 40, 40), schema.names, 3, seed=1, wobble=9)
    attention = assert_equal_to_plain(tmp_path, models, schema, ScoreParams())
    for criterion in PUBLISHED:
        assert any(attention[n].voxels[criterion] for n in schema.names), criterion
    assert attention["c0"].voxels[Criterion.OVERLAPPING] > 0


def test_overlap_that_the_schema_allows_is_none(tmp_path):
    schema = ensembles.schema_of(2, c1={"inside": "c0"})
    models = [{n: np.full((8, 8, 8), 0.9) for n in schema.names}]
    models = [{n: ensembles.as_stored(p) for n, p in m.items()} for m in models]
    attention = assert_equal_to_plain(tmp_path, models, schema, ScoreParams())
    assert attention["c0"].voxels[Criterion.OVERLAPPING] == 0
    apart = ensembles.schema_of(2)
    attention = assert_equal_to_plain(tmp_path / "apart", models, apart, ScoreParams())
    assert attention["c0"].voxels[Criterion.OVERLAPPING] == 8**3
    assert (attention.heat == 255).all()


def test_all_zero_and_unknown_classes(tmp_path):
    schema = ensembles.schema_of(3)
    zero = np.zeros((10, 12, 14))
    models = [{"c0": zero, "c1": zero}, {"c0": zero}]
    attention = assert_equal_to_plain(tmp_path, models, schema, ScoreParams())
    assert all(attention[n].box is None for n in schema.names)
    assert attention["c1"].models == (0,)
    assert attention["c2"].models == ()
    assert not attention.heat.any()


def test_a_model_that_does_not_know_a_class_has_no_say(tmp_path):
    schema = ensembles.schema_of(2)
    both = ensembles.ensemble((30, 30, 30), schema.names, 2, seed=3)
    models = [both[0], {"c0": both[1]["c0"]}]
    attention = assert_equal_to_plain(tmp_path, models, schema, ScoreParams())
    assert attention["c1"].voxels[Criterion.INCONSISTENT] == 0


EXTENTS = {
    "one in the middle": [None, None, (slice(9, 30), slice(5, 31), slice(3, 33))],
    "all but one, not alike": [
        None,
        (slice(0, 20), slice(0, 40), slice(8, 40)),
        (slice(9, 40), slice(5, 31), slice(0, 40)),
    ],
    "none looked everywhere": [(slice(0, 18), slice(0, 40), slice(0, 40)), (slice(22, 40), slice(9, 40), slice(0, 31))],
    "one did not look": [None, None, (slice(0, 0),) * 3],
    "nobody looked": [(slice(0, 0),) * 3] * 2,
    "across chunks of a file": [None, (slice(3, 39), slice(1, 2), slice(0, 40))],
}


def seen_through(model, extent):
    """The probabilities of a model, NaN outside its extent."""
    if extent is None:
        return model
    outside = np.ones(next(iter(model.values())).shape, bool)
    outside[extent] = False
    return {name: np.where(outside, np.nan, p) for name, p in model.items()}


@pytest.mark.parametrize("entropy", ["one_sided", "categorical"])
@pytest.mark.parametrize("extents", list(EXTENTS.values()), ids=list(EXTENTS))
def test_models_are_counted_where_they_looked(tmp_path, extents, entropy):
    """Outside of its region a model neither disagrees nor agrees, and its classes may be fewer."""
    schema = ensembles.schema_of(4, **NESTED)
    models = ensembles.ensemble((40, 40, 40), schema.names, len(extents), seed=1, wobble=9)
    models = [seen_through(m, e) for m, e in zip(models, extents, strict=True)]
    models[-1] = {n: models[-1][n] for n in ("c0", "c1")}
    attention = assert_equal_to_plain(tmp_path, models, schema, ScoreParams(entropy=entropy, opening=1))
    looked = [i for i, e in enumerate(extents) if e is None or e[0].start < e[0].stop]
    assert attention["c0"].models == tuple(looked)
    claimed = {i: np.nan_to_num(models[i]["c0"]) > 0.5 for i in looked}
    for bit, i in enumerate(looked):
        votes = attention["c0"].votes
        assert sum(n for claim, n in enumerate(votes) if claim >> bit & 1) == np.count_nonzero(claimed[i])


@pytest.mark.parametrize("corner", [(0, 0, 0), (19, 15, 17), (0, 8, 17)])
def test_touching_the_border(tmp_path, corner):
    schema = ensembles.schema_of(1)
    rng = np.random.default_rng(0)
    models = [{"c0": ensembles.as_stored(ensembles.blob((20, 16, 18), corner, (8, 8, 8), 2, rng, 3))} for _ in range(3)]
    assert_equal_to_plain(tmp_path, models, schema, ScoreParams())


def test_one_voxel_does_not_survive_the_opening_and_a_five_cube_does(tmp_path):
    schema = ensembles.schema_of(1)
    for size, expected in ((1, 0), (4, 0), (5, 125)):
        p = np.zeros((12, 12, 12))
        p[3 : 3 + size, 3 : 3 + size, 3 : 3 + size] = 0.5
        attention = assert_equal_to_plain(tmp_path / str(size), [{"c0": p}], schema, ScoreParams())
        assert attention["c0"].attention == expected


def test_thresholds_by_class(tmp_path):
    schema = ensembles.schema_of(2)
    p = ensembles.ensemble((40, 40, 40), ["c0"], 3, seed=5, softness=3, wobble=9)
    models = [{"c0": m["c0"], "c1": m["c0"]} for m in p]
    params = ScoreParams.model_validate({"classes": {"c1": {"inconsistency": 0.15, "uncertainty": 0.1}}})
    attention = assert_equal_to_plain(tmp_path, models, schema, params)
    for criterion in (Criterion.INCONSISTENT, Criterion.UNCERTAIN):
        assert 0 < attention["c1"].voxels[criterion] < attention["c0"].voxels[criterion]


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    shape=st.tuples(*[st.integers(1, 16)] * 3),
    models=st.integers(1, 4),
    seed=st.integers(0, 2**32 - 1),
    entropy=st.sampled_from(["one_sided", "binary", "categorical"]),
    rough=st.booleans(),
)
def test_equals_plain_on_random_volumes(tmp_path_factory, shape, models, seed, entropy, rough):
    schema = ensembles.schema_of(4, **NESTED)
    if rough:
        rng = np.random.default_rng(seed)
        levels = np.array([0, 0, 0.002, 0.1, 0.3, 0.5, 0.6, 0.9, 1.0])
        probabilities = [
            {
                n: ensembles.as_stored(
                    np.kron(rng.choice(levels, [-(-s // 5) for s in shape]), np.ones((5, 5, 5)))[
                        tuple(slice(0, s) for s in shape)
                    ]
                )
                for n in schema.names
            }
            for _ in range(models)
        ]
    else:
        probabilities = ensembles.ensemble(shape, schema.names, models, seed)
    folder = tmp_path_factory.mktemp("random")
    assert_equal_to_plain(folder, probabilities, schema, ScoreParams(entropy=entropy))


@pytest.mark.parametrize("entropy", ["one_sided", "categorical"])
def test_order_of_models_and_classes_does_not_matter(tmp_path, entropy):
    schema = ensembles.schema_of(4, **NESTED)
    models = ensembles.ensemble((33, 30, 31), schema.names, 3, seed=8, wobble=4)
    params = ScoreParams(entropy=entropy)
    there = Attention(ensembles.write_ensemble(tmp_path / "there", models), schema, params)
    turned = [{n: m[n] for n in reversed(list(m))} for m in reversed(models)]
    back = Attention(ensembles.write_ensemble(tmp_path / "back", turned), schema, params)
    for name in schema.names:
        np.testing.assert_array_equal(whole(there, name), whole(back, name))
        assert there[name].entropy == back[name].entropy
    np.testing.assert_array_equal(there.heat, back.heat)


def test_refuses_what_it_cannot_compute(tmp_path):
    schema = ensembles.schema_of(1)
    small = ensembles.write_ensemble(tmp_path / "a", [{"c0": np.ones((4, 4, 4))}])
    large = ensembles.write_ensemble(tmp_path / "b", [{"c0": np.ones((4, 4, 5))}])
    with pytest.raises(VoxledgerError, match="different grids"):
        Attention(small + large, schema, ScoreParams())
    improper = ensembles.write_ensemble(tmp_path / "c", [{"c0": np.full((4, 4, 4), 1.5)}])
    with pytest.raises(VoxledgerError, match="above 1"):
        Attention(improper, schema, ScoreParams())
    with pytest.raises(Misuse, match="0 models"):
        Attention([], schema, ScoreParams())
    with pytest.raises(Misuse, match="not a class"):
        Attention(small, schema, ScoreParams.model_validate({"classes": {"liver": {}}}))


def test_anisotropic_grid_is_carried(tmp_path):
    schema = ensembles.schema_of(1)
    grid = Grid.plain((20, 20, 20), (5.0, 0.7, 0.7))
    models = ensembles.ensemble(grid.shape, ["c0"], 2, seed=1)
    assert assert_equal_to_plain(tmp_path, models, schema, ScoreParams(), grid).grid == grid
