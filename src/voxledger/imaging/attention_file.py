"""Attention files: per class, which voxels are likely wrong and why, as a bit mask.

A file is a blosc2 array (`.b2nd`) of uint8 with axes (class, z, y, x), compressed in blocks, written and read
one class at a time. Grid, class names and the bounding box of every class travel inside.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable
from dataclasses import dataclass
from enum import IntFlag
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.disk import replacing
from voxledger.errors import UnreadableImage
from voxledger.imaging.boxes import Box, aligned, shape_of, view
from voxledger.imaging.volume import Grid


class Criterion(IntFlag):
    """Why a voxel is likely wrong; a voxel may carry several."""

    INCONSISTENT = 1
    """The models disagree."""
    UNCERTAIN = 2
    """The models are unsure."""
    OVERLAPPING = 4
    """Another class claims the voxel, and the schema does not allow that."""
    LEARNED = 8
    """A model that learned from what reviewers changed expects an error."""


PUBLISHED = (Criterion.INCONSISTENT, Criterion.UNCERTAIN, Criterion.OVERLAPPING)
"""Those of AbdomenAtlas-8K. Where attention is learned, a voxel has them beside `LEARNED`, or no bit at all."""


_BLOCK = (1, 32, 32, 64)
_CHUNK = (1, 64, 128, 128)


@dataclass(frozen=True)
class AttentionFile:
    """An open attention file. `read` decompresses only the blocks that a box touches."""

    classes: tuple[str, ...]
    boxes: dict[str, Box | None]
    grid: Grid
    _array: Any
    model_id: str = ""
    """Of the model of errors that pointed; empty where the published criteria did."""

    def read(self, name: str, box: Box | None = None) -> npt.NDArray[np.uint8]:
        """Bit mask of one class (z, y, x), whole or inside a box; zeros for a class that was not predicted."""
        region = box or tuple(slice(0, n) for n in self.grid.shape)
        shape = tuple(s.stop - s.start for s in region)
        if self.boxes.get(name) is None:
            return np.zeros(shape, np.uint8)
        return np.asarray(self._array[(self.classes.index(name), *region)], np.uint8).reshape(shape)


def write_attention(
    path: Path | str,
    masks: Iterable[tuple[str, Box | None, npt.NDArray[np.uint8]]],
    classes: list[str],
    grid: Grid,
    model_id: str = "",
) -> None:
    """Write an attention file class by class; the bytes depend on the content alone.

    Parameters
    ----------
    masks
        Class name, bounding box of its attention (None where there is none) and bit mask inside that box
        (z, y, x), consumed one at a time, in the order of `classes`.
    model_id
        Of the model of errors, where attention is learned.
    """
    import blosc2

    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f".{path.stem}.{os.getpid()}.b2nd")
    partial.unlink(missing_ok=True)
    shape = (max(len(classes), 1), *grid.shape)
    chunks = tuple(min(c, n) for c, n in zip(_CHUNK, shape, strict=True))
    with replacing(path, partial, math.prod(shape) + (1 << 16)):
        array = blosc2.zeros(
            shape,
            dtype=np.uint8,
            chunks=chunks,
            blocks=tuple(min(b, c) for b, c in zip(_BLOCK, chunks, strict=True)),
            urlpath=str(partial),
            mode="w",
            cparams=blosc2.CParams(codec=blosc2.Codec.ZSTD, clevel=1, filters=[blosc2.Filter.NOFILTER], nthreads=1),
            dparams=blosc2.DParams(nthreads=1),  # stored in the file; by default it is what the process happens to use
        )
        boxes: list[list[list[int]] | None] = []
        for index, (name, box, bits) in enumerate(masks):
            if name != classes[index]:
                raise ValueError(f"class {name}, expected {classes[index]}")
            boxes.append(None if box is None else [[s.start, s.stop] for s in box])
            if box is not None:
                _assign(array, index, box, bits, chunks[1:], grid.shape)
        said = {"classes": classes, "boxes": boxes, "grid": grid.to_json()}
        array.schunk.vlmeta["voxledger"] = said | ({"model_id": model_id} if model_id else {})
        del array


def open_attention(path: Path | str) -> AttentionFile:
    """Open an attention file; nothing is decompressed yet."""
    import blosc2

    try:
        array = blosc2.open(str(path), mode="r", dparams=blosc2.DParams(nthreads=1))
        meta = array.schunk.vlmeta["voxledger"]
    except (OSError, KeyError, RuntimeError, ValueError) as error:
        raise UnreadableImage(
            f"{path} is not a readable attention file: {error}", "delete it and run `dvc repro score`"
        ) from None
    boxes: dict[str, Box | None] = {}
    for name, box in zip(meta["classes"], meta["boxes"], strict=True):
        boxes[name] = None if box is None else (slice(*box[0]), slice(*box[1]), slice(*box[2]))
    return AttentionFile(tuple(meta["classes"]), boxes, Grid.from_json(meta["grid"]), array, meta.get("model_id", ""))


def _assign(
    array: Any,
    index: int,
    box: Box,
    bits: npt.NDArray[np.uint8],
    chunks: tuple[int, ...],
    shape: tuple[int, int, int],
) -> None:
    """Write slab by slab, each whole in chunks, so that no chunk is compressed twice."""
    z, y, x = aligned(box, chunks, shape)
    for low in range(z.start, z.stop, chunks[0]):
        whole = slice(low, min(low + chunks[0], z.stop)), y, x
        filled = slice(max(low, box[0].start), min(whole[0].stop, box[0].stop)), box[1], box[2]
        slab = np.zeros(shape_of(whole), np.uint8)
        view(slab, whole, filled)[:] = view(bits, box, filled)
        array[(index, *whole)] = slab
