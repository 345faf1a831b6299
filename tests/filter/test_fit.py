"""Bounds from true lesions, and their way into params.yaml."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.errors import Misuse
from voxledger.filter.chain import read_rules
from voxledger.filter.fit import fit, measure, write_fits
from voxledger.filter.proposal import Reference
from voxledger.imaging.volume import Grid
from voxledger.params import read_params
from voxledger.schema import LabelSchema

SHAPE = (12, 14, 16)
PARAMS = """\
# kept
filter:
  threshold: 0.5             # on the mean
  rules:
    - {rule: minimum_volume, classes: [pdac], ml: 0.01}
    - {rule: volume_ratio, classes: [pdac, cyst], percent: {cyst: 1}}   # organ
    - rule: mean_hu          # in HU
      classes: [pdac, cyst]
"""


def reference(schema: LabelSchema, lesion: slice, hu: int, is_ct: bool = True) -> Reference:
    """A pancreas of 1000 voxels, with a lesion of `lesion` × 5 × 5."""
    labels = np.zeros(SHAPE, np.uint8)
    labels[1:11, 1:11, 1:11] = 5
    labels[lesion, 2:7, 2:7] = 7
    image = np.where(labels == 7, hu, 0).astype(np.int16)
    return Reference(labels, image, Grid.plain(SHAPE), is_ct, schema)


@pytest.fixture
def entries(tmp_path: Path) -> list[dict[str, Any]]:
    (tmp_path / "params.yaml").write_text(PARAMS)
    return read_params(tmp_path / "params.yaml").filter.rules


def cases(schema: LabelSchema) -> list[tuple[str, list[str], Reference]]:
    return [
        ("a", ["pdac"], reference(schema, slice(2, 4), 30)),
        ("b", ["pdac", "cyst"], reference(schema, slice(2, 10), 250)),
        ("c", ["cyst"], reference(schema, slice(2, 3), 900)),  # nobody stands behind its pdac
        ("d", ["pdac"], reference(schema, slice(2, 3), 900, is_ct=False)),
    ]


def test_fit(schema: LabelSchema, entries: list[dict[str, Any]]) -> None:
    found = fit(measure(cases(schema), entries, schema), entries, keep=1.0)
    rows = [(f.entry, f.class_name, f.cases, f.lesions, f.fitted, f.current, f.outside) for f in found]
    assert rows == [
        (1, "cyst", 0, 0, None, 1.0, 0),
        (1, "pdac", 3, 3, 25.0, 133.0, 0),  # 200 of 800 voxels
        (2, "cyst", 0, 0, None, [-33.0, 222.0], 0),
        (2, "pdac", 2, 2, [30.0, 250.0], [-206.0, 185.0], 1),
    ]


def test_fewer_kept(schema: LabelSchema, entries: list[dict[str, Any]]) -> None:
    found = fit(measure(cases(schema), entries, schema), entries, keep=0.5)
    assert found[1].fitted == pytest.approx(5.3)  # the median: 50 of 950 voxels, rounded up


def test_write_keeps_comments(tmp_path: Path, schema: LabelSchema, entries: list[dict[str, Any]]) -> None:
    path = tmp_path / "params.yaml"
    found = fit(measure(cases(schema), entries, schema), entries, keep=1.0)
    assert write_fits(path, found) == 2
    text = path.read_text()
    for comment in ("# kept", "# on the mean", "# organ", "# in HU"):
        assert comment in text
    rules = read_params(path).filter.rules
    assert rules[1]["percent"] == {"cyst": 1, "pdac": 25.0}
    assert rules[2]["ranges"] == {"pdac": [30, 250]}
    assert rules[0] == entries[0]
    read_rules(rules, schema)
    again = path.read_bytes()
    write_fits(path, found)
    assert path.read_bytes() == again


def test_a_class_without_a_bound_yet(schema: LabelSchema) -> None:
    entries = [{"rule": "mean_hu", "classes": ["pancreatic_duct"]}]
    found = fit(measure([], entries, schema), entries, keep=1.0)
    assert (found[0].fitted, found[0].current) == (None, None)


def test_nothing_to_fit(schema: LabelSchema) -> None:
    with pytest.raises(Misuse, match="no volume_ratio and no mean_hu"):
        measure([], [{"rule": "largest_component", "classes": ["liver"]}], schema)
