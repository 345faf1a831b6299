"""Which cases join, and what of them is taught."""

from __future__ import annotations

import numpy as np
import pytest

from voxledger.models.cohort import build_cohort, cohort_sha256, labels_to_learn, to_csv
from voxledger.records.ledger import Origin
from voxledger.schema import LabelSchema

IGNORE = 4


@pytest.mark.parametrize(
    ("origins", "joins"),
    [
        ({}, True),
        ({"organ": Origin.REVISED, "lesion": Origin.ACCEPTED}, True),
        ({"organ": Origin.PREDICTED, "lesion": Origin.PREDICTED}, True),
        ({"organ": Origin.PREDICTED, "lesion": Origin.PREDICTED, "spleen": Origin.PREDICTED}, False),
        ({"lesion": Origin.REJECTED}, False),
        ({"lesion": None, "spleen": None}, True),
        ({"organ": None, "lesion": None, "spleen": None}, False),
    ],
)
def test_a_case_joins_if_something_is_trusted_and_nothing_rejected(small, schema, origins, joins):
    for name, origin in origins.items():
        small = small.with_origin("c1", name, origin)
    members = [m.case.case_id for m in build_cohort(small.cases, small.ledger, schema)]
    assert members == (["c0", "c1", "c2"] if joins else ["c0", "c2"])


def test_test_cases_never_join(small, schema):
    assert "c3" not in {m.case.case_id for m in build_cohort(small.cases, small.ledger, schema)}


def test_the_table_does_not_depend_on_order_and_follows_its_content(small, schema):
    table = to_csv(build_cohort(small.cases, small.ledger, schema))
    turned = dict(reversed(small.ledger.items()))
    assert to_csv(build_cohort(small.cases[::-1], turned, schema)) == table
    assert len(table.splitlines()) == 1 + 3 * 3
    other = small.with_origin("c0", "spleen", Origin.PREDICTED)
    assert cohort_sha256(to_csv(build_cohort(other.cases, other.ledger, schema))) != cohort_sha256(table)


S, P, N = "someone stands behind it", "predicted", "no row"


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
    states = {"organ": organ, "lesion": lesion, "spleen": spleen}
    trusted, predicted = ([n for n, s in states.items() if s == wanted] for wanted in (S, P))
    labels = np.array([[drawn]], np.uint8)
    assert labels_to_learn(labels, schema, trusted, predicted)[0, 0].tolist() == learned


def test_an_empty_label_map_teaches_nothing_or_background(schema):
    empty = np.zeros((0, 2, 3), np.uint8)
    assert labels_to_learn(empty, schema, schema.names, []).shape == (0, 2, 3)
    assert labels_to_learn(empty, schema, [], schema.names).shape == (0, 2, 3)


@pytest.mark.parametrize(("lesion", "organ"), [(True, IGNORE), (False, 1)])
def test_a_part_that_models_drew_leaves_the_rest_of_the_organ_known_unless_it_is_a_lesion(schema, lesion, organ):
    """A duct is one structure; of lesions there may be another, which nobody has looked for."""
    parts = [c.model_copy(update={"lesion": lesion}) if c.name == "lesion" else c for c in schema.classes]
    schema = LabelSchema(name="parts", classes=tuple(parts))
    learned = labels_to_learn(np.array([[[0, 1, 2, 7]]]), schema, ["organ", "spleen"], ["lesion"])
    assert learned[0, 0].tolist() == [0, organ, IGNORE, 3]
