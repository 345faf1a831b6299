"""`trace` in clones that lack history: nothing is shown for something else, nothing is missing without a word."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from commands import output, run

from voxledger.records.card import ModelCard, to_json
from voxledger.records.cases import Case, Split, write_cases
from voxledger.records.confirmed import Confirmed, write_confirmed
from voxledger.records.decisions import TABLE
from voxledger.records.ledger import Entry, Ledger, Neighbour, Origin, write_ledger
from voxledger.textfile import write_table

COHORT_COLUMNS = ["case_id", "image_sha256", "class_name", "origin", "mask_sha256"]
CLASSES = ["liver", "spleen", "stomach", "aorta"]


def row(name: str, version: int, origin: Origin, mask: str, previous: str = "", bundle: str = "") -> Entry:
    models = () if origin is Origin.SOURCE else ("m" * 64,)
    return Entry("c1", name, version, origin, models, "ann" if bundle else "", bundle, mask, previous, 1.0)


def write_round(number: int, rows: list[Entry], base: Ledger, cards: list[ModelCard], members: int) -> None:
    """The files in git of a finished round that `trace` reads."""
    Path("params.yaml").write_text(f"round: {number}\n")
    classes = "".join(f"  - {{id: {i}, name: {name}}}\n" for i, name in enumerate(CLASSES, start=1))
    Path("labels.yaml").write_text(f"name: abdomen\nclasses:\n{classes}")
    for file in ("dvc.yaml", ".dvc"):
        Path(file).touch()
    write_cases("data/cases.csv", [Case("c1", "data/images/c1.nii.gz", "", "", "made", "", Split.POOL, "CT", "")])
    write_ledger("data/base/ledger.csv", base, CLASSES)
    write_ledger("data/release/ledger.csv", {(e.case_id, e.class_name): e for e in rows}, CLASSES)
    decided = [e for e in rows if e.bundle and number == 0]
    write_table(
        "data/round/decisions.csv",
        TABLE.columns,
        [{"case_id": e.case_id, "class_name": e.class_name, "decision": e.origin, "bundle": e.bundle} for e in decided],
    )
    write_table("data/round/cohort.csv", COHORT_COLUMNS, [{"case_id": f"c{n}"} for n in range(members)])
    Path("models").mkdir(exist_ok=True)
    Path("models/base.json").write_text(to_json([c.model_dump() for c in cards]))


def card(number: int) -> ModelCard:
    """A model trained in a round on the cohort that lies here."""
    digest = hashlib.sha256(Path("data/round/cohort.csv").read_bytes()).hexdigest()
    return ModelCard(
        id="m" * 64, name="net", backend="monai", architecture="", strategy="full", cohort=digest, parent="",
        params={}, licence="CC0-1.0", round=number,
    )  # fmt: skip


@pytest.fixture(scope="module")
def origin(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Rounds 0 to 3: in round 0 the model learns from 7 cases and ann decides on liver; stomach changes every time."""
    root = tmp_path_factory.mktemp("trace") / "origin"
    root.mkdir()
    with contextlib.chdir(root):
        run("git", "init", "-q", "-b", "main")
        rows = [
            row("liver", 0, Origin.ACCEPTED, "l0", bundle="b" * 64),
            row("spleen", 0, Origin.SOURCE, "s0"),
            row("stomach", 0, Origin.PREDICTED, "t0"),
            row("aorta", 0, Origin.REVISED, "a0", bundle="b" * 64),
        ]
        cards: list[ModelCard] = []
        for number in range(4):
            base = {(e.case_id, e.class_name): e for e in rows}
            if number:
                rows[2] = row("stomach", number, Origin.PREDICTED, f"t{number}", f"t{number - 1}")
            if number == 2:
                trimmed = row("aorta", 2, Origin.REVISED, "a2", "a0", bundle="b" * 64)
                rows[3] = replace(trimmed, changed_by=(Neighbour("stomach", "bob", "c" * 64),))
            write_round(number, rows, base, cards, members=15 if number else 7)
            cards = cards or [card(0)]
            run("git", "add", "--all")
            run("git", "commit", "-q", "-m", f"Close round {number}: two v{number}.0.0")
            run("git", "tag", "-a", f"round-{number:02d}", "-m", "two")
            Path("params.yaml").write_text(f"round: {number + 1}\n")
            run("git", "commit", "-q", "-a", "-m", f"Open round {number + 1}")
    return root


