"""What the readers of a case say together, and what an adjudicator makes of the rest: whole label maps."""

from __future__ import annotations

import numpy as np
import pytest
from small_round import SCHEMA, anatomy

from voxledger.bundles.settle import Reader, Settled, overrule, read_by_several, settle
from voxledger.records.decisions import Decision, Row
from voxledger.records.error_kind import ErrorKind
from voxledger.registry import CONSENSUS

PROPOSAL = anatomy(1)
ALL = frozenset(SCHEMA.names)


def reader(name: str, labels: np.ndarray, asked: frozenset[str] = ALL, **decisions: str | Row) -> Reader:
    rows = {n: d if isinstance(d, Row) else Row("case_1", n, Decision(d)) for n, d in decisions.items()}
    return Reader(name, labels, rows, asked)


def settled(*readers: Reader, method: str = "majority", agreement: float = 0.8) -> Settled:
    return settle(SCHEMA, PROPOSAL, readers, CONSENSUS.get(method), agreement)


def test_a_lesion_that_all_erase_falls_back_to_the_organ_that_they_revised() -> None:
    """The eraser leaves background; the organ, which was revised as well, is still there."""
    labels = PROPOSAL.copy()
    labels[PROPOSAL == 3] = 2
    labels[2, 13, 4:14] = 0
    labels[2:4, 9, 4:8] = 2
    found = settled(*(reader(n, labels, pancreas="revise", lesion="revise") for n in ("a", "b")))
    assert not SCHEMA.mask(found.labels, "lesion").any()
    assert np.array_equal(SCHEMA.mask(found.labels, "pancreas"), SCHEMA.mask(labels, "pancreas"))
    assert {n: row.decision for n, row in found.rows.items()} == {
        "pancreas": Decision.REVISE,
        "lesion": Decision.REVISE,
    }


def test_where_no_two_say_what_is_there_instead_the_organ_is() -> None:
    """One has the organ there, one nothing, one the lesion: the lesion goes, the organ of two of them stays."""
    maps = [PROPOSAL.copy() for _ in range(3)]
    lesion = PROPOSAL == 3
    maps[0][lesion], maps[1][lesion] = 2, 0
    for labels in maps:
        labels[2, 13, 4:14] = 0
    readers = [
        reader("a", maps[0], pancreas="revise", lesion="revise"),
        reader("b", maps[1], pancreas="revise", lesion="revise"),
        reader("c", maps[2], pancreas="revise", lesion="accept"),
    ]
    found = settled(*readers)
    assert not (found.labels == 3).any()
    assert np.array_equal(found.labels == 2, SCHEMA.mask(maps[0], "pancreas"))


def test_an_eraser_of_a_lesion_makes_no_hole_in_an_organ_that_the_others_keep() -> None:
    erased, wider = PROPOSAL.copy(), PROPOSAL.copy()
    erased[PROPOSAL == 3] = 0
    erased[2, 13, 4:14] = 0
    wider[2, 13, 4:14] = 0
    found = settled(
        reader("a", erased, pancreas="revise", lesion="revise"),
        reader("b", wider, pancreas="revise", lesion="accept"),
        reader("c", wider, pancreas="revise"),
        agreement=0,
    )
    assert not (found.labels == 3).any()
    assert np.array_equal(found.labels == 2, SCHEMA.mask(wider, "pancreas"))


def test_two_readers_of_one_lesion_and_organ_make_what_one_of_them_drew() -> None:
    labels = anatomy(0)
    found = settled(*(reader(n, labels, pancreas="revise", lesion="revise") for n in ("a", "b")))
    assert np.array_equal(found.labels, labels)


def test_what_is_given_up_becomes_what_most_painted_there() -> None:
    """Two of three say that a part of the kidney is liver; one says that it is nothing."""
    part = np.zeros(PROPOSAL.shape, bool)
    part[4:6, 2:4, 15:17] = True
    liver, nothing = PROPOSAL.copy(), PROPOSAL.copy()
    liver[part], nothing[part] = 1, 0
    readers = [reader(n, m, kidney_left="revise") for n, m in (("a", liver), ("b", liver), ("c", nothing))]
    found = settled(*readers, agreement=0)
    assert np.array_equal(found.labels, liver)
    readers = [reader(n, m, kidney_left="revise") for n, m in (("a", liver), ("b", nothing), ("c", nothing))]
    assert np.array_equal(settled(*readers, agreement=0).labels, nothing)


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_the_order_of_readers_does_not_matter(order: tuple[int, ...]) -> None:
    maps = [anatomy(0), anatomy(2), PROPOSAL]
    readers = [
        reader("a", maps[0], pancreas="revise", lesion="revise", liver="accept"),
        reader("b", maps[1], pancreas="revise", lesion="revise", liver="accept"),
        reader("c", maps[2], pancreas="accept", lesion="reject", liver="accept"),
    ]
    first, other = settled(*readers), settled(*(readers[i] for i in order))
    assert np.array_equal(first.labels, other.labels)
    assert {n: r.decision for n, r in first.rows.items()} == {n: r.decision for n, r in other.rows.items()}
    assert dict(first.disputed) == dict(other.disputed)


