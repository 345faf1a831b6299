"""`voxledger review` as a curator types it."""

from __future__ import annotations

import json
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from commands import output
from killed import kill_before

from voxledger.cli.main import cli
from voxledger.export.run import export_round
from voxledger.imaging.volume import Grid, file_sha256, mask_sha256, write
from voxledger.init import init
from voxledger.records.cases import Case, Split, read_cases, write_cases
from voxledger.records.confirmed import read_confirmed
from voxledger.records.ledger import Entry, Origin, write_ledger
from voxledger.records.worklist import read_worklist
from voxledger.release.inbox import track_inbox
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(name="one", classes=(LabelClass(id=1, name="liver"),))
GRID = Grid.plain((4, 5, 6), (3.0, 1.0, 1.0))
HEADER = "rank,case_id,class_name,attention_ml,priority,reason,reviewer,expected_minutes\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new curation repository."""
    folder = tmp_path_factory.mktemp("new") / "atlas"
    init(folder, "atlas")
    return folder


@pytest.fixture
def exported(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it with two bundles of one case each, as the current folder."""
    shutil.copytree(repository, tmp_path / "atlas")
    monkeypatch.chdir(tmp_path / "atlas")
    cases = []
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:3, 1:4, 1:4] = 1
    for name in ("c1", "c2"):
        image = Path(f"data/images/{name}.nii.gz")
        write(image, np.arange(120, dtype=np.int16).reshape(GRID.shape), GRID)
        cases.append(Case(name, str(image), file_sha256(image), "", "", "", Split.POOL, "CT", ""))
        write(f"reference/{name}.nii.gz", labels, GRID)
    parameters = Path("params.yaml")
    parameters.write_text(parameters.read_text().replace("round: 0 ", "round: 1 "))
    Path("data/round").mkdir()
    worklist = Path("data/round/worklist.csv")
    rows = "1,c1,liver,3.5,3.5,attention,ann,15\n2,c2,liver,0.1,0.1,audit,ben,15\n"
    worklist.write_text(HEADER + rows)
    write_cases("data/cases.csv", cases)
    export_round(read_worklist(worklist), cases, SCHEMA, {}, {}, "atlas", 1)
    return tmp_path / "atlas"


def call(*args: str, code: int = 0) -> Result:
    result = CliRunner().invoke(cli, ["review", *args])
    assert result.exit_code == code, result.output
    return result


def test_out_and_back(exported: Path) -> None:
    assert "has not come back" not in call("zip", "ann").output
    assert "bundle-r01-ann: away, 0 of 1 decisions" in call("status", code=3).output
    assert "exists already" in call("zip", "ann", code=2).output
    out = call("receive", "bundle-r01-ann.zip", code=3).output
    assert "received as data/inbox/bundle-r01-ann" in out
    assert "class liver, decisions.csv: has no decision" in out
    assert "ask ann to put this right" in out
    assert "nothing to do" in call("receive", "bundle-r01-ann.zip", code=3).output
    shutil.rmtree("data/inbox/bundle-r01-ann")
    assert "handed in" in call("emulate", "--reference", "reference", "--reviewer", "ann").output
    assert "handed in already" in call("emulate", "--reference", "reference", "--reviewer", "ann").output
    out = call("receive", "bundle-r01-ann.zip").output
    assert "it counts together with the return before, and is kept as it came as data/inbox/bundle-r01-ann.part-" in out
    found = json.loads(call("status", "--json", code=3).output)
    assert [b["state"] for b in found["bundles"]] == ["complete", "away"]
    call("emulate", "--reference", "reference")
    assert sorted(p.name[:17] for p in Path("data/inbox").glob("*.dvc")) == [
        "bundle-r01-ann.dv", "bundle-r01-ann.pa", "bundle-r01-ben.dv",
    ]  # fmt: skip
    call("status")
    out = call("receive", "bundle-r01-ann.zip", "--replace", code=3).output
    assert "the return before it is kept as data/inbox/bundle-r01-ann.superseded-" in out


def test_an_emulated_reader_says_what_it_took_and_what_it_left(exported: Path) -> None:
    said = call("emulate", "--reference", "reference", "--reader", "attention", "--reviewer", "ann").output
    assert re.search(
        r"minutes of looking and [\d.]+ of drawing \(assumed\); \d+ of \d+ errors beyond 2 mm left", said
    ), said
    noted = json.loads(Path("data/inbox/bundle-r01-ann/emulated.json").read_text())
    assert (noted["looks"], len(noted["masks"])) == ("attention", 1)
    said = call("emulate", "--reference", "reference", "--reader", "clicks", "--reject-below", "0.2", code=2).output
    assert "--reject-below and --sees-mm are not of the reader `clicks`" in said


def returned(reviewer: str, decisions: dict[tuple[str, str], str]) -> Path:
    """A copy of a bundle beside the repository, with decisions by case and class."""
    folder = Path("..", f"from-{reviewer}")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(f"data/round/bundles/bundle-r01-{reviewer}", folder)
    rows = "".join(f"{case},{name},{decision},1,none,\n" for (case, name), decision in decisions.items())
    (folder / "decisions.csv").write_text("case_id,class_name,decision,minutes,error_type,comment\n" + rows)
    return folder


def test_a_faulty_return_is_kept_and_said_on_the_spot(exported: Path) -> None:
    faulty = returned("ann", {("c1", "liver"): "revise"})
    out = call("receive", str(faulty), code=3).output
    assert "bundle-r01-ann: refused, 1 of 1 decisions on 1 cases" in out
    assert "labels/c1.nii.gz: the decision is revise, but the mask is as it was sent" in out
    assert "ask ann to put this right" in out
    assert "ben" not in out
    kept = Path("data/inbox/bundle-r01-ann/decisions.csv")
    assert kept.read_bytes() == (faulty / "decisions.csv").read_bytes()
    assert Path("data/inbox/bundle-r01-ann.dvc").is_file()
    assert "complete" in call("receive", str(returned("ann", {("c1", "liver"): "accept"})), "--replace").output
    assert "revise" in next(Path("data/inbox").glob("*.superseded-*/decisions.csv")).read_text()


def test_a_curator_confirms_a_warning_on_record(exported: Path) -> None:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:3, 1:4, 1:4] = 1
    write("data/base/labels/c1.nii.gz", labels, GRID)
    digest = mask_sha256(labels, GRID)
    ledger = {("c1", "liver"): Entry("c1", "liver", 0, Origin.SOURCE, (), "", "", digest, "", 0.05)}
    write_ledger("data/base/ledger.csv", ledger, ["liver"])
    shutil.rmtree("data/round/bundles")
    export_round(read_worklist("data/round/worklist.csv"), read_cases(), SCHEMA, ledger, {}, "atlas", 1)
    folder = returned("ann", {("c1", "liver"): "revise"})
    write(folder / "labels/c1.nii.gz", np.zeros_like(labels), GRID)
    out = call("receive", str(folder), code=3).output
    assert "bundle-r01-ann: incomplete" in out
    assert "class liver, labels/c1.nii.gz: the decision is revise, but all of its 18 voxels are gone" in out
    said = ("confirm", "ann", "c1", "emptied", "--class", "liver")
    assert "needs a reason" in call(*said, "--reason", " ", code=2).output
    assert (
        "confirm one of: c1 emptied --class liver"
        in call("confirm", "ann", "c1", "volume", "--reason", "x", code=2).output
    )
    assert "name one of ann" in call("confirm", "ben", "c1", "emptied", "--reason", "x", code=2).output
    call(*said, "--reason", "=resected, see report")
    assert (
        output("git", "log", "-1", "--format=%s").strip() == "Confirmed: emptied of liver in case c1, returned by ann"
    )
    (row,) = read_confirmed("data/confirmed.csv")
    assert (row.case_id, row.kind, row.class_name, row.curator) == ("c1", "emptied", "liver", "test")
    assert row.reason == "'=resected, see report"
    out = call("status", code=3).output
    assert "bundle-r01-ann: complete" in out
    assert "18 to background; confirmed by a curator [emptied]" in out
    (folder / "decisions.csv").write_text((folder / "decisions.csv").read_text().replace(",1,", ",2,"))
    assert "bundle-r01-ann: incomplete" in call("receive", str(folder), code=3).output  # another return


@pytest.mark.parametrize("order", [("ann", "ben"), ("ben", "ann")])
def test_a_class_decided_on_twice_is_said_by_the_second_return(exported: Path, order: tuple[str, str]) -> None:
    worklist = Path("data/round/worklist.csv")
    worklist.write_text(HEADER + "1,c1,liver,3.5,3.5,attention,ann,15\n2,c1,fat,0.1,0.1,audit,ben,15\n")
    two = LabelSchema(name="two", classes=(*SCHEMA.classes, LabelClass(id=2, name="fat")))
    shutil.rmtree("data/round/bundles")
    export_round(read_worklist(worklist), read_cases(), two, {}, {}, "atlas", 1)
    decisions = {"ann": {("c1", "liver"): "accept"}, "ben": {("c1", "fat"): "accept", ("c1", "liver"): "accept"}}
    call("receive", str(returned(order[0], decisions[order[0]])))
    out = call("receive", str(returned(order[1], decisions[order[1]])), code=3).output
    assert "bundle-r01-ben, case c1, class liver, decisions.csv: bundle-r01-ann decides on it too" in out


@pytest.mark.parametrize("order", [("ann", "ben"), ("ben", "ann")])
def test_voxels_that_two_reviewers_claim_are_said_by_the_second_return(exported: Path, order: tuple[str, str]) -> None:
    worklist = Path("data/round/worklist.csv")
    worklist.write_text(HEADER + "1,c1,liver,3.5,3.5,attention,ann,15\n2,c1,fat,0.1,0.1,audit,ben,15\n")
    two = LabelSchema(name="two", classes=(*SCHEMA.classes, LabelClass(id=2, name="fat")))
    shutil.rmtree("data/round/bundles")
    export_round(read_worklist(worklist), read_cases(), two, {}, {}, "atlas", 1)
    folders = {name: returned(name, {("c1", c): "revise"}) for name, c in (("ann", "liver"), ("ben", "fat"))}
    for value, folder in enumerate(folders.values(), start=1):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[1:3, 1:4, value : value + 2] = value
        write(folder / "labels/c1.nii.gz", labels, GRID)
    call("receive", str(folders[order[0]]))
    out = call("receive", str(folders[order[1]]), code=3).output
    said = "bundle-r01-ben, case c1: 6 voxels are liver for ann (revise) and fat for ben (revise), see bundle-r01-ann"
    assert said in out
    assert said in call("status", code=1).output


@pytest.mark.parametrize("name", ["ann.zip", "data/inbox/ann.zip"])
def test_a_return_received_by_a_killed_command_comes_under_dvc_with_the_next(exported: Path, name: str) -> None:
    """Killed between unpacking and `dvc add`, the command said "nothing to do" for ever, or no longer found the zip."""
    call("zip", "ann", "-o", name)
    kill_before(1, "review", "receive", name, event="subprocess.Popen .*'dvc', 'add'")
    assert Path("data/inbox/bundle-r01-ann/bundle.json").is_file()
    assert not Path("data/inbox/bundle-r01-ann.dvc").exists()
    assert Path(name).is_file()
    assert "was not under DVC: now it is" in call("receive", name, code=3).output
    assert output("git", "status", "--porcelain", "data/inbox").strip() == "A  data/inbox/bundle-r01-ann.dvc"
    assert Path(name).is_file() == (name == "ann.zip")


def test_what_a_killed_receive_left_is_not_put_under_dvc(exported: Path) -> None:
    """A half-unpacked folder was taken for a return by the next `dvc add`, and so became part of the version."""
    Path("data/inbox/bundle-.receiving-x").mkdir()
    Path("data/inbox/bundle-.receiving-x/bundle.json").write_text("{")
    call("emulate", "--reference", "reference")
    Path("data/inbox/bundle-.receiving-x").mkdir(exist_ok=True)
    track_inbox()
    assert [p.name for p in sorted(Path("data/inbox").glob("*.dvc"))] == ["bundle-r01-ann.dvc", "bundle-r01-ben.dvc"]


@pytest.mark.slow
@pytest.mark.parametrize("how", ["edited", "pulled in part", "an earlier one, edited"])
def test_what_is_not_what_was_received_is_no_new_work(exported: Path, how: str) -> None:
    call("emulate", "--reference", "reference", "--reviewer", "ann")
    folder = Path("data/inbox/bundle-r01-ann")
    first = (folder / "decisions.csv").read_text()
    if how == "an earlier one, edited":
        shutil.copytree(folder, "second")
        Path("second/decisions.csv").write_text(first.replace("\n", "second\n").replace("second\n", "\n", 1))
        call("receive", "second")
    assert call("status", code=3).output.count("not what was received") == 0
    output("git", "add", "--all")
    output("git", "commit", "-qm", "ann")
    if how == "pulled in part":
        (folder / "labels/c1.nii.gz").unlink()
    else:
        (folder / "decisions.csv").write_text(first.replace("\n", "x\n").replace("x\n", "\n", 1))
    before = {p: p.read_bytes() for p in Path("data/inbox").rglob("*") if p.is_file()}
    said = call("status", code=1).output
    assert "bundle-r01-ann: is not what was received" in said
    assert "`dvc checkout data/inbox/bundle-r01-ann.dvc`" in said
    shutil.copytree("data/round/bundles/bundle-r01-ann", "another")
    refused = call("receive", "another", code=1)
    assert "is not what was received" in str(refused.output) + str(refused.exception)
    assert {p: p.read_bytes() for p in Path("data/inbox").rglob("*") if p.is_file()} == before
    shutil.move(folder, "kept")
    output("dvc", "checkout", f"{folder}.dvc")
    assert "not what was received" not in call("status", code=3).output
    shutil.rmtree(folder)
    shutil.move("kept", folder)
    assert "with the same content" in CliRunner().invoke(cli, ["review", "receive", str(folder)]).output
    assert "not what was received" not in CliRunner().invoke(cli, ["review", "status"]).output


def test_problems_have_their_exit_code(exported: Path) -> None:
    call("emulate", "--reference", "reference")
    Path("data/inbox/bundle-r01-ann/images/c1.nii.gz").write_bytes(b"x")
    assert "images/c1.nii.gz: was altered or damaged" in call("status", code=1).output
    assert "name one of ann, ben" in call("zip", "carol", code=2).output
    assert "no such file or folder" in call("receive", "nowhere.zip", code=2).output


def test_a_bundle_does_not_say_why_a_case_was_chosen(exported: Path) -> None:
    for path in Path("data/round/bundles/bundle-r01-ben").rglob("*"):
        if path.is_file():
            assert b"audit" not in path.read_bytes()


@pytest.mark.parametrize(
    "command",
    ["review zip ann", "review receive a.zip", "review status", "review emulate --reference .", "models list"],
)
def test_outside_a_curation_repository_is_misuse(folder: Path, command: str) -> None:
    Path("a.zip").write_bytes(b"x")
    result = CliRunner().invoke(cli, command.split())
    assert result.exit_code == 2
    assert "is not the root of a curation repository: no dvc.yaml" in result.output
    assert sorted(p.name for p in folder.iterdir()) == ["a.zip"]


def test_help_shows_examples(folder: Path) -> None:
    for command in ([], ["zip"], ["receive"], ["status"], ["emulate"]):
        assert "Example" in call(*command, "--help").output