@pytest.fixture
def shallow(origin: Path, tmp_path: Path) -> Path:
    """A clone as docs/auditors.md advises."""
    target = tmp_path / "shallow"
    run("git", "clone", "-q", "--depth", "1", "--branch", "round-02", f"file://{origin}", str(target))
    return target


def traced(clone: Path, *more: str, tag: str = "round-02") -> dict[str, Any]:
    chain: dict[str, Any] = json.loads(output("voxledger", "trace", "c1", "--at", tag, "--json", *more, cwd=clone))
    return chain


def of_class(chain: dict[str, Any], name: str) -> dict[str, Any]:
    found: dict[str, Any] = next(c for c in chain["classes"] if c["class"] == name)
    return found


def test_a_shallow_clone_does_not_show_this_cohort_as_an_older_models(shallow: Path) -> None:
    """15 cases were shown where the model had learned from 7."""
    model = traced(shallow)["models"][0]
    assert model["cohort_cases"] is None


def test_what_a_shallow_clone_lacks_is_named_with_the_command_that_brings_it(shallow: Path) -> None:
    chain = traced(shallow)
    assert of_class(chain, "liver")["decision"] is None
    assert of_class(chain, "stomach")["history"] == []
    listed = "\n".join(chain["not_here"])
    assert "cohort of model mmmmmmmmmmmm (net), trained in round 0" in listed
    assert "decision of ann on liver" in listed
    assert "older states of stomach" in listed
    assert "round-00, round-01" in listed
    assert "older states of spleen" not in listed  # its only state is the one in the ledger
    assert chain["brings_it"] == "git fetch --unshallow --tags"
    said = run("voxledger", "trace", "c1", "--at", "round-02", cwd=shallow)
    assert "cohort  " in said
    assert "15 cases" not in said
    for line in (*chain["not_here"], "→ git fetch --unshallow --tags"):
        assert line in said


def test_the_command_that_is_named_brings_everything(shallow: Path, origin: Path) -> None:
    run(*traced(shallow)["brings_it"].split(), cwd=shallow)
    chain = traced(shallow)
    assert chain == traced(origin)
    assert chain["not_here"] == []
    assert chain["brings_it"] is None
    assert chain["models"][0]["cohort_cases"]["cases"] == 7
    assert of_class(chain, "liver")["decision"]["bundle"] == "b" * 64
    assert [s["first_in"] for s in of_class(chain, "stomach")["history"]] == ["round-01", "round-00"]
    assert "not here" not in run("voxledger", "trace", "c1", "--at", "round-02", cwd=shallow)


def test_fetched_tags_without_the_commits_between_them_are_history_too(shallow: Path, origin: Path) -> None:
    """`git tag --merged` sees nothing behind the cut of a shallow clone."""
    run("git", "fetch", "-q", "--tags", cwd=shallow)
    assert output("git", "rev-parse", "--is-shallow-repository", cwd=shallow).strip() == "true"
    assert traced(shallow) == traced(origin)
    assert "round-03" not in json.dumps(traced(shallow))


def test_a_full_clone_without_tags_names_git_fetch_tags(origin: Path, tmp_path: Path) -> None:
    clone = tmp_path / "full"
    run("git", "clone", "-q", "--no-tags", str(origin), str(clone))
    run("git", "fetch", "-q", "--no-tags", "origin", "tag", "round-02", cwd=clone)
    chain = traced(clone)
    assert "older states of stomach" in "\n".join(chain["not_here"])
    assert chain["brings_it"] == "git fetch --tags"
    run("git", "fetch", "-q", "--tags", cwd=clone)
    assert traced(clone) == traced(origin)


def test_the_working_tree_has_no_later_versions_before_it(origin: Path, tmp_path: Path) -> None:
    clone = tmp_path / "full"
    run("git", "clone", "-q", str(origin), str(clone))
    run("git", "checkout", "-q", "round-01", cwd=clone)
    chain = json.loads(output("voxledger", "trace", "c1", "--json", cwd=clone))
    assert [s["first_in"] for s in of_class(chain, "stomach")["history"]] == ["round-00"]


