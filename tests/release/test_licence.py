"""A release under a licence that its models do not allow is refused, unless a curator says why on record."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest
from commands import output, run

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.params import UNSPECIFIED
from voxledger.records.card import FORMAT, ModelCard, to_json
from voxledger.records.cases import Case, Split, write_cases
from voxledger.records.clicks import AnsweredBy, Clicked, Clicks, write_clicks
from voxledger.records.formats import numbered
from voxledger.records.ledger import Entry, Origin, write_ledger
from voxledger.records.overrides import read_overrides
from voxledger.release.close import close
from voxledger.release.licence import allow, require_licence
from voxledger.release.models_used import cards_of_release

from .conftest import Released

PARENT, CHILD, OPEN = "a" * 64, "b" * 64, "c" * 64
CARDS = {PARENT: ("marks", "CC BY-NC-SA 4.0", ""), CHILD: ("tuned", "MIT", PARENT), OPEN: ("unet", "Apache-2.0", "")}


@pytest.fixture
def repository(folder: Path) -> Path:
    """A folder under git with three models, one of them tuned from another one's weights."""
    run("git", "init", "--quiet", ".")
    cards = [
        ModelCard(
            id=model_id, name=name, backend="nninteractive", architecture="", strategy="adopted", cohort="",
            parent=parent, params={}, licence=licence, round=0,
        )
        for model_id, (name, licence, parent) in CARDS.items()
    ]  # fmt: skip
    layout.NEXT_CARDS.parent.mkdir(parents=True)
    layout.NEXT_CARDS.write_text(to_json([numbered(card.model_dump(), FORMAT) for card in cards]))
    return folder


def release(*model_ids: str, declared: str = "CC-BY-4.0") -> None:
    """A ledger of masks that models proposed, and parameters that declare a licence."""
    names = [f"class{number}" for number in range(len(model_ids))]
    entries = {
        ("case", name): Entry("case", name, 1, Origin.ACCEPTED, (model_id,), "ann", "", "d" * 64, "", 1.0)
        for name, model_id in zip(names, model_ids, strict=True)
    }
    write_ledger(layout.RELEASE_LEDGER, entries, names)
    layout.PARAMS.write_text(f"round: 1\nlicence: {declared}\n")


@pytest.mark.parametrize(
    ("model_ids", "declared", "said"),
    [
        ((PARENT,), "CC-BY-4.0", "marks .* is under CC BY-NC-SA 4.0: not kept: no commercial use, the same licence"),
        ((PARENT,), "CC-BY-NC-4.0", "not kept: the same licence"),
        ((PARENT,), "CC-BY-NC-SA-4.0", ""),
        ((OPEN,), "CC0-1.0", ""),
        ((OPEN, PARENT), "MIT", "marks"),
        ((CHILD,), "MIT", "marks"),  # weights that are tuned from others are under their licence, too
        ((PARENT,), "unspecified", ""),
        (("e" * 64,), "MIT", ""),
    ],
)
def test_conditions_of_models_are_kept(repository, model_ids, declared, said):
    release(*model_ids, declared=declared)
    if not said:
        require_licence(declared)
        return
    with pytest.raises(VoxledgerError, match=said):
        require_licence(declared)


@pytest.mark.parametrize("helped", [True, False])
def test_so_are_those_of_a_model_whose_answers_people_took(repository, helped):
    release(OPEN)
    folder = layout.RELEASE_REVISIONS / ("f" * 64)
    folder.mkdir(parents=True)
    click = Clicked(case_id="case", class_name="class0", voxel=(1, 2, 3), present=True, helped=helped)
    write_clicks(folder, Clicks(model=CHILD, gate=None, cases=("case",), clicks=(click,)))
    if not helped:
        require_licence("MIT")
        return
    with pytest.raises(VoxledgerError, match="marks"):
        require_licence("MIT")


def answered_by(by: AnsweredBy | None, model_id: str = "9" * 64, returned: str = "f" * 64) -> str:
    """A return in which the answer of a model was taken, by default of one that no round had; its id."""
    folder = layout.RELEASE_REVISIONS / returned
    folder.mkdir(parents=True)
    click = Clicked(case_id="case", class_name="class0", voxel=(1, 2, 3), present=True, helped=True)
    write_clicks(folder, Clicks(model=model_id, answered_by=by, gate=None, cases=("case",), clicks=(click,)))
    return model_id


