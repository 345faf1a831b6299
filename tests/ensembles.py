"""Seeded ensembles of soft predictions: ellipsoids with soft borders on which the models disagree smoothly."""

from __future__ import annotations

import numpy as np
from scipy import ndimage

from voxledger.imaging.boxes import bounding_box
from voxledger.imaging.soft import FLOOR, NOWHERE, open_soft, write_soft
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelClass, LabelSchema


def schema_of(count, **extra):
    return LabelSchema(
        name="test", classes=tuple(LabelClass(id=i + 1, name=f"c{i}", **extra.get(f"c{i}", {})) for i in range(count))
    )


def as_stored(p):
    """What a soft prediction keeps of probabilities: float16, and 0 below the floor; NaN where nobody looked."""
    return np.where(p < FLOOR, 0, p).astype(np.float16).astype(np.float64)


def blob(shape, centre, radii, softness, rng, wobble):
    """Probability that falls off over the border of an ellipsoid; `wobble` is the models' disagreement in voxels."""
    z, y, x = np.ogrid[tuple(slice(0, n) for n in shape)]
    r = np.sqrt(sum(((a - c) / d) ** 2 for a, c, d in zip((z, y, x), centre, radii, strict=True)))
    distance = (1 - r) * min(radii)
    coarse = rng.normal(size=tuple(max(n // 6, 2) for n in shape))
    noise = ndimage.zoom(coarse, [n / c for n, c in zip(shape, coarse.shape, strict=True)], order=1)
    return 1 / (1 + np.exp(-np.clip((distance + wobble * noise) / softness, -30, 30)))


def ensemble(shape, classes, models, seed, softness=1.5, wobble=2.0):
    """A list, one a model, of dicts of class name to probability (z, y, x), as a soft prediction stores them."""
    rng = np.random.default_rng(seed)
    shapes = {
        name: ([rng.uniform(0.1, 0.9) * n for n in shape], [max(rng.uniform(0.1, 0.4) * n, 1.0) for n in shape])
        for name in classes
    }
    return [{n: as_stored(blob(shape, *s, softness, rng, wobble)) for n, s in shapes.items()} for _ in range(models)]


def write_ensemble(folder, models, grid=None, case="case"):
    """Write an ensemble as `<folder>/model<i>/<case>.b2nd`; returns the open predictions.

    A model looked at the box around what is not NaN.
    """
    found = []
    for i, model in enumerate(models):
        shape = next(iter(model.values())).shape
        path = folder / f"model{i}" / f"{case}.b2nd"
        seen = ~np.isnan(next(iter(model.values())))
        extent = None if seen.all() else bounding_box(seen) or NOWHERE
        values = model.items() if extent is None else ((name, p[extent]) for name, p in model.items())
        write_soft(path, values, list(model), grid or Grid.plain(shape), f"m{i}", "image", extent)
        found.append(open_soft(path))
    return found
