"""Attention of whole volumes in float64, as one would write it down: what the fast one must equal voxel by voxel."""

from __future__ import annotations

import warnings

import numpy as np
from scipy import ndimage

CUBE = np.ones((3, 3, 3), bool)


def one_sided(p):
    return np.where(p > 0, -p * np.log(np.where(p > 0, p, 1)), 0.0 * p)


def binary(p):
    return one_sided(p) + one_sided(1 - p)


def innermost(model, schema):
    """Probability that a class is the innermost of a voxel: its own less that of the classes directly inside it."""
    q = {}
    for name, p in model.items():
        children = [c for c in model if next((o for o in schema.chain(c)[1:] if o in model), None) == name]
        q[name] = p - sum((model[c] for c in children), np.zeros_like(p))
    top = [c for c in model if not any(o in model for o in schema.chain(c)[1:])]
    shape = next(iter(model.values())).shape
    q["background"] = 1 - sum((model[c] for c in top), np.zeros(shape))
    return q


def categorical(model, schema):
    return sum(one_sided(np.clip(q, 0, 1)) for q in innermost(model, schema).values())


def over_those_that_looked(statistic, values):
    """A statistic over models (first axis), 0 where none looked."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # of voxels at which none looked
        return np.nan_to_num(statistic(values, axis=0))


def opened(mask, times):
    if times == 0:  # scipy takes 0 for "until nothing changes"
        return mask
    eroded = ndimage.binary_erosion(mask, CUBE, iterations=times)
    return ndimage.binary_dilation(eroded, CUBE, iterations=times)


def attention(models, schema, params):
    """Bit mask (1 inconsistent, 2 uncertain, 4 overlapping) by class, and the heat map as float.

    `models` is a list of dicts of class name to probability (z, y, x), float64; NaN where the model did not look.
    """
    shape = next(iter(models[0].values())).shape
    masks, bits = {}, {}
    heat = np.zeros(shape)
    kept = {}
    for name in schema.names:
        known = [m[name] for m in models if name in m]
        if not known:
            masks[name], bits[name] = np.zeros(shape, bool), np.zeros(shape, np.uint8)
            continue
        p = np.stack(known)
        own = params.classes.get(name)
        t_std = params.inconsistency if own is None or own.inconsistency is None else own.inconsistency
        t_entropy = params.uncertainty if own is None or own.uncertainty is None else own.uncertainty
        mean, std = over_those_that_looked(np.nanmean, p), over_those_that_looked(np.nanstd, p)
        if params.entropy == "categorical":
            entropy = over_those_that_looked(np.nanmean, np.stack([categorical(m, schema) for m in models]))
            unsure = (entropy > t_entropy) & (mean > 0.01)
        else:
            entropy = over_those_that_looked(np.nanmean, (binary if params.entropy == "binary" else one_sided)(p))
            unsure = entropy > t_entropy
        inconsistent, uncertain = opened(std > t_std, params.opening), opened(unsure, params.opening)
        masks[name] = mean > 0.5
        bits[name] = inconsistent * np.uint8(1) + uncertain * np.uint8(2)
        kept[name] = (std, entropy)
    for name in schema.names:
        overlap = np.zeros(shape, bool)
        for other in schema.names:
            if other != name and not schema.may_overlap(name, other):
                overlap |= masks[name] & masks[other]
        bits[name] = bits[name] | overlap * np.uint8(4)
        if name in kept:
            std, entropy = kept[name]
            value = std * (bits[name] & 1 > 0) + entropy * (bits[name] & 2 > 0) + overlap
            heat = np.maximum(heat, np.minimum(value, 1))
    return bits, heat
