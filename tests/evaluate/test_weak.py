"""What masks were predicted from, and what became of them."""

from __future__ import annotations

from collections.abc import Sequence

from voxledger.evaluate.weak import NEITHER, ORGAN, SEVERAL, by_fit, fates, origins, weak_section
from voxledger.records.cases import Case, Split
from voxledger.records.decisions import Decision
from voxledger.records.ledger import Entry, Origin, WeakMark
from voxledger.records.predicted import Predicted
from voxledger.records.readings import Outcome, Reading
from voxledger.weak.decisions import WeakDecision


def case(name: str, split: Split = Split.POOL) -> Case:
    return Case(name, f"data/images/{name}.nii.gz", "x", "y", "here", "CC0-1.0", split, "CT", "")


def mark(kind: str, source: str, number: int = 0) -> str:
    return str(WeakMark(kind, source, f"{number:064x}"))


def row(name: str, model: str, classes: Sequence[str], *weak: tuple[str, str]) -> Predicted:
    return Predicted(name, model, f"{model}-id", tuple(classes), "key", tuple(weak))


def decision(name: str, class_name: str, agrees: bool, check: str = "connected") -> WeakDecision:
    return WeakDecision(name, class_name, 1, "recist", "deeplesion", "0" * 64, "inter", check, 1.0, "", agrees)


def said(name: str, class_name: str, what: str) -> Reading:
    return Reading(1, name, class_name, "ann", Decision(what), None, "", "", "", "b" * 64, "", Outcome("counted"))


CASES = [*(case(name) for name in "abcd"), case("test", Split.TEST)]
ROWS = [
    *(row(name, "whole", ["liver", "lesion"]) for name in ("a", "b", "c", "d", "test")),
    *(row(name, "organ", ["lesion"]) for name in ("c", "d")),
    row("c", "organ2", ["duct"]),
    row(
        "a", "inter", ["lesion"], ("lesion", mark("recist", "deeplesion")), ("lesion", mark("recist", "deeplesion", 1))
    ),
    row("b", "inter", ["lesion"], ("lesion", mark("recist", "json")), ("lesion", mark("box", "coco"))),
]
LEDGER = {("d", "liver"): Entry("d", "liver", 0, Origin.ACCEPTED, (), "", "", "", "", 1.0)}
OF = origins(CASES, ROWS, ["organ-id", "organ2-id"], LEDGER)
WEAK = [decision("a", "lesion", True), decision("a", "lesion", False, "extent"), decision("b", "lesion", True)]
SAID = [said("a", "lesion", "reject"), said("b", "lesion", "accept"), said("c", "liver", "revise")]


def test_a_class_is_from_its_weak_label_or_from_who_else_predicted_it() -> None:
    """Where an organ model and one of the whole image both have a say, it is not of the organ model alone."""
    assert OF == {
        ("a", "liver"): NEITHER,
        ("a", "lesion"): "recist (deeplesion)",
        ("b", "liver"): NEITHER,
        ("b", "lesion"): SEVERAL,
        ("c", "liver"): NEITHER,
        ("c", "lesion"): NEITHER,
        ("c", "duct"): ORGAN,
        ("d", "lesion"): NEITHER,
    }


def test_what_became_of_them() -> None:
    words = ("masks", "disagree", "accepted", "revised", "rejected", "open")
    found = {name: tuple(of[word] for word in words) for name, of in fates(OF, WEAK, SAID).items()}
    assert found == {
        "recist (deeplesion)": (1, 1, 0, 0, 1, 0),
        SEVERAL: (1, 0, 1, 0, 0, 0),
        ORGAN: (1, 0, 0, 0, 0, 1),
        NEITHER: (5, 0, 0, 1, 0, 4),
    }
    assert next(iter(found)) == "recist (deeplesion)"
    fit = {name: tuple(of[word] for word in words) for name, of in by_fit(OF, WEAK, SAID).items()}
    assert fit == {"weak label agrees": (1, 0, 1, 0, 0, 0), "weak label disagrees": (1, 1, 0, 0, 1, 0)}


def test_the_section_of_the_report() -> None:
    html = weak_section(fates(OF, WEAK, SAID), by_fit(OF, WEAK, SAID))
    assert "Of 8 masks of the pool" in html
    assert "2 were predicted from a weak label, 1 by models of their organ alone, and 5 from the whole image" in html
    assert "<td>recist (deeplesion)</td><td>1</td><td>1</td><td>0</td><td>0</td><td>1</td><td>0</td>" in html
    assert html.count("<img") == 1
    assert weak_section(fates(OF, [], SAID), by_fit(OF, [], SAID)) == "", "without weak labels there is nothing to say"
