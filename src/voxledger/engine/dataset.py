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


def channels(dataset: dict[str, Any]) -> dict[str, int]:
    """Output channel of every class, in ascending order; background is channel 0."""
    labels = sorted(dataset["labels"].items(), key=lambda item: int(item[1]))
    return {name: int(i) for name, i in labels if name not in (BACKGROUND, IGNORE)}
