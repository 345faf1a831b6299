"""Classes that are renamed and retired between rounds, on record."""

from __future__ import annotations

import contextlib
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from commands import output, parameters, run
from killed import count_events, kill_before
from ruamel.yaml import YAML

from voxledger.cli.demo import set_parameters
from voxledger.imaging.soft import open_soft
from voxledger.imaging.volume import Grid, file_sha256, read_label, write
from voxledger.models.channels import Channels
from voxledger.records.errors import ErrorRow, read_errors, write_errors
from voxledger.records.ledger import Neighbour, read_ledger, write_ledger
from voxledger.records.sent import write_sent
from voxledger.release.classes import rename
from voxledger.schema import LabelSchema, read_schema

GRID = Grid.plain((6, 10, 12), (3.0, 1.5, 1.5))
LABELS = """\
# the classes of this dataset
name: abdomen
classes:
  - {id: 1, name: organ, code: "123"}
  - {id: 2, name: tumour, inside: organ, lesion: true, may_overlap: [duct]}
  - {id: 3, name: neighbour}
  - {id: 4, name: cyst, inside: organ, lesion: true}   # a comment of its own
  - {id: 5, name: duct, inside: organ}
"""


def reference(seed: int) -> np.ndarray:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:5, 1:8, 1:7] = 1
    labels[2:4, 2:4, 2 : 4 + seed % 2] = 2
    labels[2:4, 5:7, 2:4] = 4
    labels[2, 4, 5] = 5
    labels[1:5, 1:5, 8:11] = 3
    return labels


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository in round 0: three labelled cases, one with the cyst alone, one without a label; a model of all."""
    root = tmp_path_factory.mktemp("classes")
    for n in range(4):
        labels = reference(n)
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(root / f"images/case{n}.nii.gz", (labels * 50.0 + noise).astype(np.int16), GRID)
        write(root / f"reference/case{n}.nii.gz", labels, GRID)
        write(root / f"model/case{n}.nii.gz", np.roll(labels, n % 2, axis=2), GRID)
        if n < 2:
            write(root / f"labels/case{n}.nii.gz", labels, GRID)
    write(root / "alone/image/lone.nii.gz", np.random.default_rng(9).normal(0, 10, GRID.shape).astype(np.int16), GRID)
    write(root / "alone/label/lone.nii.gz", np.where(reference(0) == 4, 4, 0).astype(np.uint8), GRID)
    run("voxledger", "init", str(root / "repo"), "--name", "two")
    with contextlib.chdir(root / "repo"):
        Path("labels.yaml").write_text(LABELS)
        parameters(
            filter={
                "thresholds": {"tumour": 0.4},
                "rules": [{"rule": "inside_organ", "classes": ["cyst", "tumour"]}],
            },
            score={"budget": 1, "audit": 0},
            export={"reviewers": ["ann"]},
            cases={"calibration": 0.0, "test": 0.5},
        )
        run("voxledger", "cases", "add", str(root / "images"), "--labels", str(root / "labels"))
        alone = ("--labels", str(root / "alone/label"), "--classes", "cyst", "--split", "pool")
        run("voxledger", "cases", "add", str(root / "alone/image"), *alone)
        declared = ("--id", "model-1", "--licence", "CC0-1.0")
        run("voxledger", "models", "add", "m", "--predictions", str(root / "model"), *declared)
        error = ErrorRow("case0", "organ", "here", "missed", "", 1, 0.0, 1, False, (), round=0)
        write_errors("data/base/errors.csv", [replace(error, class_name=n) for n in ("tumour", "cyst", "organ")])
        ledger = read_ledger("data/base/ledger.csv")
        trimmed = replace(ledger["case0", "organ"], changed_by=(Neighbour("tumour", "ann", "b" * 64),))
        write_ledger("data/base/ledger.csv", ledger | {("case0", "organ"): trimmed}, read_schema("labels.yaml").names)
        run("git", "add", "--all")
        run("git", "commit", "-q", "-m", "cases")
    return root


@pytest.fixture
def repository(made: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of it, as the current folder."""
    shutil.copytree(made / "repo", tmp_path / "repo", symlinks=True)
    monkeypatch.chdir(tmp_path / "repo")
    return made


