"""`dataset.json` of a model: which output channel is which class, in nnU-Net's form for every backend.

nnU-Net wants labels numbered from 0 without gaps, and the label that training ignores at the end, so networks
count classes in the order of the schema, not by its ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from voxledger.schema import LabelSchema

BACKGROUND = "background"
IGNORE = "ignore"
UNTAUGHT = "untaught"
"""Classes that have a channel, but of which no case of the cohort showed a voxel; left out where there are none."""


def describe(schema: LabelSchema, modalities: Iterable[str], cases: int, ignore: bool) -> dict[str, Any]:
    """`dataset.json` for classes of a schema.

    The name of the channel decides how nnU-Net normalises: `CT` by the intensities of the cohort's foreground;
    anything else, MR and a mixture of both included, by each image's own mean and standard deviation.
    """
    labels = {BACKGROUND: 0, **{name: i for i, name in enumerate(schema.names, start=1)}}
    if ignore:
        labels[IGNORE] = len(labels)
    return {
        "channel_names": {"0": "CT" if set(modalities) == {"CT"} else "MR"},
        "labels": labels,
        "numTraining": cases,
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": "SimpleITKIO",
    }


def with_untaught(dataset: dict[str, Any], learned: Iterable[int], before: dict[str, Any] | None) -> dict[str, Any]:
    """`dataset.json` that says which classes were not taught.

    Parameters
    ----------
    learned
        Labels that occur in what the network learns.
    before
        `dataset.json` of the model that training goes on from: what that one was taught, the next still knows.
    """
    seen = set(learned)
    names = [n for n, i in channels(dataset).items() if i not in seen and (before is None or n in untaught(before))]
    return {**dataset, UNTAUGHT: names} if names else dataset


def untaught(dataset: dict[str, Any]) -> frozenset[str]:
    """Classes that a network has a channel for and knows nothing of."""
    return frozenset(dataset.get(UNTAUGHT, ()))


def channels(dataset: dict[str, Any]) -> dict[str, int]:
    """Output channel of every class, in ascending order; background is channel 0."""
    labels = sorted(dataset["labels"].items(), key=lambda item: int(item[1]))
    return {name: int(i) for name, i in labels if name not in (BACKGROUND, IGNORE)}
