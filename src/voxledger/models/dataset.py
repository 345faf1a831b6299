"""`dataset.json` of a model: which output channel is which class, in nnU-Net's form for every backend.

nnU-Net wants labels numbered from 0 without gaps, and the label that training ignores at the end, so networks
count classes in the order of the schema, not by its ids.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from voxledger.schema import LabelSchema

BACKGROUND = "background"
IGNORE = "ignore"
UNTAUGHT = "untaught"
"""Classes that have a channel, but of which no case of the cohort showed a voxel; left out where there are none."""
HEADS = "heads"
"""Classes that have a head of their own, and the output channels that each corrects; left out where there are none."""
BRANCHES = "branches"
"""Branches of the network, which speak for some classes instead of heads; left out where there are none."""
CLASS_MAP = "class_map"
"""What classes of a model from elsewhere are called here, or `ignore`; left out where it was trained here."""


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


def is_ct(dataset: dict[str, Any]) -> bool:
    """Whether all that a network was trained on is CT, by its `dataset.json`."""
    return bool(dataset["channel_names"]["0"] == "CT")


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
    known = set() if before is None else set(channels(before)) - untaught(before)
    names = [name for name, found in channels(dataset).items() if not seen & set(found) and name not in known]
    return {**dataset, UNTAUGHT: names} if names else dataset


def untaught(dataset: dict[str, Any]) -> frozenset[str]:
    """Classes that a network has a channel for and knows nothing of."""
    return frozenset(dataset.get(UNTAUGHT, ()))


def heads(dataset: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Classes that have a head, by the order of the heads, and the output channels whose sum each corrects.

    Those of a class that lies around others are theirs, too. A class that the network was never taught has none, nor
    has one that a branch speaks for.
    """
    return {name: tuple(corrected) for name, corrected in dataset.get(HEADS, {}).items()}


@dataclass(frozen=True)
class Branch:
    """A branch beside a network, as the `dataset.json` of that describes it."""

    number: int
    kind: str
    """`decoder` or `adapters`."""
    classes: tuple[str, ...]
    """Of its outputs, from the second on; the first is what is none of them."""
    channels: dict[str, tuple[int, ...]]
    """Classes that it speaks for, and its outputs whose sum each is."""


def branches(dataset: dict[str, Any]) -> tuple[Branch, ...]:
    """Branches of a network, by number."""
    return tuple(
        Branch(one["number"], one["kind"], tuple(one["classes"]), {n: tuple(c) for n, c in one["channels"].items()})
        for one in dataset.get(BRANCHES, ())
    )


def describe_branch(branch: Branch) -> dict[str, Any]:
    """What stands of a branch in `dataset.json`."""
    channels = {name: list(found) for name, found in branch.channels.items()}
    return {**vars(branch), "classes": list(branch.classes), "channels": channels}


def outputs(dataset: dict[str, Any]) -> dict[str, int]:
    """Output channel of everything that the network tells apart, by its own names, ascending; background is 0."""
    labels = sorted(dataset["labels"].items(), key=lambda item: int(item[1]))
    return {name: int(i) for name, i in labels if name != IGNORE}


def channels(dataset: dict[str, Any]) -> dict[str, tuple[int, ...]]:
    """Output channels of every class that it has a say in, by the first of them.

    A model from elsewhere may tell apart what is one class here: its probability is the sum of theirs.

    Examples
    --------
    >>> channels({"labels": {"background": 0, "liver": 1, "ignore": 2}})
    {'liver': (1,)}
    >>> theirs = {"background": 0, "L1": 1, "hip": 2, "L2": 3}
    >>> channels({"labels": theirs, "class_map": {"L1": "spine", "L2": "spine", "hip": "ignore"}})
    {'spine': (1, 3)}
    """
    found: dict[str, tuple[int, ...]] = {}
    for name, channel in outputs(dataset).items():
        ours = dataset.get(CLASS_MAP, {}).get(name, name)
        if ours not in (BACKGROUND, IGNORE):
            found[ours] = (*found.get(ours, ()), channel)
    return found
