"""Soft predictions: the per-class probabilities of one model for one case, one class readable at a time.

A file is a blosc2 array (`.b2nd`) of float16 with axes (class, z, y, x), compressed in blocks. Model, image
hash, grid, class names and the bounding box of every class travel inside. Probabilities below `FLOOR` are
stored as 0, so that background costs no bytes and the boxes are tight.

The probability of a class is that of belonging to it, the classes inside it included: where a lesion lies in
an organ, the organ's probability is the sum of both.

A model of a region looked at a part of the image alone. That part, the extent, is in the file; of what lies outside
the model says nothing, which is not that there is nothing.

Where somebody marked objects of a class, what was found from the marks stands for the class: other models, which know
of no marks, have no say in it in that case.
"""

from __future__ import annotations

import math
import os
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.disk import replacing
from voxledger.errors import UnreadableImage
from voxledger.imaging.boxes import Box, aligned, bounding_box, parts, shape_of, union, view, whole
from voxledger.imaging.volume import Grid

FLOOR = 2.0**-12
"""Probabilities below this are stored as 0; the lowest threshold the papers use, 0.003, is 12 times larger."""

NOWHERE: Box = (slice(0, 0), slice(0, 0), slice(0, 0))
"""The extent of a model that looked at nothing."""

_PREDICT_AGAIN = "write it again with `voxledger.imaging.soft.write_soft`, and copy it once more"

_BLOCK = (1, 32, 32, 64)
_CHUNK = (1, 64, 128, 128)


@dataclass(frozen=True)
class SoftPrediction:
    """An open soft prediction. `read` decompresses only the blocks that a box touches."""

    classes: tuple[str, ...]
    boxes: dict[str, Box | None]
    grid: Grid
    model_id: str
    image_sha256: str
    extent: Box
    """What of the image the model looked at; it has no say outside. `NOWHERE` if it did not find what it looks at."""
    _array: Any
    marked: bool = False
    """Whether its classes were predicted from what somebody marked in this image."""

    @property
    def part(self) -> Box | None:
        """The extent as `write_soft` takes it: None where it is the whole image."""
        return None if self.extent == whole(self.grid.shape) else self.extent

    def looked_for(self, name: str) -> bool:
        """Whether the model has a say in a class, at least somewhere in the image."""
        return name in self.classes and all(s.start < s.stop for s in self.extent)

    def read(self, name: str, box: Box | None = None) -> npt.NDArray[np.float16]:
        """Probabilities of one class (z, y, x), whole or inside a box; zeros for a class the model does not know, and
        outside its extent."""
        region = box or whole(self.grid.shape)
        if self.boxes.get(name) is None:
            return np.zeros(shape_of(region), np.float16)
        return np.asarray(self._array[(self.classes.index(name), *region)], np.float16).reshape(shape_of(region))

    def probabilities(self, name: str) -> npt.NDArray[np.float16]:
        """Everything that the file holds of a class (z, y, x), whatever its box says; for files from outside.

        Raises
        ------
        UnreadableImage
            The data is damaged, or not all of it lies in [0, 1].
        """
        try:
            found = np.asarray(self._array[self.classes.index(name)])
        except (RuntimeError, ValueError, IndexError) as error:
            raise UnreadableImage(f"{self._array.urlpath} is damaged: {error}", _PREDICT_AGAIN) from None
        if found.shape != self.grid.shape or not ((found >= 0) & (found <= 1)).all():
            raise UnreadableImage(
                f"{self._array.urlpath} holds values of {name} that are no probabilities on its grid", _PREDICT_AGAIN
            )
        return found