def state() -> dict[str, str]:
    """What the commands change: files and labels by their hashes; the date of a change is no part of it."""
    files = {p.as_posix(): file_sha256(p) for p in sorted(Path("data/base").rglob("*")) if p.is_file()}
    return files | {"labels.yaml": re.sub(r"\d{4}-\d\d-\d\d", "today", Path("labels.yaml").read_text())}


@pytest.mark.usefixtures("repository")
def test_a_renamed_class_keeps_its_masks_and_who_made_them() -> None:
    """Renaming was refused without a way."""
    before, labels = read_ledger("data/base/ledger.csv"), state()
    said = run("voxledger", "schema", "rename", "tumour", "pdac")
    for where in ("filter.thresholds.tumour", "filter.rules[0].classes[1]"):
        assert f"params.yaml still names tumour in {where}: change it by hand" in said
    schema = read_schema("labels.yaml")
    assert schema.names == ["organ", "pdac", "neighbour", "cyst", "duct"]
    pdac = schema["pdac"]
    assert (pdac.id, pdac.inside, pdac.lesion, pdac.may_overlap) == (2, "organ", True, ("duct",))
    assert [(f.name, f.round) for f in pdac.formerly] == [("tumour", 0)]
    after = read_ledger("data/base/ledger.csv")
    for (case, name), entry in before.items():
        now = after[case, "pdac" if name == "tumour" else name]
        neighbours = tuple(replace(n, class_name="pdac") for n in entry.changed_by)
        assert now == replace(entry, class_name=now.class_name, changed_by=neighbours)
    assert len(after) == len(before)
    assert [e.class_name for e in read_errors("data/base/errors.csv")] == ["pdac", "cyst", "organ"]
    assert {k: v for k, v in state().items() if "labels/" in k} == {k: v for k, v in labels.items() if "labels/" in k}
    assert "# a comment of its own" in Path("labels.yaml").read_text()
    assert 'code: "123"' in Path("labels.yaml").read_text()
    assert "inside: organ, lesion: true, may_overlap: [duct]" in Path("labels.yaml").read_text()


@pytest.mark.usefixtures("repository")
def test_the_voxels_of_a_retired_class_go_to_what_it_lies_in() -> None:
    before = read_ledger("data/base/ledger.csv")
    said = run("voxledger", "schema", "retire", "cyst", "--reason", "too few of them")
    assert "3 masks were taken out" in said
    assert "params.yaml still names cyst in filter.rules[0].classes[0]" in said
    schema = read_schema("labels.yaml")
    (cyst,) = schema.retired
    assert (cyst.id, cyst.name, cyst.inside, cyst.round, cyst.reason) == (4, "cyst", "organ", 0, "too few of them")
    after = read_ledger("data/base/ledger.csv")
    assert after == {key: entry for key, entry in before.items() if key[1] != "cyst"}
    for case in ("case0", "case1"):
        was = reference(int(case[-1]))
        assert np.array_equal(read_label(f"data/base/labels/{case}.nii.gz"), np.where(was == 4, 1, was))
    assert not Path("data/base/labels/lone.nii.gz").exists()  # nothing else is known of it
    assert [e.class_name for e in read_errors("data/base/errors.csv")] == ["tumour", "cyst", "organ"]
    run("python", "stages/cases.py")
    assert "data/base/labels.dvc" in output("git", "diff", "--cached", "--name-only")
    run("dvc", "status", "data/base/labels.dvc")


