"""The loops over voxels, compiled by numba. Import this module only where it runs: compiling takes seconds.

Probabilities arrive as the bit patterns of float16, of which there are 15,361 between 0 and 1. Sums over
models are integers: a float16 in [0, 1] is a whole number of 2**-24, an entropy is rounded to 2**-40. So the
result is exact and does not depend on the order of the models.
"""

# mypy: disallow-untyped-decorators=False

from __future__ import annotations

import numba as nb
import numpy as np
import numpy.typing as npt

ONE = 0x3C00
"""Bit pattern of 1.0 as float16."""
PROBABILITY_BITS = 24
"""A float16 in [0, 1] is a whole number of 2**-24."""
ENTROPY_BITS = 40
"""Entropies are rounded to whole numbers of 2**-40 nats."""


@nb.njit(cache=True, nogil=True, inline="always")
def _whole(bits: int) -> int:
    """A float16 in [0, 1], given as its bit pattern, in units of 2**-24."""
    exponent = bits >> 10
    mantissa = bits & 0x3FF
    if exponent == 0:
        return mantissa
    return (mantissa | 0x400) << (exponent - 1)


@nb.njit(cache=True, nogil=True, inline="always")
def _empty(p: npt.NDArray[np.uint16], row: int) -> bool:
    """Whether no model gives a voxel of the row more than 0."""
    occupied = 0
    for m in range(p.shape[0]):
        for x in range(p.shape[2]):  # compiled to wide instructions, and most rows are empty
            occupied |= p[m, row, x]
    return occupied == 0


@nb.njit(cache=True, nogil=True, inline="always")
def _sums(
    p: npt.NDArray[np.uint16], row: int, x: int, entropies: npt.NDArray[np.int64], vote_above: int
) -> tuple[int, int, int, int, int]:
    """Of one voxel over the models: sums of q, of q², of entropies, set of models that claim it, bits above `ONE`."""
    s1 = s2 = h = claim = improper = 0
    for m in range(p.shape[0]):
        bits = int(p[m, row, x])
        if bits > ONE:
            improper = bits
            bits = ONE
        q = _whole(bits)
        s1 += q
        s2 += q * q
        h += entropies[bits]
        if q > vote_above:
            claim |= 1 << m
    return s1, s2, h, claim, improper


@nb.njit(cache=True, nogil=True)
def flag(
    p: npt.NDArray[np.uint16],
    entropies: npt.NDArray[np.int64],
    above: npt.NDArray[np.int64],
    raw: npt.NDArray[np.uint8],
    mask: npt.NDArray[np.uint8],
    deviation: npt.NDArray[np.uint8],
    entropy: npt.NDArray[np.uint8],
    votes: npt.NDArray[np.int64],
) -> tuple[float, int]:
    """Flag voxels of one class before the opening.

    Parameters
    ----------
    p
        Bit patterns of float16 (model, row of voxels, x).
    entropies
        Entropy by bit pattern, in units of 2**-40 nats.
    above
        Limits that a value must exceed: variance, summed entropy, summed probability for the mask, probability
        of one model for its vote, summed probability for `share`; all in the integer units of the sums.
    raw, mask, deviation, entropy
        Written: flags (1 inconsistent, 2 uncertain), ensemble mask, and where flagged the standard deviation
        and the mean entropy in 1/255 (row, x).
    votes
        Added to: number of voxels by the set of models that claim them; the highest bit is the ensemble.

    Returns
    -------
    Sum of all entropies (units of 2**-40), and a bit pattern above `ONE`, which is no probability, if there is one.
    """
    models, rows, columns = p.shape
    total, improper = 0.0, 0
    for row in range(rows):
        raw[row], mask[row] = 0, 0
        if _empty(p, row):
            continue
        for x in range(columns):
            some = 0
            for m in range(models):
                some |= p[m, row, x]
            if some == 0:
                continue
            s1, s2, h, claim, wrong = _sums(p, row, x, entropies, above[3])
            improper = wrong or improper
            total += h
            if s1 > above[2]:
                mask[row, x] = 1
                claim |= 1 << models
            votes[claim] += 1
            variance = models * s2 - s1 * s1
            flags = 1 if variance > above[0] else 0
            if h > above[1]:
                flags |= 2
            if flags:
                raw[row, x] = flags
                deviation[row, x] = int(255.0 * np.sqrt(float(variance)) / (models * 16777216.0) + 0.5)
                entropy[row, x] = int(min(255.0, 255.0 * float(h) / (models * 1099511627776.0) + 0.5))
    return total, improper