def test_a_class_that_nobody_was_asked_about_needs_more_than_half_of_the_readers() -> None:
    asked, grown = frozenset({"liver"}), PROPOSAL.copy()
    grown[9, 2:6, 15:19] = 5
    one = [
        reader("a", grown, asked, liver="accept", kidney_left="revise"),
        reader("b", PROPOSAL, asked, liver="accept"),
    ]
    found = settled(*one, agreement=0)
    assert list(found.rows) == ["liver"]
    assert found.disputed == {"kidney_left": "of 2 readers 1 keep it, 0 reject it, 1 say nothing"}
    assert np.array_equal(found.labels, PROPOSAL)
    both = [reader(n, grown, asked, liver="accept", kidney_left="revise") for n in ("a", "b")]
    assert np.array_equal(settled(*both).labels, grown)


def test_a_class_that_one_of_them_alone_was_asked_about_is_settled_by_that_one() -> None:
    found = settled(
        reader("a", PROPOSAL, frozenset({"liver", "pancreas"}), liver="accept", pancreas="reject"),
        reader("b", PROPOSAL, frozenset({"liver"}), liver="accept"),
    )
    assert {n: row.decision for n, row in found.rows.items()} == {"liver": Decision.ACCEPT, "pancreas": Decision.REJECT}


def test_a_reader_without_an_answer_does_not_stop_a_majority_of_the_others() -> None:
    readers = [reader("a", PROPOSAL, liver="accept"), reader("b", PROPOSAL, liver="accept"), reader("c", PROPOSAL)]
    assert settled(*readers).rows["liver"].decision is Decision.ACCEPT
    assert settled(*readers, method="adjudicate").disputed == {"liver": "2 of 3 readers keep it"}


def test_minutes_add_up_and_errors_are_counted() -> None:
    def row(minutes: float | None, kind: str, comment: str = "") -> Row:
        return Row("case_1", "liver", Decision.REJECT, minutes, ErrorKind(kind), comment)

    said = [row(2.0, "boundary", "bad"), row(None, "merged"), row(1.5, "boundary", "worse")]
    found = settled(*(reader(n, PROPOSAL, liver=r) for n, r in zip("abc", said, strict=True)))
    assert found.rows["liver"] == row(3.5, "boundary", "a: bad; c: worse")
    nothing = settled(*(reader(n, PROPOSAL, liver=row(None, "none")) for n in "ab"))
    assert nothing.rows["liver"].minutes is None


def test_an_adjudicator_counts_alone() -> None:
    wide = PROPOSAL.copy()
    wide[9, 2:6, 15:19] = 5
    readers = [reader("a", anatomy(0), pancreas="revise", kidney_left="accept"),
               reader("b", PROPOSAL, pancreas="reject", kidney_left="accept")]  # fmt: skip
    found = settled(*readers, method="adjudicate")
    assert list(found.disputed) == ["pancreas"]
    asked = frozenset({"pancreas"})
    after = overrule(SCHEMA, found, reader("z", wide, asked, pancreas="reject", kidney_left="revise"))
    assert dict(after.disputed) == {}
    assert after.rows["pancreas"].decision is Decision.REJECT
    assert np.array_equal(SCHEMA.mask(after.labels, "kidney_left"), SCHEMA.mask(wide, "kidney_left"))
    assert np.array_equal(found.labels, PROPOSAL), "what was settled before is not changed in place"


def test_an_empty_proposal_and_an_empty_mask() -> None:
    empty = np.zeros_like(PROPOSAL)
    found = settle(
        SCHEMA,
        empty,
        [reader("a", empty, liver="accept"), reader("b", empty, liver="accept")],
        CONSENSUS.get("majority"),
        1.0,
    )
    assert found.rows["liver"].decision is Decision.ACCEPT
    drawn = [reader("a", PROPOSAL, liver="revise"), reader("b", empty, liver="accept")]
    one = settle(SCHEMA, empty, drawn, CONSENSUS.get("majority"), 0.5)
    assert list(one.disputed) == ["liver"]


@pytest.mark.parametrize("proposed", [True, False], ids=["a lesion was proposed", "none was"])
@pytest.mark.parametrize("method", CONSENSUS.names())
def test_lesions_in_three_places_are_a_disagreement(method: str, proposed: bool) -> None:
    """No voxel is in two of them; that is not an empty mask on which all agree."""
    proposal = PROPOSAL if proposed else np.where(PROPOSAL == 3, 2, PROPOSAL)
    readers = []
    for name, x in (("a", 4), ("b", 7), ("c", 10)):
        labels = np.where(PROPOSAL == 3, 2, PROPOSAL)
        labels[2:4, 11:13, x : x + 3] = 3
        readers.append(reader(name, labels, pancreas="accept", lesion="revise"))
    for agreement in (0.0, 0.9):
        found = settle(SCHEMA, proposal, readers, CONSENSUS.get(method), agreement)
        if agreement or method == "majority":
            assert list(found.disputed) == ["lesion"]
            assert np.array_equal(found.labels, proposal)


def test_what_most_revised_is_revised_though_it_comes_out_as_it_was_proposed() -> None:
    """Each of three adds another voxel: none stays, and nobody accepted the mask."""
    readers = []
    for name, x in (("a", 15), ("b", 16), ("c", 17)):
        labels = PROPOSAL.copy()
        labels[9, 2, x] = 5
        readers.append(reader(name, labels, kidney_left="revise"))
    found = settled(*readers)
    assert np.array_equal(found.labels, PROPOSAL)
    assert found.rows["kidney_left"].decision is Decision.REVISE


def test_which_cases_several_people_read() -> None:
    a, b = [("x", "liver"), ("y", "liver")], [("x", "pancreas"), ("y", "liver")]
    assert read_by_several([a, b]) == {"y"}
    assert read_by_several([a]) == read_by_several([]) == frozenset()
