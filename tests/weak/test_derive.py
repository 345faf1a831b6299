"""Weak labels from reference masks: they fit them, and what is written of them says the same."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxledger.imaging.volume import Grid, read, read_label
from voxledger.phantom.make import write_phantoms
from voxledger.schema import LabelSchema, read_schema
from voxledger.weak.check import Marked, bounds_of, checked
from voxledger.weak.derive import DRAWN, WAYS, derive, mark
from voxledger.weak.ellipsoid import ellipsoid
from voxledger.weak.label import KINDS
from voxledger.weak.marks import Marks, parse_marks, weak_labels
from voxledger.weak.store import read_weak

ROOT = Path(__file__).parents[2]
SCHEMA = LabelSchema.model_validate({"name": "one", "classes": [{"id": 1, "name": "lesion", "lesion": True}]})
GRID = Grid((12, 30, 40), (2.5, 0.8, 0.8), (5.0, -3.0, 100.0), (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, 1.0))


def blob(radii: tuple[float, float, float]) -> np.ndarray:
    """An ellipsoid of radii in mm around the voxel (6, 14, 20), and a speck."""
    z, y, x = np.ogrid[tuple(slice(n) for n in GRID.shape)]
    steps = [(a - m) * s / r for a, m, s, r in zip((z, y, x), (6, 14, 20), GRID.spacing, radii, strict=True)]
    mask = sum(step**2 for step in steps) <= 1
    mask[0, 0, 0] = mask.sum() > 1
    return np.asarray(mask)


@pytest.mark.parametrize("how", WAYS)
@pytest.mark.parametrize("radii", [(6.0, 6.0, 6.0), (6.0, 4.0, 9.0), (0.1, 0.1, 0.1), (0.1, 3.0, 0.1)])
def test_a_mark_fits_what_it_was_made_from(how: str, radii: tuple[float, float, float]) -> None:
    mask = blob(radii)
    weak = derive(how, mask, "a", "lesion", GRID)
    mask[0, 0, 0] = False
    assert weak.kind in KINDS
    failed = [(n, v) for n, v, _, agrees in checked(Marked(weak, mask, GRID), bounds_of({})) if not agrees]
    assert failed == []
    if how not in DRAWN:
        kept = Marks(case="a", marks=(mark(how, mask, "lesion", GRID),)).to_json().encode()
        (again,) = weak_labels(parse_marks(kept, "a.json", "a", GRID, SCHEMA), "a", GRID)
        assert again.kind == weak.kind
        np.testing.assert_allclose(again.points, weak.points, atol=2e-3)
        np.testing.assert_array_equal(again.mask, weak.mask)
        assert again.start == weak.start


def test_the_axes_are_those_of_recist() -> None:
    weak = derive("recist_both", blob((6.0, 4.0, 9.0)), "a", "lesion", GRID)
    np.testing.assert_array_equal(weak.points, [(6, 13, 9), (6, 15, 31), (6, 9, 20), (6, 19, 20)])
    assert derive("recist", blob((6.0, 4.0, 9.0)), "a", "lesion", GRID).points.shape == (2, 3)


@pytest.mark.parametrize(("how", "dice"), [("recist", 0.43), ("recist_both", 0.84)])
def test_the_ellipsoid_of_a_diameter(how: str, dice: float) -> None:
    """With one axis it is a ball of 9 mm; with both 9, 4 and 4 mm, where 6 are true."""
    mask = blob((6.0, 4.0, 9.0))
    found = ellipsoid(derive(how, mask, "a", "lesion", GRID), GRID)
    assert 2 * (found & mask).sum() / (found.sum() + mask.sum()) == pytest.approx(dice, abs=0.01)
    ball = blob((9.0, 9.0, 9.0))
    found = ellipsoid(derive("recist_both", ball, "a", "lesion", GRID), GRID)
    assert 2 * (found & ball).sum() / (found.sum() + ball.sum()) > 0.9
    point = blob((0.1, 0.1, 0.1))
    assert ellipsoid(derive(how, point, "a", "lesion", GRID), GRID).sum() == 1


@pytest.mark.parametrize("how", ["slices", "recist_both", "scribble"])
def test_phantoms_have_weak_labels_of_one_sort(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    rows = write_phantoms(tmp_path / "data", 3, seed=3, labelled=1, weak=how)
    assert [row["weak_label"].partition(":")[0] for row in rows] == ["", how, how]
    monkeypatch.chdir(tmp_path)
    schema = read_schema(ROOT / "labels.yaml")
    for row in rows[1:]:
        image = read(f"data/images/{row['case_id']}.nii.gz")
        reference = read_label(f"data/reference/{row['case_id']}.nii.gz")
        name = row["weak_label"].partition(":")[2]
        found = [w for w in read_weak(row["case_id"], image.grid, schema) if w.class_name == name]
        assert len(found) == (int(row["lesion_count"]) or 1)
        mask = schema.mask(reference, name)
        for weak in found:
            assert checked(Marked(weak, mask, image.grid), bounds_of({}))
            inside = Marked(weak, mask, image.grid).marked
            assert mask[tuple(inside.T)].mean() > 0.7
