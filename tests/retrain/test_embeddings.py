"""Vectors of classes."""

from __future__ import annotations

import numpy as np
import pytest
from pydantic import ValidationError

from voxledger.errors import VoxledgerError
from voxledger.params import RetrainParams
from voxledger.retrain.embeddings import embedding_of


def test_a_drawn_vector_goes_by_the_name_alone_and_others_have_others():
    liver, spleen = (embedding_of(name, "random") for name in ("liver", "spleen"))
    assert liver == embedding_of("liver", "random")
    assert np.linalg.norm(liver) == pytest.approx(1)
    assert abs(np.dot(liver, spleen)) < 0.5
    assert embedding_of("liver", "none") == ()


def test_a_class_without_a_vector_is_named():
    given = RetrainParams(head_embeddings={"liver": [1, 0.5]}).head_embeddings
    assert embedding_of("liver", given) == (1.0, 0.5)
    with pytest.raises(VoxledgerError, match="no vector of the class spleen, only of: liver"):
        embedding_of("spleen", given)


@pytest.mark.parametrize("given", ["clip", {"liver": []}, {"liver": [float("nan")]}, {"liver": "x"}, {"liver": [None]}])
def test_what_is_no_vector_is_refused(given):
    with pytest.raises(ValidationError):
        RetrainParams(head_embeddings=given)
