"""Which cases a model had learned from."""

from __future__ import annotations

import pytest

from voxledger.models.cohort import Member
from voxledger.models.home import home_sources, learned_from
from voxledger.records.card import ModelCard, Source
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Entry, Origin

HERE = ModelCard(
    **{"id": "x", "name": "home", "backend": "monai", "architecture": "", "strategy": "full", "cohort": "c"},
    **{"parent": "", "params": {}, "licence": "", "round": 1},
)


def member(*entries: tuple[int, Origin], source: str = "site-a") -> Member:
    case = Case("c", "c.nii.gz", "0" * 64, "", source, "", Split.POOL, "CT", "")
    rows = (
        Entry("c", f"n{i}", version, origin, (), "", "", "0", "", 1.0) for i, (version, origin) in enumerate(entries)
    )
    return Member(case, tuple(rows))


def elsewhere(training_set: str) -> ModelCard:
    return HERE.model_copy(update={"source": Source(name="", version="", training_set=training_set, classes={})})


@pytest.mark.parametrize(
    ("entries", "learned", "at_home"),
    [
        ([(0, Origin.SOURCE), (1, Origin.ACCEPTED)], True, True),
        ([(0, Origin.SOURCE), (2, Origin.PREDICTED)], True, True),
        ([(0, Origin.SOURCE), (2, Origin.REVISED)], False, True),
        ([(2, Origin.SOURCE)], False, False),
    ],
)
def test_of_a_model_trained_here_the_rounds_say_it(entries, learned, at_home):
    """What people corrected since is new, though the site is the same."""
    one = member(*entries)
    assert learned_from(HERE, one) is learned
    assert home_sources(HERE, [one]) == ({"site-a"} if at_home else set())


@pytest.mark.parametrize(
    ("training_set", "learned", "sources"),
    [("site-a", True, {"site-a"}), ("Site-A", True, {"site-a"}), ("site-b", False, {"site-b"}), ("", False, set())],
)
def test_of_one_from_elsewhere_the_training_set_does(training_set, learned, sources):
    one = member((5, Origin.REVISED))
    assert learned_from(elsewhere(training_set), one) is learned
    assert home_sources(elsewhere(training_set), [one]) == sources