def test_so_are_those_of_a_model_that_a_reviewer_brought_along(repository):
    """No round has its card: what the return says of it counts."""
    release(OPEN)
    by = AnsweredBy(name="served", backend="nninteractive", architecture="UNet", licence="CC-BY-NC-SA-4.0")
    model_id = answered_by(by)
    said = r"allow: served \(9{12}\) is under CC-BY-NC-SA-4.0: not kept: no commercial use, the same licence\n"
    with pytest.raises(VoxledgerError, match=said):
        require_licence("CC-BY-4.0")
    require_licence("CC-BY-NC-SA-4.0")
    assert allow("served", "written permission").model_id == model_id
    require_licence("CC-BY-4.0")


@pytest.mark.parametrize("licence", [None, "MIT", "CC BY-NC 4.0", "unspecified", ""])
@pytest.mark.parametrize("first", [True, False])
def test_of_what_returns_say_of_one_model_that_counts_which_asks_for_most(repository, licence, first):
    """As one of a page of before, which says nothing, beside one that says what is not allowed."""
    release(OPEN)
    said = {"name": "served", "backend": "nninteractive", "architecture": "UNet"}
    for returned, one in (("a" if first else "e", "CC-BY-NC-SA-4.0"), ("c", licence)):
        answered_by(None if one is None else AnsweredBy(**said, licence=one), returned=returned * 64)
    assert cards_of_release()["9" * 64].licence == "CC-BY-NC-SA-4.0"
    with pytest.raises(VoxledgerError, match="served"):
        require_licence("MIT")


def test_of_a_model_that_a_return_of_before_names_nothing_is_known(repository):
    release(OPEN)
    model_id = answered_by(None)
    require_licence("MIT")
    assert cards_of_release()[model_id].licence == UNSPECIFIED


def test_what_a_return_says_of_a_model_does_not_count_where_its_card_is_here(repository):
    release(CHILD)
    answered_by(AnsweredBy(name="marks", backend="nninteractive", architecture="", licence="MIT"), PARENT)
    assert cards_of_release()[PARENT].licence == "CC BY-NC-SA 4.0"


def test_a_curator_allows_it_on_record(repository):
    release(PARENT)
    with pytest.raises(Misuse, match="needs a reason"):
        allow("marks", " ")
    with pytest.raises(Misuse, match=r"no model or source unet stands in the way .*\n.*name one of marks"):
        allow("unet", "because")
    row = allow("marks", "written permission, with a comma")
    require_licence("CC-BY-4.0")
    assert read_overrides(layout.LICENCES) == [row]
    assert (row.model_id, row.licence, row.declared) == (PARENT, "CC BY-NC-SA 4.0", "CC-BY-4.0")
    assert row.curator == output("git", "log", "-1", "--format=%an").strip()
    assert (
        output("git", "log", "-1", "--format=%s").strip() == "Licence CC-BY-4.0 allowed beside CC BY-NC-SA 4.0 of marks"
    )
    # Another licence, or another model, was not allowed.
    with pytest.raises(VoxledgerError, match="marks"):
        require_licence("MIT")


def test_conditions_of_sources_are_kept(repository):
    """Of the cases that the release has masks of, and of no other."""
    release(OPEN, declared="CC-BY-4.0")
    one = Case("case", "data/images/case.nii.gz", "", "", "atlas", "CC-BY-NC-4.0", Split.POOL, "CT", "")
    write_cases(layout.CASES, [one, replace(one, case_id="other", source="other", licence="CC-BY-ND-4.0")])
    with pytest.raises(
        VoxledgerError, match=r"allow: atlas \(source:atlas\) is under CC-BY-NC-4.0: .*no commercial use\n"
    ):
        require_licence("CC-BY-4.0")
    assert allow("atlas", "written permission").model_id == "source:atlas"
    require_licence("CC-BY-4.0")
    with pytest.raises(VoxledgerError, match="atlas"):
        require_licence("MIT")


def test_a_round_is_not_closed_under_it(released: Released, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run("cp", "-a", str(released.repository), str(tmp_path / "copy"))
    monkeypatch.chdir(tmp_path / "copy")
    run("git", "tag", "--delete", "round-01", "two@v1.0.0")
    asked = []
    monkeypatch.setattr("voxledger.release.close.require_licence", lambda declared: asked.append(declared))
    close(push=False)
    assert asked == ["unspecified"]