@pytest.mark.usefixtures("repository")
def test_the_voxels_of_a_retired_class_that_lies_in_none_become_background() -> None:
    run("voxledger", "schema", "retire", "neighbour", "--reason", "not needed")
    was = reference(0)
    assert np.array_equal(read_label("data/base/labels/case0.nii.gz"), np.where(was == 3, 0, was))


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("rename", "tumour", "cyst"), "cyst is or was the name of another class"),
        (("rename", "tumor", "pdac"), "tumor is not a class of abdomen"),
        (("rename", "tumour", "a b"), "'a b' cannot name a class"),
        (("retire", "organ", "--reason", "x"), "tumour, cyst, duct lies inside organ"),
        (("retire", "lung", "--reason", "x"), "lung is not a class of abdomen"),
        (("retire", "cyst", "--reason", " "), "a reason is needed"),
        (("retire", "cyst"), "Missing option '--reason'"),
    ],
)
@pytest.mark.usefixtures("repository")
def test_what_cannot_be_done_is_refused_and_nothing_is_changed(arguments: tuple[str, ...], message: str) -> None:
    before = state()
    assert message in run("voxledger", "schema", *arguments, accept=(2,))
    assert state() == before


@pytest.mark.usefixtures("repository")
def test_a_name_on_record_is_not_given_to_another_class() -> None:
    rename("tumour", "pdac")
    rename("pdac", "carcinoma")
    for taken in ("tumour", "pdac"):
        said = run("voxledger", "schema", "rename", "cyst", taken, accept=(2,))
        assert f"{taken} is or was the name of another class" in said
    rename("carcinoma", "tumour")
    assert [f.name for f in read_schema("labels.yaml")["tumour"].formerly] == ["carcinoma", "pdac"]
    assert {n for _, n in read_ledger("data/base/ledger.csv")} == {"organ", "tumour", "neighbour", "cyst", "duct"}


@pytest.mark.usefixtures("repository")
def test_nothing_is_renamed_or_retired_while_bundles_are_out() -> None:
    Path("data/round/bundles/bundle-r00-ann").mkdir(parents=True)
    for arguments in (("rename", "tumour", "pdac"), ("retire", "cyst", "--reason", "x")):
        assert "bundles of round 0 are out" in run("voxledger", "schema", *arguments, accept=(1,))
    shutil.rmtree("data/round/bundles")
    # In a clone they need not lie here.
    write_sent(0, {"bundle-r00-ann": "a" * 64})
    assert "bundles of round 0 are out" in run("voxledger", "schema", "rename", "tumour", "pdac", accept=(1,))


@pytest.mark.parametrize("change", ["renamed", "removed"])
@pytest.mark.usefixtures("repository")
def test_a_class_that_is_changed_by_hand_is_refused_and_the_commands_are_named(change: str, made: Path) -> None:
    text = Path("labels.yaml").read_text()
    by_hand = text.replace("name: cyst", "name: pseudocyst") if change == "renamed" else re.sub(".*cyst.*\n", "", text)
    Path("labels.yaml").write_text(by_hand)
    said = run("python", "stages/cases.py", accept=(2,))
    assert "class cyst, which labels.yaml lacks" in said
    more = made / "more.nii.gz"
    write(more, np.random.default_rng(5).normal(0, 10, GRID.shape).astype(np.int16), GRID)
    Path("../more").mkdir()
    shutil.copyfile(more, "../more/more.nii.gz")
    for told in (said, run("voxledger", "cases", "add", "../more", accept=(1,))):
        assert "voxledger schema rename cyst NEW" in told
        assert "voxledger schema retire cyst" in told
        assert "Traceback" not in told


