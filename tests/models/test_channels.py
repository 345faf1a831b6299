"""Softmax with one channel in memory, and classes that lie in others."""

from __future__ import annotations

import numpy as np
import pytest

from voxledger.models.channels import Channels, softmax
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
    of = {"organ": 1, "lesion": 2, "spleen": 3, "necrosis": 4}
    channels = Channels(of, lambda c: np.full((2, 1, 1), values[c], np.float32))
    found = {name: float(p[0, 0, 0]) for name, p in channels.by_class(deep)}
    assert found == pytest.approx({"organ": 0.55, "lesion": 0.45, "spleen": 0.3, "necrosis": 0.25})
    assert channels.classes(deep) == list(found)


def test_a_class_without_a_channel_is_not_known_through_what_lies_in_it(schema):
    """A network of lesions alone does not say that the rest of the organ is none: it has no say in the organ."""
    channels = Channels({"lesion": 1}, lambda c: np.full((1, 1, 1), 0.5, np.float32))
    assert channels.classes(schema) == ["lesion"]