@nb.njit(cache=True, nogil=True)
def share(
    p: npt.NDArray[np.uint16],
    shared: npt.NDArray[np.uint8],
    above: npt.NDArray[np.int64],
    raw: npt.NDArray[np.uint8],
    entropy: npt.NDArray[np.uint8],
) -> None:
    """Flag a class as uncertain where the class distribution is (`shared` > 0) and the class is a candidate.

    `p` as for `flag`, with axes (model, z, y, x); the others (z, y, x).
    """
    nz, ny, nx = shared.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if shared[z, y, x]:
                    s1 = 0
                    for m in range(p.shape[0]):
                        s1 += _whole(int(p[m, z, y, x]))
                    if s1 > above[4]:
                        raw[z, y, x] |= 2
                        entropy[z, y, x] = shared[z, y, x]


@nb.njit(cache=True, nogil=True)
def _erode(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], radius: int) -> None:
    """Erode as `open_cube` does; no side of `a` is shorter than 2 · radius + 1."""
    nz, ny, nx = a.shape
    row = np.zeros((ny, nx), np.uint8)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                row[y, x] = a[z, y, x]
            for k in range(1, radius + 1):
                for x in range(nx - k):
                    row[y, x] &= a[z, y, x + k]
                for x in range(k, nx):
                    row[y, x] &= a[z, y, x - k]
                row[y, k - 1] = 0
                row[y, nx - k] = 0
        for y in range(ny):
            for x in range(nx):
                b[z, y, x] = row[y, x] if radius <= y < ny - radius else 0
            if radius <= y < ny - radius:
                for k in range(1, radius + 1):
                    for x in range(nx):
                        b[z, y, x] &= row[y - k, x] & row[y + k, x]
    for z in range(nz):
        if z < radius or z >= nz - radius:
            a[z] = 0
        else:
            for y in range(ny):
                for x in range(nx):
                    a[z, y, x] = b[z, y, x]
                for k in range(1, radius + 1):
                    for x in range(nx):
                        a[z, y, x] &= b[z - k, y, x] & b[z + k, y, x]


@nb.njit(cache=True, nogil=True)
def _dilate(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], radius: int) -> None:
    """Dilate as `open_cube` does."""
    nz, ny, nx = a.shape
    row = np.zeros((ny, nx), np.uint8)
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                row[y, x] = a[z, y, x]
            for k in range(1, radius + 1):
                for x in range(nx - k):
                    row[y, x] |= a[z, y, x + k]
                for x in range(k, nx):
                    row[y, x] |= a[z, y, x - k]
        for y in range(ny):
            for x in range(nx):
                b[z, y, x] = row[y, x]
            for k in range(1, radius + 1):
                if y >= k:
                    for x in range(nx):
                        b[z, y, x] |= row[y - k, x]
                if y + k < ny:
                    for x in range(nx):
                        b[z, y, x] |= row[y + k, x]
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                a[z, y, x] = b[z, y, x]
            for k in range(1, radius + 1):
                if z >= k:
                    for x in range(nx):
                        a[z, y, x] |= b[z - k, y, x]
                if z + k < nz:
                    for x in range(nx):
                        a[z, y, x] |= b[z + k, y, x]


@nb.njit(cache=True, nogil=True)
def open_cube(a: npt.NDArray[np.uint8], b: npt.NDArray[np.uint8], radius: int) -> None:
    """Open every bit plane of `a` (z, y, x) in place with a cube; `b` is scratch of the same shape.

    `radius` erosions and as many dilations by a 3×3×3 cube are one of each by a cube of 2 · radius + 1 voxels. Outside
    the array lies 0, so a flagged region that touches the border is eroded from there too, as by
    `scipy.ndimage.binary_opening`.
    """
    if min(a.shape) <= 2 * radius:
        a[:] = 0
        return
    _erode(a, b, radius)
    _dilate(a, b, radius)