def test_a_tag_of_another_line_of_history_is_not_taken_for_an_older_version(shallow: Path) -> None:
    """Even where the graph is not here, the ledger that a round started from says which version it continues."""
    run("git", "fetch", "-q", "--tags", cwd=shallow)
    run("git", "checkout", "-q", "round-01", cwd=shallow)
    ledger = shallow / "data/release/ledger.csv"
    ledger.write_text(ledger.read_text().replace("t1", "other"))
    run("git", "commit", "-q", "-a", "-m", "Close round 1: another line", cwd=shallow)
    run("git", "tag", "-d", "round-01", cwd=shallow)
    run("git", "tag", "-a", "round-01", "-m", "other", cwd=shallow)
    chain = traced(shallow)
    assert "other" not in json.dumps(of_class(chain, "stomach"))
    assert any("round-01" in line and "another line of history" in line for line in chain["not_here"])


def test_the_decision_on_a_mask_that_was_trimmed_later_is_found(origin: Path) -> None:
    """Its row has the version of the trim and the bundle of the decision, which lies rounds back."""
    aorta = of_class(traced(origin, "--class", "aorta"), "aorta")
    assert (aorta["version"], aorta["decision"]["bundle"]) == (2, "b" * 64)
    assert aorta["decision"]["decision"] == "revised"
    assert aorta["changed_by"] == [{"class_name": "stomach", "reviewer": "bob", "bundle": "c" * 64}]
    said = run("voxledger", "trace", "c1", "--at", "round-03", "--class", "aorta", cwd=origin)
    assert "changed by its neighbour stomach (bob, bundle cccccccccccc)" in said
    assert "review  revised" in said


def test_what_a_curator_confirmed_is_shown(origin: Path, tmp_path: Path) -> None:
    clone = tmp_path / "confirmed"
    run("git", "clone", "-q", str(origin), str(clone))
    rows = [
        Confirmed(bundle, "c1", name, kind, "ann", "2026-01-01", f"{kind} looked at")
        for bundle, name, kind in (
            ("b" * 64, "aorta", "volume"), ("b" * 64, "", "unlike"), ("b" * 64, "liver", "gaps"), ("d" * 64, "", "cut"),
        )
    ]  # fmt: skip
    write_confirmed(clone / "data/confirmed.csv", rows)
    run("git", "add", "data/confirmed.csv", cwd=clone)
    run("git", "commit", "-q", "-m", "Confirmed", cwd=clone)
    chain = traced(clone, "--class", "aorta", tag="HEAD")
    assert [row["kind"] for row in of_class(chain, "aorta")["confirmed"]] == ["volume", "unlike"]
    said = run("voxledger", "trace", "c1", "--at", "HEAD", "--class", "aorta", cwd=clone)
    assert "looked wrong and was confirmed by ann: volume, “volume looked at”" in said


def test_a_cohort_that_lies_in_the_version_itself_is_used(origin: Path, tmp_path: Path) -> None:
    clone = tmp_path / "first"
    run("git", "clone", "-q", "--depth", "1", "--branch", "round-00", f"file://{origin}", str(clone))
    shutil.copyfile(origin / "models/base.json", clone / "models/base.json")
    run("git", "commit", "-q", "-a", "-m", "Close round 0: with the card of its model", cwd=clone)
    chain = traced(clone, tag="HEAD")
    assert chain["models"][0]["cohort_cases"]["cases"] == 7
    assert chain["not_here"] == []


def test_a_cohort_that_was_altered_is_not_shown(origin: Path, tmp_path: Path) -> None:
    clone = tmp_path / "full"
    run("git", "clone", "-q", str(origin), str(clone))
    run("git", "checkout", "-q", "round-00", cwd=clone)
    with open(clone / "data/round/cohort.csv", "a") as stream:
        stream.write("c99,,,,\n")
    run("git", "commit", "-q", "-a", "-m", "altered", cwd=clone)
    run("git", "tag", "-f", "round-00", cwd=clone)
    chain = traced(clone)
    assert chain["models"][0]["cohort_cases"] is None
    assert any("is not the one that the card names" in line for line in chain["not_here"])
    assert chain["brings_it"] is None
