"""Entropy of predicted probabilities, in nats.

one_sided    −p ln p, what the published code of AbdomenAtlas-8K computes; largest at p = 1/e
binary       −p ln p − (1−p) ln (1−p), largest at p = 1/2
categorical  −Σ q ln q over all classes and background, with q the probability that the class is the
             *innermost* one of the voxel: its own less that of the classes directly inside it
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from functools import cache
from typing import Literal

import numpy as np
import numpy.typing as npt

from voxledger.imaging.boxes import Box, intersection, shape_of, view
from voxledger.imaging.soft import SoftPrediction
from voxledger.schema import LabelSchema

Kind = Literal["one_sided", "binary", "categorical"]

SLAB = 64
"""Slices worked on at a time: the chunk of a soft prediction."""


def one_sided(p: float) -> float:
    """−p ln p."""
    return -p * math.log(p) if p > 0 else 0.0


def binary(p: float) -> float:
    """−p ln p − (1−p) ln (1−p)."""
    return one_sided(p) + one_sided(1.0 - p)


FORMULAS: dict[str, Callable[[float], float]] = {"one_sided": one_sided, "binary": binary}


@cache
def table(kind: Kind) -> npt.NDArray[np.int64]:
    """Entropy of every float16 between 0 and 1, by its bit pattern, in units of 2**-40 nats.

    For `categorical` this is the class's own term, −p ln p.
    """
    formula = FORMULAS.get(kind, one_sided)
    values = np.arange(0x3C01, dtype=np.uint16).view(np.float16).astype(np.float64)
    return np.array([round(formula(float(p)) * 2.0**40) for p in values], np.int64)


def slabs(start: int, stop: int) -> Iterator[slice]:
    """Cut a range of slices where the chunks of a soft prediction end."""
    while start < stop:
        end = min(start // SLAB * SLAB + SLAB, stop)
        yield slice(start, end)
        start = end


def categorical(predictions: Sequence[SoftPrediction], schema: LabelSchema, box: Box) -> npt.NDArray[np.int64]:
    """Entropy of the class distribution inside a box (z, y, x), summed over the models, in units of 2**-40 nats."""
    from voxledger.score import kernels

    total = np.zeros(shape_of(box), np.int64)
    for prediction in predictions:
        known = [n for n in schema.names if n in prediction.classes]
        outer = {n: next((o for o in schema.chain(n)[1:] if o in known), None) for n in known}
        for name in (None, *known):
            region = box if name is None else intersection(box, prediction.boxes[name])
            if region is None:
                continue
            innermost = np.zeros(shape_of(region), np.int32)
            if name is None:
                innermost += 1 << kernels.PROBABILITY_BITS
            else:
                kernels.add(innermost, prediction.read(name, region).view(np.uint16), 1)
            for child in (n for n in known if outer[n] == name):
                part = intersection(region, prediction.boxes[child])
                if part is not None:
                    kernels.add(view(innermost, region, part), prediction.read(child, part).view(np.uint16), -1)
            kernels.add_terms(view(total, box, region), innermost)
    return total