@nb.njit(cache=True, nogil=True)
def heat_up(
    heat: npt.NDArray[np.uint8],
    bits: npt.NDArray[np.uint8],
    deviation: npt.NDArray[np.uint8],
    entropy: npt.NDArray[np.uint8],
) -> None:
    """Raise `heat` to deviation + entropy, each where its flag survived the opening, at most 255; all (z, y, x)."""
    nz, ny, nx = bits.shape
    for z in range(nz):
        for y in range(ny):
            occupied = 0
            for x in range(nx):
                occupied |= bits[z, y, x]
            if occupied == 0:
                continue
            for x in range(nx):
                flags = bits[z, y, x]
                if flags:
                    value = 0
                    if flags & 1:
                        value += deviation[z, y, x]
                    if flags & 2:
                        value += entropy[z, y, x]
                    if value > 255:
                        value = 255
                    if value > heat[z, y, x]:
                        heat[z, y, x] = value


@nb.njit(cache=True, nogil=True)
def pack(rows: npt.NDArray[np.uint8], bits: npt.NDArray[np.uint8], plane: int) -> None:
    """Pack one bit plane of `bits` (z, y, x) into zeroed `rows` (z, y, x / 8) as `numpy.packbits` does."""
    nz, ny, nx = bits.shape
    for z in range(nz):
        for y in range(ny):
            occupied = 0
            for x in range(nx):
                occupied |= bits[z, y, x]
            if occupied & plane == 0:
                continue
            for x in range(nx):
                if bits[z, y, x] & plane:
                    rows[z, y, x >> 3] |= 0x80 >> (x & 7)


@nb.njit(cache=True, nogil=True)
def unpack(bits: npt.NDArray[np.uint8], rows: npt.NDArray[np.uint8], plane: int) -> None:
    """Set one bit plane of `bits` (z, y, x) where `rows` (z, y, x / 8) has ones; the inverse of `pack`."""
    nz, ny, width = rows.shape
    for z in range(nz):
        for y in range(ny):
            for i in range(width):
                byte = rows[z, y, i]
                if byte:
                    for k in range(8):
                        if byte & (0x80 >> k):
                            bits[z, y, 8 * i + k] |= plane


@nb.njit(cache=True, nogil=True)
def tally(bits: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    """Number of voxels by bit mask below 8, 0 left out; `bits` (z, y, x)."""
    nz, ny, nx = bits.shape
    counts = np.zeros(8, np.int64)
    for z in range(nz):
        for y in range(ny):
            occupied = 0
            for x in range(nx):
                occupied |= bits[z, y, x]
            if occupied:
                for x in range(nx):
                    counts[bits[z, y, x] & 7] += 1
    counts[0] = 0
    return counts


@nb.njit(cache=True, nogil=True)
def add(total: npt.NDArray[np.int32], p: npt.NDArray[np.uint16], sign: int) -> None:
    """Add (`sign` 1) or take off (−1) probabilities `p` (bit patterns of float16), in units of 2**-24; (z, y, x)."""
    nz, ny, nx = p.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if p[z, y, x]:
                    total[z, y, x] += sign * _whole(int(min(p[z, y, x], ONE)))


@nb.njit(cache=True, nogil=True)
def add_terms(total: npt.NDArray[np.int64], q: npt.NDArray[np.int32]) -> None:
    """Add −q ln q (units of 2**-40 nats) to `total`; `q` in units of 2**-24, negative counts as 0; both (z, y, x)."""
    nz, ny, nx = q.shape
    for z in range(nz):
        for y in range(ny):
            for x in range(nx):
                if 0 < q[z, y, x] < 16777216:
                    value = q[z, y, x] / 16777216.0
                    total[z, y, x] += np.int64(-value * np.log(value) * 1099511627776.0 + 0.5)
