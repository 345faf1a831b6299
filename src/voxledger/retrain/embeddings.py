"""Vectors of classes that heads of Continual Tuning are conditioned on."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from typing import Literal

import numpy as np

from voxledger import layout
from voxledger.errors import VoxledgerError

_LENGTH = 64
"""Of vectors that are drawn."""


def embedding_of(
    class_name: str, embeddings: Literal["none", "random"] | Mapping[str, tuple[float, ...]]
) -> tuple[float, ...]:
    """The vector of a class, of length 1 where it is drawn; empty without embeddings.

    A drawn one goes by the name of the class alone, whatever other classes there are.

    Parameters
    ----------
    embeddings
        `retrain.head_embeddings`.

    Raises
    ------
    VoxledgerError
        Vectors are given, but not of this class.

    Examples
    --------
    >>> embedding_of("liver", {"liver": (1.0, 0.0)})
    (1.0, 0.0)
    """
    if embeddings == "none":
        return ()
    if embeddings == "random":
        seed = int.from_bytes(hashlib.sha256(class_name.encode()).digest()[:8], "big")
        drawn = np.random.default_rng(seed).standard_normal(_LENGTH)
        return tuple((drawn / np.linalg.norm(drawn)).tolist())
    if class_name not in embeddings:
        known = ", ".join(sorted(embeddings))
        raise VoxledgerError(
            f"retrain.head_embeddings in {layout.PARAMS} has no vector of the class {class_name}, only of: {known}",
            "add it, or write `random`",
        )
    return embeddings[class_name]
