"""Which cases a model had learned from."""

from __future__ import annotations

from pathlib import Path

import pytest

from voxledger.models.cohort import Member
from voxledger.models.dataset import UNTAUGHT, describe
from voxledger.models.home import could_learn, home_sources, learned_from
from voxledger.models.model import Model
from voxledger.records.card import DATASET, ModelCard, Source, to_json
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Entry, Origin
from voxledger.schema import LabelClass, LabelSchema

HERE = ModelCard(
    **{"id": "x", "name": "home", "backend": "monai", "architecture": "", "strategy": "full", "cohort": "c"},
    **{"parent": "", "params": {}, "licence": "", "round": 1},
)


SCHEMA = LabelSchema(name="three", classes=tuple(LabelClass(id=i + 1, name=f"n{i}") for i in range(3)))
S, A, R, P = Origin.SOURCE, Origin.ACCEPTED, Origin.REVISED, Origin.PREDICTED


@pytest.fixture(autouse=True)
def taught_two(folder: Path) -> None:
    """The model was taught n0 and n1, and never n2."""
    (folder / DATASET).write_text(to_json({**describe(SCHEMA, ["CT"], 1, ignore=False), UNTAUGHT: ["n2"]}))


def model(card: ModelCard) -> Model:
    return Model(Path(), card, SCHEMA)


def member(*entries: tuple[int, Origin], source: str = "site-a", rejected: tuple[int, ...] = ()) -> Member:
    case = Case("c", "c.nii.gz", "0" * 64, "", source, "", Split.POOL, "CT", "")
    rows = (
        Entry("c", f"n{i}", version, origin, (), "", "", "0", "", 1.0) for i, (version, origin) in enumerate(entries)
    )
    return Member(case, tuple(rows), rejected=frozenset(rejected))


def elsewhere(training_set: str) -> ModelCard:
    return HERE.model_copy(update={"source": Source(name="", version="", training_set=training_set, classes={})})


@pytest.mark.parametrize(
    ("entries", "learned", "at_home"),
    [
        ([(0, S), (1, A)], True, True),
        ([(0, S), (2, P)], True, True),
        ([(0, S), (2, R)], False, True),
        ([(2, S)], False, False),
        ([(0, P), (0, P), (0, S)], False, False),
        ([(0, S), (0, P), (0, S)], True, True),
        ([(2, S), (0, P), (0, S)], False, False),
    ],
)
def test_of_a_model_trained_here_the_rounds_say_it(entries, learned, at_home):
    """What people corrected since is new, though the site is the same, and so is a case of other classes alone."""
    one = member(*entries)
    assert learned_from(model(HERE), one) is learned
    assert home_sources(model(HERE), [one]) == ({"site-a"} if at_home else set())


def test_a_case_in_which_a_class_was_rejected_then_taught_nothing():
    one = member((1, R), rejected=(1,))
    assert not learned_from(model(HERE), one)
    assert home_sources(model(HERE), [one]) == set()


@pytest.mark.parametrize(
    ("version", "parent", "rejected", "could"),
    [
        (3, "p", (), True),
        (4, "p", (), False),
        (3, "p", (3,), False),
        (2, "p", (2, 3), False),
        (2, "p", (2,), True),  # it taught in round 3
        (2, "p", (3,), True),  # and here in round 2
        (2, "", (2,), True),
        (2, "", (3,), False),  # trained from nothing, without the case
        (2, "", (), True),
        (4, "", (), False),
        (3, "p", (1, 2, 4), True),
    ],
)
def test_what_could_be_learned_follows_from_the_rounds_in_which_the_case_taught(version, parent, rejected, could):
    card = HERE.model_copy(update={"round": 3, "parent": parent})
    one = member((version, R), rejected=rejected)
    assert could_learn(card, one, one.entries[0]) is could


def test_a_model_from_elsewhere_could_learn_nothing_here():
    one = member((0, S))
    assert not could_learn(elsewhere("site-a"), one, one.entries[0])


@pytest.mark.parametrize(
    ("training_set", "learned", "sources"),
    [("site-a", True, {"site-a"}), ("Site-A", True, {"site-a"}), ("site-b", False, {"site-b"}), ("", False, set())],
)
def test_of_one_from_elsewhere_the_training_set_does(training_set, learned, sources):
    one = member((5, R))
    assert learned_from(model(elsewhere(training_set)), one) is learned
    assert home_sources(model(elsewhere(training_set)), [one]) == sources
    assert not learned_from(model(elsewhere(training_set)), member((5, P), (5, P), (5, R)))
