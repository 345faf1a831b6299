"""Attention: which voxels of an ensemble's prediction are likely wrong, and why.

After AbdomenAtlas-8K (Qu et al., Annotating 8,000 Abdominal CT Volumes for Multi-Organ Segmentation in Three
Weeks, NeurIPS 2023). For every class, over the models that know it and looked at the voxel:

inconsistent  the population standard deviation of the probabilities exceeds a threshold
uncertain     the mean entropy of the models exceeds a threshold
overlapping   the ensemble (mean > 0.5) claims the voxel for this class and for another that the schema does not
              let overlap with it

The first two maps are opened with a 3×3×3 cube, by default two erosions then two dilations. Attention is the union.
Classes are read one at a time, inside the bounding box of what any model predicts.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from fractions import Fraction

import numpy as np
import numpy.typing as npt

from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.attention_file import PUBLISHED, Criterion
from voxledger.imaging.boxes import Box, absolute, bounding_box, intersection, parts, relative, shape_of, union, view
from voxledger.imaging.soft import SoftPrediction, asked, ensemble_box
from voxledger.imaging.volume import Grid, differences
from voxledger.params import ScoreParams
from voxledger.schema import LabelSchema
from voxledger.score.entropy import categorical, slabs, table

CLAIM = 0.5
"""A model, or the mean of the models, claims a voxel for a class above this probability."""
CANDIDATE = 0.01
"""With categorical entropy, a voxel is uncertain for every class whose mean probability exceeds this."""
MOST_MODELS = 16
"""Claims are counted by the set of models that make them, of which there are 2**models."""


@dataclass(frozen=True)
class ClassAttention:
    """Attention of one class: a bit mask of `Criterion` inside a box, and what was counted on the way."""

    name: str
    box: Box | None
    bits: npt.NDArray[np.uint8]
    """Bit mask inside `box` (z, y, x)."""
    voxels: dict[Criterion, int]
    attention: int
    """Voxels with any criterion."""
    predicted: int
    """Voxels that the ensemble claims."""
    entropy: float
    """Entropy in nats, mean over the models, summed over the voxels."""
    models: tuple[int, ...]
    """Indices of the models that know the class."""
    votes: npt.NDArray[np.int64]
    """Voxels by the set of models that claim them: bit i stands for models[i], the highest for the ensemble."""


@dataclass(frozen=True)
class _Packed:
    """Binary masks inside a box, eight voxels a byte along x."""

    box: Box
    rows: npt.NDArray[np.uint8]

    def read(self, box: Box) -> npt.NDArray[np.uint8]:
        """Zeros and ones of a box that lies inside."""
        z, y, x = relative(box, self.box)
        first = x.start // 8
        bits = np.unpackbits(self.rows[z, y, first : -(-x.stop // 8)], axis=-1)
        return bits[..., x.start - 8 * first : x.stop - 8 * first]


@dataclass(frozen=True)
class _Opened:
    """A class before overlap is known."""

    models: tuple[int, ...]
    votes: npt.NDArray[np.int64]
    entropy: float
    mask: _Packed | None
    flags: list[tuple[Criterion, _Packed]]


@dataclass(frozen=True)
class _Shared:
    """Mean entropy of the class distribution in 1/255 nat where it exceeds the threshold, else 0, inside a box."""

    box: Box
    entropy: npt.NDArray[np.uint8]


class Attention:
    """Attention of one case, held compressed: eight voxels a byte.

    Parameters
    ----------
    predictions
        Soft predictions of one case on one grid, one a model. The order does not matter.
    schema
        Which classes may overlap.
    params
        Thresholds and the kind of entropy.

    Raises
    ------
    VoxledgerError
        The predictions do not share a grid, or one holds values that are no probabilities.
    Misuse
        Thresholds are given for a class that the schema does not have, or there are too many models.
    """

    def __init__(self, predictions: Sequence[SoftPrediction], schema: LabelSchema, params: ScoreParams) -> None:
        if not 1 <= len(predictions) <= MOST_MODELS:
            raise Misuse(f"{len(predictions)} models", f"give 1 to {MOST_MODELS} models")
        schema.require(params.classes, "score.classes")
        for name, own in params.classes.items():
            if own.uncertainty is not None and params.entropy == "categorical":
                raise Misuse(
                    f"score.classes.{name}.uncertainty: the categorical entropy of a voxel is one for all classes",
                    "remove it, or use the one_sided or binary entropy",
                )
        self.grid: Grid = predictions[0].grid
        for prediction in predictions[1:]:
            found = differences(prediction.grid, self.grid)
            if found:
                raise VoxledgerError(
                    f"models {predictions[0].model_id} and {prediction.model_id} predict on different grids: "
                    + "; ".join(found),
                    "run `dvc repro infer` again",
                )
        self.schema = schema
        self.heat: npt.NDArray[np.uint8] = np.zeros(self.grid.shape, np.uint8)
        """Largest, over the classes, of deviation + entropy + overlap where attention lies, in 1/255; (z, y, x).

        Deviation counts where the class is inconsistent, entropy (nats) where uncertain, overlap counts 1.
        """
        shared = _uncertain_anywhere(predictions, schema, params) if params.entropy == "categorical" else None
        self._buffers: dict[int, npt.NDArray[np.uint8]] = {}
        self._opened = {name: self._open(name, predictions, params, shared) for name in schema.names}
        self._buffers.clear()
        self._overlaps = {name: self._overlap(name) for name in schema.names}

    def __getitem__(self, name: str) -> ClassAttention:
        """Attention of one class."""
        from voxledger.score import kernels

        opened, votes = self._opened[name], self._opened[name].votes
        parts = [*opened.flags, *self._overlaps[name]]
        box = union(packed.box for _, packed in parts)
        bits = np.zeros(shape_of(box) if box else (0, 0, 0), np.uint8)
        if box is not None:
            for criterion, packed in parts:
                kernels.unpack(view(bits, box, packed.box), packed.rows, criterion.value)
        counts = kernels.tally(bits)
        return ClassAttention(
            name,
            box,
            bits,
            {c: int(sum(counts[flags] for flags in range(8) if flags & c)) for c in PUBLISHED},
            int(counts.sum()),
            int(votes[len(votes) // 2 :].sum()),
            opened.entropy,
            opened.models,
            votes,
        )

    def _open(
        self, name: str, predictions: Sequence[SoftPrediction], params: ScoreParams, shared: _Shared | None
    ) -> _Opened:
        from voxledger.score import kernels

        models = tuple(i for i in asked(predictions, name) if predictions[i].looked_for(name))
        knowing = [predictions[i] for i in models]
        votes = np.zeros(2 << len(models), np.int64)
        box = ensemble_box(knowing, name)
        if box is None:
            return _Opened(models, votes, 0.0, None, [])
        shape = shape_of(box)
        raw, deviation, entropy, other = maps = tuple(self._scratch(i, shape) for i in range(4))
        claimed = np.zeros((shape[0], shape[1], -(-shape[2] // 8)), np.uint8)
        totals: dict[int, float] = {}
        for z in slabs(box[0].start, box[0].stop):
            slab = (z, box[1], box[2])
            for part, there in parts(slab, [p.extent for p in knowing]):
                found = tuple(view(m, box, part) for m in maps)
                # The kernels want maps without gaps.
                flagged = found if part == slab else tuple(np.zeros(shape_of(part), np.uint8) for _ in maps)
                if there:
                    limits = _limits(name, len(there), params)
                    summed, counts = self._flag(
                        name, part, [knowing[i] for i in there], limits, flagged, params, shared
                    )
                    totals[len(there)] = totals.get(len(there), 0.0) + summed
                    votes[_claims(there, len(models))] += counts
                if part != slab:
                    for values, own in zip(found, flagged, strict=True):
                        values[...] = own
            kernels.pack(claimed[z.start - box[0].start : z.stop - box[0].start], view(other, box, slab), 1)
        if params.opening:
            kernels.open_cube(raw, other, params.opening)
        flags = []
        tight = bounding_box(raw)
        if tight is not None:
            where = absolute(tight, box)
            kernels.heat_up(self.heat[where], raw[tight], deviation[tight], entropy[tight])
            for criterion in (Criterion.INCONSISTENT, Criterion.UNCERTAIN):
                flags.append((criterion, _packed(where, raw[tight], criterion)))
        nats = sum(total / 2.0**kernels.ENTROPY_BITS / count for count, total in sorted(totals.items()))
        return _Opened(models, votes, nats, _tightened(_Packed(box, claimed)), flags)

    def _flag(
        self,
        name: str,
        part: Box,
        predictions: Sequence[SoftPrediction],
        limits: npt.NDArray[np.int64],
        maps: tuple[npt.NDArray[np.uint8], ...],
        params: ScoreParams,
        shared: _Shared | None,
    ) -> tuple[float, npt.NDArray[np.int64]]:
        """Flag a part in which all of these models have a say; returns summed entropy and voxels by claim.

        `maps` are flags, deviation, entropy and the ensemble's mask (z, y, x), written.
        """
        from voxledger.score import kernels

        raw, deviation, entropy, mask = maps
        values_of_part = self._scratch(4, (2 * len(predictions) * math.prod(shape_of(part)),))
        p = values_of_part.view(np.uint16).reshape(len(predictions), *shape_of(part))
        for values, prediction in zip(p, predictions, strict=True):
            values[...] = prediction.read(name, part).view(np.uint16)
        lines, votes = (-1, p.shape[-1]), np.zeros(2 << len(predictions), np.int64)
        summed, improper = kernels.flag(
            p.reshape(len(predictions), *lines),
            table(params.entropy),
            limits,
            raw.reshape(lines),
            mask.reshape(lines),
            deviation.reshape(lines),
            entropy.reshape(lines),
            votes,
        )
        if improper:
            raise VoxledgerError(
                f"class {name}: a soft prediction holds values above 1, negative values or NaN",
                "predict the case again with probabilities from 0 to 1",
            )
        if shared is not None:
            kernels.share(p, view(shared.entropy, shared.box, part), limits, raw, entropy)
        return summed, votes

    def _overlap(self, name: str) -> list[tuple[Criterion, _Packed]]:
        own = self._opened[name].mask
        found = []
        for other in self.schema.names:
            mask = self._opened[other].mask
            if own is None or mask is None or name == other or self.schema.may_overlap(name, other):
                continue
            box = intersection(own.box, mask.box)
            if box is None:
                continue
            both = own.read(box) & mask.read(box)
            tight = bounding_box(both)
            if tight is not None:
                where = absolute(tight, box)
                self.heat[where][both[tight] != 0] = 255
                found.append((Criterion.OVERLAPPING, _packed(where, both[tight], 1)))
        return found

    def _scratch(self, number: int, shape: tuple[int, ...]) -> npt.NDArray[np.uint8]:
        """Memory that is used again for the next class, since fresh pages cost more than what is done on them."""
        size = math.prod(shape)
        if number not in self._buffers or self._buffers[number].size < size:
            self._buffers[number] = np.empty(size, np.uint8)
        return self._buffers[number][:size].reshape(shape)


def _packed(box: Box, bits: npt.NDArray[np.uint8], plane: int) -> _Packed:
    """One bit plane of `bits`, which fills `box`."""
    from voxledger.score import kernels

    rows = np.zeros((*bits.shape[:2], -(-bits.shape[2] // 8)), np.uint8)
    kernels.pack(rows, bits, plane)
    return _Packed(box, rows)


def _tightened(mask: _Packed) -> _Packed | None:
    """The same mask in a smaller box, tight along z and y and to eight voxels along x; None where it is empty."""
    tight = bounding_box(mask.rows)
    if tight is None:
        return None
    width = mask.box[2].stop - mask.box[2].start
    z, y, x = tight
    voxels = (z, y, slice(8 * x.start, min(8 * x.stop, width)))
    return _Packed(absolute(voxels, mask.box), mask.rows[tight].copy())


def _claims(asked: tuple[int, ...], models: int) -> list[int]:
    """Sets of models that claim a voxel, among all that know the class, by the set among those that have a say in it.

    >>> _claims((1,), models=2)
    [0, 2, 4, 6]
    """
    bits = [*asked, models]
    return [sum(1 << bit for i, bit in enumerate(bits) if claim >> i & 1) for claim in range(1 << len(bits))]


def _limits(name: str, models: int, params: ScoreParams) -> npt.NDArray[np.int64]:
    """The thresholds in the integer units of the kernel's sums, rounded down: a sum exceeds both or neither."""
    from voxledger.score.kernels import ENTROPY_BITS, PROBABILITY_BITS

    own = params.classes.get(name)
    inconsistency = own.inconsistency if own and own.inconsistency is not None else params.inconsistency
    uncertainty = own.uncertainty if own and own.uncertainty is not None else params.uncertainty
    one = 1 << PROBABILITY_BITS
    never = np.iinfo(np.int64).max
    return np.array(
        [
            min(math.floor((Fraction(inconsistency) * models * one) ** 2), never),
            min(math.floor(Fraction(uncertainty) * models * (1 << ENTROPY_BITS)), never)
            if params.entropy != "categorical"
            else never,
            math.floor(Fraction(CLAIM) * models * one),
            math.floor(Fraction(CLAIM) * one),
            math.floor(Fraction(CANDIDATE) * models * one),
        ],
        np.int64,
    )


def _uncertain_anywhere(
    predictions: Sequence[SoftPrediction], schema: LabelSchema, params: ScoreParams
) -> _Shared | None:
    from voxledger.score.kernels import ENTROPY_BITS

    box = union(ensemble_box(predictions, n) for n in schema.names)
    if box is None:
        return None
    found = np.zeros(shape_of(box), np.uint8)
    for z in slabs(box[0].start, box[0].stop):
        for part, there in parts((z, box[1], box[2]), [p.extent for p in predictions]):
            scale = max(len(there), 1) << ENTROPY_BITS
            total = categorical([predictions[i] for i in there], schema, part)
            level = np.clip(np.rint(total * (255.0 / scale)), 1, 255).astype(np.uint8)
            view(found, box, part)[...] = np.where(total > math.floor(Fraction(params.uncertainty) * scale), level, 0)
    return _Shared(box, found)
