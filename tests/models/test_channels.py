"""Softmax with one channel in memory, and classes that lie in others."""

from __future__ import annotations

import numpy as np
import pytest

from voxledger.errors import VoxledgerError
from voxledger.models.channels import Channels, softmax
from voxledger.models.dataset import channels, untaught, with_untaught
from voxledger.schema import LabelClass, LabelSchema


@pytest.mark.parametrize("scale", [1.0, 1e-3, 300.0])
def test_streamed_softmax_is_softmax(scale):
    rng = np.random.default_rng(0)
    logits = (scale * rng.normal(size=(5, 3, 4, 2))).astype(np.float32)
    exact = np.exp(logits.astype(np.float64) - logits.max(0))
    exact /= exact.sum(0)
    probability = softmax(5, lambda c: logits[c])
    for channel in range(5):
        np.testing.assert_allclose(probability(channel), exact[channel], atol=1e-6)


def test_one_channel_is_certain():
    assert (softmax(1, lambda c: np.full((1, 1, 1), -7.0))(0) == 1).all()


def test_a_class_counts_what_lies_in_it_at_any_depth(schema):
    deep = LabelSchema(
        name="deep",
        classes=(*schema.classes, LabelClass(id=9, name="necrosis", inside="lesion"), LabelClass(id=11, name="aorta")),
    )
    values = {1: 0.1, 2: 0.2, 3: 0.3, 4: 0.25}
    of = {"organ": (1,), "lesion": (2,), "spleen": (3,), "necrosis": (4,)}
    channels = Channels(of, lambda c: np.full((2, 1, 1), values[c], np.float32))
    found = {name: float(p[0, 0, 0]) for name, p in channels.by_class(deep)}
    assert found == pytest.approx({"organ": 0.55, "lesion": 0.45, "spleen": 0.3, "necrosis": 0.25})
    assert channels.classes(deep) == list(found)


def test_a_class_without_a_channel_is_not_known_through_what_lies_in_it(schema):
    """A network of lesions alone does not say that the rest of the organ is none: it has no say in the organ."""
    channels = Channels({"lesion": (1,)}, lambda c: np.full((1, 1, 1), 0.5, np.float32))
    assert channels.classes(schema) == ["lesion"]


def test_what_is_no_number_is_no_class_that_is_not_there(schema):
    values = np.full((2, 2, 2), 0.5, np.float32)
    values[1, 1, 1] = np.nan
    with pytest.raises(VoxledgerError, match="says of spleen what is no number"):
        list(Channels({"spleen": (1,)}, lambda c: values).by_class(schema))


def test_what_a_network_from_elsewhere_tells_apart_is_summed_and_what_is_ignored_has_no_say(schema):
    dataset = {
        "labels": {"background": 0, "head": 1, "hip": 2, "tail": 3, "tumour": 4},
        "class_map": {"head": "organ", "tail": "organ", "hip": "ignore", "tumour": "lesion"},
    }
    values = {1: 0.1, 2: 0.5, 3: 0.2, 4: 0.05}
    found = Channels(channels(dataset), lambda c: np.full((2, 1, 1), values[c], np.float32)).by_class(schema)
    assert {name: float(p[0, 0, 0]) for name, p in found} == pytest.approx({"organ": 0.35, "lesion": 0.05})


@pytest.mark.parametrize(
    ("learned", "before", "named"),
    [
        ([0, 1], None, ["b"]),
        ([0, 1], {"labels": {"background": 0, "x": 1, "b": 2}}, []),
        ([0, 1], {"labels": {"background": 0, "x": 1}, "class_map": {"x": "b"}}, []),
        ([0, 1], {"labels": {"background": 0, "x": 1, "b": 2}, "untaught": ["b"]}, ["b"]),
        ([0, 1], {"labels": {"background": 0, "b": 1}, "class_map": {"b": "ignore"}}, ["b"]),
        ([0], {"labels": {"background": 0, "x": 1}}, ["a", "b"]),
    ],
    ids=["from nothing", "taught before", "under another name", "never taught", "ignored there", "no channel there"],
)
def test_a_class_is_untaught_that_neither_the_cohort_nor_the_parent_shows(learned, before, named):
    dataset = {"labels": {"background": 0, "a": 1, "b": 2, "ignore": 3}}
    assert sorted(untaught(with_untaught(dataset, learned, before))) == named


def test_a_head_speaks_for_its_class_and_leaves_all_others_what_the_channels_say(schema):
    """The organ counts the lesion of the channels, not that of the head, which the parent did not have."""
    values = {1: 0.1, 2: 0.2, 3: 0.3}
    heads = {name: lambda p=p: np.full((1, 1, 1), p, np.float32) for name, p in {"lesion": 0.9, "aorta": 0.6}.items()}
    of = {"organ": (1,), "lesion": (2,), "spleen": (3,)}
    more = LabelSchema(name="more", classes=(*schema.classes, LabelClass(id=9, name="aorta")))
    found = Channels(of, lambda c: np.full((1, 1, 1), values[c], np.float32), frozenset({"lesion", "spleen"}), heads)
    assert found.classes(more) == ["organ", "lesion", "aorta"]  # a head knows what the channels were never taught
    said = {name: float(p[0, 0, 0]) for name, p in found.by_class(more)}
    assert said == pytest.approx({"organ": 0.3, "lesion": 0.9, "aorta": 0.6})