@pytest.mark.slow
@pytest.mark.parametrize(
    "arguments", [("rename", "tumour", "pdac"), ("retire", "cyst", "--reason", "too few")], ids=["rename", "retire"]
)
def test_a_killed_change_is_finished_by_the_same_command(
    arguments: tuple[str, ...], repository: Path, tmp_path: Path
) -> None:
    def anew(name: str) -> contextlib.chdir[Path]:
        shutil.copytree(repository / "repo", tmp_path / name / "repo", symlinks=True)
        return contextlib.chdir(tmp_path / name / "repo")

    with anew("undisturbed"):
        events = count_events("schema", *arguments)
        done = state()
    for number in sorted({1 + round(i * (events - 1) / 9) for i in range(10)}):
        with anew(str(number)):
            kill_before(number, "schema", *arguments)
            run("voxledger", "schema", *arguments)
            assert state() == done, f"killed before event {number} of {events}"
            run("git", "diff", "--exit-code", "--name-only", "--", "data/base/labels.dvc")


@pytest.mark.usefixtures("repository")
def test_an_interrupted_change_is_named() -> None:
    kill_before(1, "schema", "rename", "tumour", "pdac", event=r"open .*data/base/\.ledger")
    assert "`voxledger schema rename tumour pdac` once more" in run("python", "stages/cases.py", accept=(2,))


@pytest.mark.usefixtures("repository")
def test_a_model_predicts_a_class_that_was_renamed_after_it_came_and_gives_up_one_that_was_retired() -> None:
    run("voxledger", "schema", "rename", "tumour", "pdac")
    run("voxledger", "schema", "retire", "cyst", "--reason", "too few")
    run("python", "stages/cases.py")
    run("python", "stages/infer.py")
    found = open_soft("data/round/predictions/m/case2.b2nd")
    assert list(found.classes) == ["organ", "pdac", "neighbour", "duct"]
    was = np.roll(reference(2), 0, axis=2)
    assert np.array_equal(found.read("pdac") > 0.5, was == 2)
    assert np.array_equal(found.read("organ") > 0.5, np.isin(was, [1, 2, 4, 5]))


def test_a_network_predicts_under_todays_names_and_a_retired_channel_counts_as_what_holds_it() -> None:
    day = "2025-05-01"
    schema = LabelSchema.model_validate(
        {
            "name": "x",
            "classes": [
                {"id": 1, "name": "organ"},
                {"id": 2, "name": "pdac", "inside": "organ", "formerly": [{"name": "mass", "round": 1, "date": day}]},
            ],
            "retired": [
                {"id": 3, "name": "cyst", "inside": "organ", "round": 1, "date": day, "reason": "too few"},
                {"id": 4, "name": "vessel", "round": 1, "date": day, "reason": "too few"},
            ],
        }
    )
    parts = {"organ": 0.5, "mass": 0.2, "cyst": 0.1, "vessel": 0.15}
    of = {name: (channel,) for channel, name in enumerate(parts, start=1)}
    channels = Channels(of, lambda c: np.full((1, 1, 1), list(parts.values())[c - 1], np.float32))
    assert channels.classes(schema) == ["organ", "pdac"]
    assert {n: round(float(p.item()), 6) for n, p in channels.by_class(schema)} == {"organ": 0.8, "pdac": 0.2}


