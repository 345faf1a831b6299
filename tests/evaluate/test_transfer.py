"""What fine-tuning from another model gained and lost, by the source of the cases."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from voxledger.evaluate.case_metrics import Generation
from voxledger.evaluate.metric import averaged
from voxledger.evaluate.summary import Row
from voxledger.evaluate.transfer import Transfer, not_known, transfer_section, transfers
from voxledger.models.cohort import Member
from voxledger.models.dataset import UNTAUGHT, describe
from voxledger.models.model import Model
from voxledger.records.card import DATASET, ModelCard, Source, to_json
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Entry, Origin
from voxledger.schema import LabelClass, LabelSchema

CARD = ModelCard(
    **{"id": "home-1", "name": "home", "backend": "monai", "architecture": "", "strategy": "full", "cohort": "c"},
    **{"parent": "", "params": {}, "licence": "", "round": 0},
)
TUNED = CARD.model_copy(update={"id": "tuned-1", "name": "tuned", "parent": "home-1", "strategy": "pretrained"})
ADOPTED = CARD.model_copy(update={"source": Source(name="x", version="", training_set="far", classes={})})


def case(case_id: str, source: str, split: Split = Split.EXTERNAL) -> Case:
    return Case(case_id, f"{case_id}.nii.gz", "0" * 64, f"patient-{case_id}", source, "", split, "CT", "")


SCHEMA = LabelSchema(name="two", classes=(LabelClass(id=1, name="liver"), LabelClass(id=2, name="bone")))


@pytest.fixture(autouse=True)
def taught_the_liver(folder: Path) -> None:
    """The base model was taught the liver, and never the bone."""
    (folder / DATASET).write_text(to_json({**describe(SCHEMA, ["CT"], 1, ignore=False), UNTAUGHT: ["bone"]}))


def model(card: ModelCard) -> Model:
    return Model(Path(), card, SCHEMA)


def member(case_id: str, source: str, version: int, class_name: str = "liver") -> Member:
    entry = Entry(case_id, class_name, version, Origin.SOURCE, (), "", "", "0" * 64, "", 1.0)
    return Member(case(case_id, source, Split.POOL), (entry,))


COHORT = [member("p", "here", 0), member("q", "there", 1)]
JUDGED = {
    c.case_id: c for c in (case("a", "here"), case("b", "here", Split.TEST), case("c", "there"), case("d", "far"))
}
GAINS = {"here": -0.1, "there": 0.2, "far": 0.05}


def rows(*case_ids: str) -> list[Row]:
    found = []
    for case_id in case_ids:
        for generation, model, dice in (
            (Generation.BASE, "home", 0.5),
            (Generation.NEXT, "home", 0.5),
            (Generation.NEXT, "tuned", 0.5 + GAINS[JUDGED[case_id].source]),
            (Generation.NEXT, "other", 0.9),
        ):
            values = dict.fromkeys(averaged(), 0.5) | {"dice": dice}
            found.append(
                Row("test" if case_id == "b" else "external/x", case_id, generation, model, "liver", 1.0, values)
            )
    return found


def compared(*case_ids: str, card: ModelCard = CARD, cohort: list[Member] = COHORT) -> list[Transfer]:
    other = CARD.model_copy(update={"id": "o", "name": "other"})
    again = CARD.model_copy(update={"id": "h2", "parent": "home-1"})  # goes on under its own name
    return transfers(rows(*case_ids), [model(card)], [again, other, TUNED], JUDGED, cohort, ["liver"], 200, 0)


def test_gain_and_loss_by_source_against_the_model_that_it_started_from():
    (found,) = compared("a", "b", "c", "d")
    assert (found.model, found.start, found.home, found.target) == ("tuned", "home", ("here",), ("there",))
    assert {s: (found.kind(s), round(g.gain.mean, 6), g.gain.n) for s, g in found.gains.items()} == {
        "far": ("neither", 0.05, 1),
        "here": ("home", -0.1, 2),
        "there": ("target", 0.2, 1),
    }
    said = transfer_section([found])
    assert said.index("there") < said.index("here") < said.index("far"), "the target first"
    assert "−0.100" in said
    assert "not known" not in said


@pytest.mark.parametrize(
    ("case_ids", "card", "cohort", "said"),
    [
        ("ac", CARD, COHORT, []),
        (
            "c",
            CARD,
            COHORT,
            ["lost at home is not known: no test or external case with a label is of here, which home"],
        ),
        ("a", CARD, COHORT, ["gained is not known: no test or external case with a label is of there"]),
        ("", CARD, COHORT, ["gained is not known", "lost at home is not known"]),
        ("cd", ADOPTED, COHORT, []),
        ("ac", ADOPTED, COHORT, ["no test or external case with a label is of far"]),
        (
            "c",
            CARD.model_copy(update={"source": Source(name="x", version="", training_set="", classes={})}),
            COHORT,
            ["nothing here says what home was trained on"],
        ),
    ],
)
def test_what_cannot_be_said_is_said_with_what_helps(case_ids, card, cohort, said):
    (found,) = compared(*case_ids, card=card, cohort=cohort)
    told = not_known(found)
    assert len(told) == len(said)
    for sentence, wanted in zip(told, said, strict=True):
        assert wanted in sentence
        assert "`voxledger" in sentence
        assert sentence.split("`")[0].rstrip() in transfer_section([found]).replace("&#x27;", "'")


def test_a_source_of_both_is_both():
    (found,) = compared("a", cohort=[*COHORT, member("r", "here", 1)])
    assert found.kind("here") == "home and target"
    assert not_known(replace(found, home=("here",))) == []


def test_cases_of_classes_that_it_was_never_taught_are_not_its_home():
    (found,) = compared("a", "c", cohort=[*COHORT, member("r", "bones", 0, "bone")])
    assert (found.home, found.target) == (("here",), ("bones", "there"))


def test_one_that_goes_on_from_an_earlier_round_has_not_learned_from_the_cases_of_today():
    cohort = [*COHORT, member("z", "new", 2)]
    assert (
        transfers(rows("a", "c"), [model(CARD), model(TUNED)], [CARD, TUNED], JUDGED, cohort, ["liver"], 200, 0) == []
    )


def test_without_such_a_model_there_is_no_section():
    assert transfers(rows("a"), [model(CARD)], [CARD], JUDGED, COHORT, ["liver"], 200, 0) == []
    assert transfer_section([]) == ""