def write_soft(
    path: Path | str,
    probabilities: Iterable[tuple[str, npt.NDArray[Any]]],
    classes: list[str],
    grid: Grid,
    model_id: str,
    image_sha256: str,
    extent: Box | None = None,
    marked: bool = False,
) -> None:
    """Write a soft prediction class by class; the bytes depend on the content alone.

    Parameters
    ----------
    probabilities
        Pairs of class name and probabilities (z, y, x) in [0, 1], consumed one at a time, in the order of `classes`.
    extent
        The box of the image that the probabilities fill, or `NOWHERE`; None is the whole.
    marked
        Whether they were predicted from what somebody marked in this image.
    """
    import blosc2

    path, partial = Path(path), Path(path).with_name(f".{Path(path).stem}.{os.getpid()}.b2nd")
    path.parent.mkdir(parents=True, exist_ok=True)
    partial.unlink(missing_ok=True)
    region = extent or whole(grid.shape)
    shape = (len(classes), *grid.shape)
    chunks = tuple(min(c, n) for c, n in zip(_CHUNK, shape, strict=True))
    with replacing(path, partial, 2 * math.prod(shape) + (1 << 16)):
        array = blosc2.zeros(
            shape,
            dtype=np.float16,
            chunks=chunks,
            blocks=tuple(min(b, c) for b, c in zip(_BLOCK, chunks, strict=True)),
            urlpath=str(partial),
            mode="w",
            cparams=blosc2.CParams(codec=blosc2.Codec.ZSTD, clevel=1, filters=[blosc2.Filter.SHUFFLE], nthreads=1),
            dparams=blosc2.DParams(nthreads=1),  # stored in the file; by default it is what the process happens to use
        )
        boxes: dict[str, list[list[int]] | None] = dict.fromkeys(classes)
        for index, (name, values) in enumerate(probabilities):
            if name != classes[index] or values.shape != shape_of(region):
                raise ValueError(f"{name} of shape {values.shape}, expected {classes[index]} of {shape_of(region)}")
            half = np.zeros(grid.shape, np.float16)
            half[region] = np.where(values >= FLOOR, values, 0)
            if (box := bounding_box(half)) is not None:
                boxes[name], chunked = _to_json(box), aligned(box, chunks[1:], grid.shape)
                array[(index, *chunked)] = np.ascontiguousarray(half[chunked])
        array.schunk.vlmeta["voxledger"] = {
            "classes": classes,
            "boxes": [boxes[name] for name in classes],
            "grid": grid.to_json(),
            "model_id": model_id,
            "image_sha256": image_sha256,
            **({} if extent is None else {"extent": _to_json(extent)}) | ({"marked": True} if marked else {}),
        }
        del array


def open_soft(path: Path | str) -> SoftPrediction:
    """Open a soft prediction; nothing is decompressed yet."""
    import blosc2

    try:
        array = blosc2.open(str(path), mode="r", dparams=blosc2.DParams(nthreads=1))
        meta = array.schunk.vlmeta["voxledger"]
        classes, grid = tuple(meta["classes"]), Grid.from_json(meta["grid"])
        boxes = {n: box and _from_json(box) for n, box in zip(classes, meta["boxes"], strict=True)}
        extent = _from_json(meta["extent"]) if "extent" in meta else whole(grid.shape)
        if not all(0 <= s.start <= s.stop <= n for s, n in zip(extent, grid.shape, strict=True)):
            raise ValueError("it looked at what lies outside of its grid")
        head = meta["model_id"], meta["image_sha256"]
        return SoftPrediction(classes, boxes, grid, *head, extent, array, bool(meta.get("marked")))
    except (OSError, KeyError, RuntimeError, ValueError, TypeError) as error:
        raise UnreadableImage(
            f"{path} is not a readable soft prediction: {error}", "delete it and run `dvc repro infer`"
        ) from None


def _to_json(box: Box) -> list[list[int]]:
    return [[s.start, s.stop] for s in box]


def _from_json(sides: list[list[int]]) -> Box:
    z, y, x = (slice(*side) for side in sides)
    return z, y, x


def is_marked(predictions: Sequence[SoftPrediction], name: str) -> bool:
    """Whether a class was predicted from what somebody marked in the image."""
    return any(p.marked and name in p.classes for p in predictions)


def asked(predictions: Sequence[SoftPrediction], name: str) -> list[int]:
    """Indices of the predictions whose word on a class counts in this case, at least somewhere."""
    only = is_marked(predictions, name)
    return [i for i, p in enumerate(predictions) if name in p.classes and (p.marked or not only)]


def ensemble_box(predictions: Sequence[SoftPrediction], name: str) -> Box | None:
    """The smallest box that holds every non-zero probability of a class in any model; None where there is none."""
    return union(predictions[i].boxes.get(name) for i in asked(predictions, name))


def ensemble_mean(predictions: Sequence[SoftPrediction], name: str, box: Box | None = None) -> npt.NDArray[np.float32]:
    """Mean probability of a class (z, y, x), whole or inside a box, over the models that have a say.

    A model has none in a class that it was never taught, none outside its extent, and none where the class was marked
    and it does not know of that. Where no model has a say, the mean is 0.
    """
    knowing = [predictions[i] for i in asked(predictions, name)]
    region = box or whole(predictions[0].grid.shape)
    mean = np.zeros(shape_of(region), np.float32)
    for part, inside in parts(region, [p.extent for p in knowing]):
        total = view(mean, region, part)
        for i in inside:
            total += knowing[i].read(name, part)
        if len(inside) > 1:
            total /= np.float32(len(inside))
    return mean