@pytest.mark.slow
def test_versions_across_a_rename_and_a_retirement_are_one_history(repository: Path) -> None:
    """`diff` of two tags ended in a traceback: it read today's labels.yaml for both."""

    def play(*rules: str) -> None:
        rule = [{"rule": "inside_organ", "classes": list(rules)}]
        set_parameters({"filter": {"thresholds": {}, "rules": rule}})
        run("voxledger", "round", "run", accept=(0, 3))  # at last there is nothing left to review
        run("voxledger", "review", "emulate", "--reference", str(repository / "reference"))
        run("voxledger", "round", "run")
        run("voxledger", "round", "close")

    def changes(old: str, new: str) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(output("voxledger", "diff", old, new, "--json"))
        return found

    play("tumour", "cyst")
    first = read_ledger("data/release/ledger.csv")
    run("voxledger", "round", "open")
    run("voxledger", "schema", "rename", "tumour", "pdac")
    # Until the round has a version of its own, the working tree is what it starts from.
    known = json.loads(output("voxledger", "trace", "case2", "--class", "tumour", "--json"))
    assert [c["class"] for c in known["classes"]] == ["pdac"]
    play("pdac", "cyst")
    second = read_ledger("data/release/ledger.csv")
    run("voxledger", "round", "open")
    run("voxledger", "schema", "retire", "cyst", "--reason", "too few of them")
    play("pdac")
    third = read_ledger("data/release/ledger.csv")

    assert {n for _, n in first} == {"organ", "tumour", "neighbour", "cyst", "duct"}
    assert {n for _, n in second} == {"organ", "pdac", "neighbour", "cyst", "duct"}
    assert {n for _, n in third} == {"organ", "pdac", "neighbour", "duct"}
    for number, name in ((0, "tumour"), (1, "pdac")):
        at_tag = YAML(typ="safe").load(output("git", "show", f"round-{number:02d}:labels.yaml"))
        assert name in [c["name"] for c in at_tag["classes"]]
    for path in Path("data/release/labels").glob("*.nii.gz"):
        assert 4 not in np.unique(read_label(path))

    # what people decided in round 0 is only renamed in round 1
    kept = [(c, n) for (c, n), e in first.items() if n == "tumour" and e.origin.trusted]
    assert kept
    for case, _ in kept:
        assert second[case, "pdac"] == replace(first[case, "tumour"], class_name="pdac")
    renamed = changes("round-00", "round-01")
    assert not [c for c in renamed if c["kind"] in ("added", "removed")]
    assert not [c for c in renamed if (c["case_id"], "tumour") in kept and c["class_name"] == "pdac"]
    assert "tumour is called pdac" in run("voxledger", "diff", "round-00", "round-01")
    backwards = changes("round-01", "round-00")
    assert {(c["case_id"], c["kind"]) for c in backwards} == {(c["case_id"], c["kind"]) for c in renamed}

    gone = [c for c in changes("round-01", "round-02") if c["class_name"] == "cyst"]
    assert {c["case_id"] for c in gone} == {case for case, n in second if n == "cyst"}
    for c in gone:
        assert (c["kind"], c["voxels_added"], c["ml_after"]) == ("removed", 0, 0)
        assert c["by"].startswith("it was retired in round 2 (too few of them)")
    assert any(c["voxels_removed"] for c in gone)
    assert "cyst: it was retired in round 2" in run("voxledger", "diff", "round-00", "round-02")

    for case, _ in kept:
        entry = second[case, "pdac"]
        for tag, asked, called in (
            ("round-02", "pdac", "pdac"),
            ("round-02", "tumour", "pdac"),
            ("round-01", "tumour", "pdac"),
            ("round-00", "pdac", "tumour"),
        ):
            chain = json.loads(output("voxledger", "trace", case, "--class", asked, "--at", tag, "--json"))
            (found,) = chain["classes"]
            assert (found["class"], found["mask_sha256"]) == (called, entry.mask_sha256)
            assert chain["not_here"] == []
            assert (found["decision"] is None) == (entry.bundle == "")
        history = json.loads(output("voxledger", "trace", case, "--class", "pdac", "--at", "round-02", "--json"))
        states = history["classes"][0]["history"]
        assert [(s["first_in"], s["class"]) for s in states] == [("round-00", "tumour")]
    assert any(second[case, "pdac"].bundle for case, _ in kept)
    said = run("voxledger", "trace", "case0", "--class", "cyst", accept=(2,))
    assert "it was retired in round 2 (too few of them)" in said
    assert "cyst: source" in run("voxledger", "trace", "case0", "--class", "cyst", "--at", "round-01")

    # a shallow clone with fetched tags knows the same
    clone = Path("../clone")
    run("git", "clone", "-q", "--depth", "1", "--branch", "round-02", f"file://{Path.cwd()}", str(clone))
    run("git", "fetch", "-q", "--tags", cwd=clone)
    asked = ("voxledger", "trace", "case0", "--at", "round-02", "--json")
    assert json.loads(output(*asked, cwd=clone)) == json.loads(output(*asked))
