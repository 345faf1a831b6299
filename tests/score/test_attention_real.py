"""Equality with the plain implementation on real anatomy: labels of patients, made soft in a different way a model."""

from __future__ import annotations

from pathlib import Path

import ensembles
import numpy as np
import pytest
from scipy import ndimage
from test_attention import assert_equal_to_plain

from voxledger.imaging.attention_file import Criterion
from voxledger.imaging.volume import read, read_label
from voxledger.params import ScoreParams
from voxledger.phantom.make import make_phantom
from voxledger.phantom.scanner import SITES, Size
from voxledger.schema import LabelClass, LabelSchema, read_schema

DATA = Path(__file__).parents[2].parent / "shared" / "data"
MODELS = [(0.7, (0, 0, 0)), (1.5, (1, 0, -2)), (1.0, (0, 3, 1))]
"""Blur in voxels and displacement in voxels of each model."""


def soft(mask, blur, shift):
    moved = ndimage.shift(ndimage.gaussian_filter(mask.astype(np.float32), blur), shift, order=1)
    return ensembles.as_stored(np.clip(moved, 0, 1))


@pytest.mark.skipif(not (DATA / "hippocampus").is_dir(), reason="no ../shared/data/hippocampus")
@pytest.mark.parametrize("entropy", ["one_sided", "categorical"])
@pytest.mark.parametrize("case", ["hippocampus_004", "hippocampus_006"])
def test_hippocampus(tmp_path, case, entropy):
    path = DATA / f"hippocampus/labels/{case}.nii.gz"
    grid, labels = read(path).grid, read_label(path)
    schema = LabelSchema(
        name="hippocampus", classes=(LabelClass(id=1, name="anterior"), LabelClass(id=2, name="posterior"))
    )
    models = [{c.name: soft(labels == c.id, *m) for c in schema.classes} for m in MODELS]
    attention = assert_equal_to_plain(tmp_path, models, schema, ScoreParams(entropy=entropy), grid)
    assert all(attention[name].attention > 0 for name in schema.names)


def test_phantom(tmp_path):
    schema = read_schema(Path(__file__).parents[2] / "labels.yaml")
    phantom = make_phantom(0, 0, SITES["a"], Size.SMALL, lesion_share=1.0)
    models = [{n: soft(schema.mask(phantom.labels, n), *m) for n in schema.names} for m in MODELS]
    attention = assert_equal_to_plain(tmp_path, models, schema, ScoreParams(), phantom.grid)
    assert attention["liver"].attention > 0
    assert attention["pancreas"].voxels[Criterion.OVERLAPPING] < attention["pancreas"].predicted


@pytest.mark.slow
@pytest.mark.skipif(not (DATA / "totalsegmentator").is_dir(), reason="no ../shared/data/totalsegmentator")
def test_whole_body_ct(tmp_path):
    path = DATA / "totalsegmentator/example_seg_fast_force_split.nii.gz"
    grid, labels = read(path).grid, read_label(path)
    ids, voxels = np.unique(labels[labels > 0], return_counts=True)
    largest = sorted(int(i) for i in ids[np.argsort(-voxels, kind="stable")][:15])
    schema = LabelSchema(name="ct", classes=tuple(LabelClass(id=i, name=f"class{i}") for i in largest))
    models = [{c.name: soft(labels == c.id, *m) for c in schema.classes} for m in MODELS]
    attention = assert_equal_to_plain(tmp_path, models, schema, ScoreParams(), grid)
    assert all(attention[name].attention > 0 for name in schema.names)
