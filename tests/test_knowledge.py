"""What is known of a class in a case, and of its voxels."""

from __future__ import annotations

import numpy as np
import pytest
from small_cases import schema

from voxledger.knowledge import CaseKnowledge, Knowledge, knowledge_of
from voxledger.records.ledger import Entry, Origin
from voxledger.schema import LabelSchema

__all__ = ["schema"]
IGNORE = 4


@pytest.mark.parametrize(
    ("origin", "known"),
    [
        (None, Knowledge.UNKNOWN),
        (Origin.REJECTED, Knowledge.REJECTED),
        (Origin.PREDICTED, Knowledge.PREDICTED),
        (Origin.SOURCE, Knowledge.TRUSTED),
        (Origin.ACCEPTED, Knowledge.TRUSTED),
        (Origin.REVISED, Knowledge.TRUSTED),
    ],
)
def test_what_a_row_of_the_ledger_says(origin, known):
    entry = None if origin is None else Entry("c", "organ", 0, origin, (), "", "", "a", "", 1.0)
    assert knowledge_of(entry) is known


S, P, N = Knowledge.TRUSTED, Knowledge.PREDICTED, Knowledge.UNKNOWN


@pytest.mark.parametrize(
    ("organ", "lesion", "spleen", "drawn", "learned"),
    [
        # Everything decided or covered by the source: what is not there is known to be absent.
        (S, S, S, [0, 1, 2, 7], [0, 1, 2, 3]),
        (S, S, S, [0, 1], [0, 1]),
        (S, S, S, [0], [0]),
        # A class in the background. Drawn by models: its voxels are ignored. Predicted empty, or never looked for: it
        # may lie anywhere in what is called background.
        (S, S, P, [0, 1, 2, 7], [0, 1, 2, IGNORE]),
        (S, S, P, [0, 1, 2], [IGNORE, 1, 2]),
        (S, S, N, [0, 1, 2], [IGNORE, 1, 2]),
        # A lesion in an organ: models may have drawn one of two, so any voxel of the organ may be another.
        (S, P, S, [0, 1, 2, 7], [0, IGNORE, IGNORE, 3]),
        (S, P, S, [0, 1, 7], [0, IGNORE, 3]),
        (S, N, S, [0, 1, 7], [0, IGNORE, 3]),
        # ... and where people say that there is no organ, there is none of its lesions.
        (S, P, S, [0, 7], [0, 3]),
        (S, N, S, [0, 7], [0, 3]),
        # An organ around a lesion that people stand behind: the lesion does not say that models found the organ.
        (P, S, S, [0, 1, 2, 7], [0, IGNORE, 2, 3]),
        (P, S, S, [0, 2, 7], [IGNORE, 2, 3]),
        (P, S, S, [0, 7], [IGNORE, 3]),
        (N, S, S, [0, 2, 7], [IGNORE, 2, 3]),
        (N, S, S, [0, 7], [IGNORE, 3]),
        # An organ of which models drew nothing but the lesion is drawn.
        (P, P, S, [0, 2, 7], [0, IGNORE, 3]),
        (P, P, S, [0, 7], [IGNORE, 3]),
        (N, P, S, [0, 2, 7], [IGNORE, IGNORE, 3]),
        (N, N, S, [0, 7], [IGNORE, 3]),
        (P, N, S, [0, 1, 7], [0, IGNORE, 3]),
        # Nothing known of anything.
        (P, P, P, [0], [IGNORE]),
        (N, N, N, [0], [IGNORE]),
    ],
)
def test_absence_is_taught_only_where_somebody_decided_or_the_source_looked(
    schema, organ, lesion, spleen, drawn, learned
):
    """What nobody looked for is no negative, also where models predicted it empty."""
    case = CaseKnowledge(schema, {"organ": organ, "lesion": lesion, "spleen": spleen})
    assert case.voxels(np.array([[drawn]], np.uint8)).learned[0, 0].tolist() == learned


def test_an_empty_label_map_teaches_nothing_or_background(schema):
    empty = np.zeros((0, 2, 3), np.uint8)
    for known in Knowledge:
        assert CaseKnowledge(schema, dict.fromkeys(schema.names, known)).voxels(empty).learned.shape == (0, 2, 3)


@pytest.mark.parametrize(("lesion", "organ"), [(True, IGNORE), (False, 1)])
def test_a_part_that_models_drew_leaves_the_rest_of_the_organ_known_unless_it_is_a_lesion(schema, lesion, organ):
    """A duct is one structure; of lesions there may be another, which nobody has looked for."""
    parts = [c.model_copy(update={"lesion": lesion}) if c.name == "lesion" else c for c in schema.classes]
    schema = LabelSchema(name="parts", classes=tuple(parts))
    case = CaseKnowledge(schema, {"organ": S, "lesion": P, "spleen": S})
    assert case.voxels(np.array([[[0, 1, 2, 7]]])).learned[0, 0].tolist() == [0, organ, IGNORE, 3]


@pytest.mark.parametrize(
    ("lesion", "are", "are_not", "unknown"),
    [
        # labels: background, organ, lesion in it, spleen
        (S, [0, 1, 1, 0], [1, 0, 0, 1], [0, 0, 0, 0]),
        (P, [0, 0, 0, 0], [1, 0, 0, 1], [0, 1, 1, 0]),
        (N, [0, 0, 0, 0], [1, 0, 0, 1], [0, 1, 1, 0]),
        (Knowledge.REJECTED, [0, 0, 0, 0], [1, 0, 0, 1], [0, 1, 1, 0]),
    ],
)
def test_every_voxel_is_of_the_class_or_not_or_not_known(schema, lesion, are, are_not, unknown):
    case = CaseKnowledge(schema, {"organ": S, "lesion": lesion, "spleen": S})
    voxels = case.voxels(np.array([[[0, 1, 2, 7]]], np.uint8))
    assert voxels.are("organ")[0, 0].astype(int).tolist() == are
    assert voxels.are_not("organ")[0, 0].astype(int).tolist() == are_not
    assert voxels.unknown[0, 0].astype(int).tolist() == unknown


@pytest.mark.parametrize("seed", range(20))
def test_the_three_are_a_partition_and_say_what_is_learned(schema, seed):
    rng = np.random.default_rng(seed)
    case = CaseKnowledge(schema, dict(zip(schema.names, rng.choice(list(Knowledge), 3), strict=True)))
    labels = rng.choice([0, *(c.id for c in schema.classes)], (3, 4, 5))
    voxels = case.voxels(labels)
    for name in schema.names:
        assert (voxels.are(name).astype(int) + voxels.are_not(name) + voxels.unknown == 1).all()
    assert ((voxels.learned == IGNORE) == voxels.unknown).all()


@pytest.mark.parametrize(
    ("of", "teaches"), [("SSS", True), ("SPN", True), ("PPN", False), ("SRP", False), ("NNN", False)]
)
def test_a_case_teaches_if_something_is_trusted_and_nothing_rejected(schema, of, teaches):
    of_letter = {"S": S, "P": P, "N": N, "R": Knowledge.REJECTED}
    case = CaseKnowledge(schema, {name: of_letter[letter] for name, letter in zip(schema.names, of, strict=True)})
    assert case.teaches is teaches
