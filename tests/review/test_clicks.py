"""A virtual reader that clicks: a real round with a real network, and what is kept of it."""

from __future__ import annotations

import contextlib
import json
import re
import runpy
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner, Result
from commands import parameters
from small_round import Repo

from voxledger import layout
from voxledger.cases.incoming import Incoming
from voxledger.cases.intake import add_cases
from voxledger.cli.main import cli
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.volume import Grid, Volume, read_label, write
from voxledger.init import init
from voxledger.minutes import CLICK_MINUTES
from voxledger.params import read_params
from voxledger.records.bundle import CLICKS, expected_bundles
from voxledger.records.cases import Split
from voxledger.records.clicks import Clicked, Clicks, GateMeasured, parse_clicks, write_clicks
from voxledger.records.decisions import Decision, read_decisions
from voxledger.repository import dvc_add, git
from voxledger.review.click_gate import require_gate
from voxledger.review.clicks import _may_change, interactive_model
from voxledger.review.emulate import Shown
from voxledger.schema import LabelClass, LabelSchema, read_schema

GRID = Grid.plain((12, 20, 24), (2.0, 1.0, 1.0))
LABELS = "name: two\nclasses:\n  - {id: 1, name: organ}\n  - {id: 4, name: spleen}\n"
MODEL = {
    "backend": "clicks",
    "network": "unet",
    "patch": [12, 20, 24],
    "features": [8, 16],
    "iterations": 160,
    "learning_rate": 0.01,
}
CASES = {"pool": 8, "calibration": 4, "test": 1, "new": 3}


def stage(name: str) -> None:
    runpy.run_path(f"stages/{name}.py", run_name="__main__")


def run(*arguments: str) -> Result:
    return CliRunner().invoke(cli, arguments)


def draw(folder: Path, name: str, seed: int, labelled: bool) -> None:
    """Two blocks, of which noise hides the extent: only a reader knows it."""
    rng = np.random.default_rng(seed)
    labels = np.zeros(GRID.shape, np.uint8)
    for value, left in ((1, 2), (4, 14)):
        z, y, x = (int(n) for n in rng.integers((1, 2, 0), (4, 6, 3)))
        deep, high, wide = (int(n) for n in rng.integers((4, 6, 5), (8, 12, 8)))
        labels[z : z + deep, y : y + high, left + x : left + x + wide] = value
    image = np.choose(labels, [0.0, 30.0, 0.0, 0.0, -30.0]) + rng.normal(0, 70, GRID.shape)
    write(folder / f"images/{name}.nii.gz", image.astype(np.int16), GRID)
    write(folder / f"reference/{name}.nii.gz", labels, GRID)
    if labelled:
        write(folder / f"labels/{name}.nii.gz", labels, GRID)


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A repository whose bundles wait for a reader; its model was trained in it."""
    root = tmp_path_factory.mktemp("clicks")
    seed = 0
    for split, count in CASES.items():
        for number in range(count):
            draw(root / split, f"{split}{number}", seed := seed + 1, split != "new")
            (root / "reference").mkdir(exist_ok=True)
            shutil.copy(root / split / f"reference/{split}{number}.nii.gz", root / "reference")
    init(root / "repo", "two")
    with contextlib.chdir(root / "repo"):
        Path("labels.yaml").write_text(LABELS)
        Path("reviewers.yaml").write_text("reviewers: {}\n")
        parameters(
            score={"budget": 3, "audit": 0, "opening": 0, "acquisition": "entropy"},
            export={"reviewers": ["ann"]},
            filter={"rules": []},
            retrain={"models": {"saim": MODEL}},
        )
        params, schema = read_params(), read_schema("labels.yaml")
        for split in CASES:
            labels = root / split / "labels" if split != "new" else None
            where = None if split == "new" else Split(split)
            add_cases(
                Incoming(root / split / "images", labels=labels, split=where and Split(where)), schema, params.cases
            )
        dvc_add("data/images", "data/base/labels", "data/weak")
        for path in (layout.RELEASE_LABELS, layout.RELEASE_LEDGER):
            path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copytree(layout.BASE_LABELS, layout.RELEASE_LABELS)
        shutil.copy(layout.BASE_LEDGER, layout.RELEASE_LEDGER)
        stage("retrain")
        shutil.rmtree(layout.BASE_MODELS, ignore_errors=True)
        shutil.copytree(layout.NEXT_MODELS, layout.BASE_MODELS)
        dvc_add("models/base")
        for path in (layout.RELEASE_LABELS, layout.NEXT_MODELS):
            shutil.rmtree(path)
        for name in ("cases", "infer", "calibrate", "filter", "score", "export"):
            stage(name)
        git("add", "--all")
        git("commit", "--quiet", "--message", "before review")
    return root


@pytest.fixture
def waiting(shown: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(shown / "repo", tmp_path / "repo", symlinks=True)
    monkeypatch.chdir(tmp_path / "repo")
    return shown / "reference"


@pytest.mark.slow
def test_a_round_read_by_clicks(waiting: Path) -> None:
    """Gate, clicks, return, import and report; the labels are better than the proposals, and minutes stay apart."""
    told = run("models", "gate", "--json")
    assert told.exit_code == 0, told.output
    assert json.loads(told.stdout)["passed"]
    read_by = "review", "emulate", "--reference", str(waiting), "--reader", "clicks", "--dice", "0.5"
    told = run(*read_by)
    assert told.exit_code == 0, told.output
    assert "3 clicks a class take the mean IoU of 4 validation cases" in told.output
    folder = Path("data/inbox/bundle-r00-ann")
    first = (folder / CLICKS).read_bytes()
    clicks = parse_clicks(first, CLICKS)
    assert clicks.cases == ("new0", "new1", "new2")
    made = [(c.case_id, c.class_name) for c in clicks.clicks]
    assert max(map(made.count, made)) <= 3
    assert any(c.helped for c in clicks.clicks)
    (bundle,) = expected_bundles(layout.BUNDLES, 0)
    before, after = [], []
    for case_id in clicks.cases:
        truth = read_label(waiting / f"{case_id}.nii.gz")
        before.append((read_label(bundle / f"labels/{case_id}.nii.gz") == truth).mean())
        after.append((read_label(folder / f"labels/{case_id}.nii.gz") == truth).mean())
    assert np.mean(after) > np.mean(before)
    rows = read_decisions(folder / "decisions.csv").rows
    assert {row.minutes for row in rows.values()} == {None}
    assert {row.decision for row in rows.values()} <= set(Decision)
    assert "handed in already" in run(*read_by).output  # bit for bit
    assert (folder / CLICKS).read_bytes() == first

    for name in ("adjudicate", "gate", "import_revisions", "retrain", "evaluate"):
        stage(name)
    metrics = json.loads(layout.METRICS.read_text())
    assert metrics["clicking"] == {
        "cases": 3,
        "made": len(clicks.clicks),
        "helped": sum(c.helped for c in clicks.clicks),
        "minutes_assumed": round(0.5 * len(rows) + CLICK_MINUTES * len(clicks.clicks), 2),
    }
    assert (metrics["minutes"], metrics["decisions_untimed_total"]) == (0, 0)
    page = layout.ROUND_REPORT.read_text()
    assert "Clicks of virtual readers" in page
    assert str(clicks.gate) in page
    (kept,) = layout.RELEASE_REVISIONS.glob(f"*/{CLICKS}")
    assert kept.read_bytes() == first


@pytest.mark.slow
@pytest.mark.parametrize(
    ("prepare", "problem"),
    [
        ("untrained", r"a round may use clicks from \+0.05 on"),
        ("no calibration", r"no calibration case has a label"),
        ("no model", r"no model that answers clicks"),
    ],
)
def test_a_round_that_may_not_use_clicks_reads_nothing(waiting: Path, prepare: str, problem: str) -> None:
    if prepare == "untrained":
        parameters(retrain={"models": {"saim": {**MODEL, "iterations": 1}}})
        shutil.copytree(layout.BASE_LABELS, layout.RELEASE_LABELS)
        shutil.copy(layout.BASE_LEDGER, layout.RELEASE_LEDGER)
        stage("retrain")
        shutil.rmtree(layout.BASE_MODELS)
        shutil.copytree(layout.NEXT_MODELS, layout.BASE_MODELS)
    elif prepare == "no calibration":
        layout.CASES.write_text(layout.CASES.read_text().replace(",calibration,", ",pool,"))
    else:
        shutil.rmtree(layout.BASE_MODELS / "saim")
    for arguments in (
        ("review", "emulate", "--reference", str(waiting), "--reader", "clicks"),
        ("models", "gate"),
    ):
        told = run(*arguments)
        assert isinstance(told.exception, VoxledgerError | SystemExit), told.output
        said = f"{told.output}{told.exception}"
        assert re.search(problem, said), said
    assert not list(Path("data/inbox").glob("bundle-*"))


@pytest.mark.parametrize(
    ("automatic", "clicked", "low", "remedy"),
    [
        (0.6, 0.7, 0.01, None),
        (0.6, 0.62, 0.01, "augmentation: strong"),
        (0.6, 0.7, -0.01, "add calibration cases"),
        (0.96, 0.99, 0.02, "nearly right without clicks"),
    ],
)
def test_the_gate_says_what_was_measured_and_what_to_do(automatic, clicked, low, remedy) -> None:
    class Named:
        class card:
            name = "saim"

    gate = GateMeasured(cases=9, clicks=3, automatic=automatic, clicked=clicked, low=low)
    if remedy is None:
        require_gate(Named, gate)
        return
    measured = rf"saim: 3 clicks a class .* from {automatic:.3f} to {clicked:.3f}: \+{clicked - automatic:.3f}"
    with pytest.raises(VoxledgerError, match=measured) as error:
        require_gate(Named, gate)
    assert remedy in error.value.remedy
    assert "without --reader clicks" in error.value.remedy


def test_without_a_model_that_answers_clicks_it_says_how_to_get_one(folder: Path) -> None:
    with pytest.raises(Misuse, match=r"models/base has no model that answers clicks") as error:
        interactive_model(layout.BASE_MODELS, LabelSchema(name="n", classes=(LabelClass(id=1, name="organ"),)))
    assert "backend: clicks" in error.value.remedy


SCHEMA = LabelSchema(
    name="abdomen",
    classes=(
        LabelClass(id=1, name="liver"),
        LabelClass(id=2, name="pancreas"),
        LabelClass(id=3, name="lesion", inside="pancreas", lesion=True),
    ),
)


@pytest.mark.parametrize(
    ("asked", "before", "after", "allowed"),
    [
        (["liver"], 0, 1, True),
        (["liver"], 1, 0, True),
        (["liver"], 1, 2, False),  # nobody was asked about the pancreas
        (["liver"], 2, 1, False),
        (["liver"], 0, 2, False),
        (["liver", "pancreas"], 2, 1, True),
        (["lesion"], 3, 2, True),  # what is no lesion is the organ around it
        (["lesion"], 2, 3, True),
        (["lesion"], 2, 0, False),
        (["pancreas"], 3, 0, False),
    ],
)
def test_only_what_was_asked_about_may_change(asked, before, after, allowed) -> None:
    one = np.full((1, 1, 1), before, np.uint8)
    shown = Shown("c", SCHEMA, Path(), read_of(one), one, one != 0, asked)
    assert bool(_may_change(shown, one, np.full((1, 1, 1), after, np.int32)).all()) is allowed


def read_of(array: np.ndarray) -> Volume:
    return Volume(array, Grid.plain(array.shape, (1.0, 1.0, 1.0)))


RECORD = Clicks(
    model="m",
    gate=GateMeasured(cases=2, clicks=3, automatic=0.5, clicked=0.6, low=0.05),
    cases=("case_2",),
    clicks=(Clicked(case_id="case_2", class_name="liver", voxel=(1, 2, 3), present=True, helped=True),),
)


@pytest.mark.parametrize(
    ("record", "problem"),
    [
        (RECORD, ""),
        (RECORD.model_copy(update={"cases": ("case_9",)}), "names case case_9"),
        (
            RECORD.model_copy(update={"clicks": (RECORD.clicks[0].model_copy(update={"class_name": "kidney_left"}),)}),
            "names class kidney_left of case case_2",
        ),
        (RECORD.model_copy(update={"cases": ()}), "names clicks in case case_2, which it does not list"),
        (RECORD.model_copy(update={"cases": ("case_2", "case_2")}), "lists a case twice"),
        (
            RECORD.model_copy(update={"gate": RECORD.gate.model_copy(update={"low": -0.05})}),
            "says that a round may not use its clicks",
        ),
        (None, "is not a record of clicks"),
    ],
)
def test_a_return_with_a_record_that_does_not_fit_is_held_back(repo: Repo, record: Clicks | None, problem: str) -> None:
    repo.export(("case_2", "liver", "ann"))
    folder = repo.give_back("ann")
    if record is None:
        (folder / CLICKS).write_text("{}")
    else:
        write_clicks(folder, record)
    if not problem:
        repo.gate()
        return
    with pytest.raises(VoxledgerError, match=problem):
        repo.gate()


def test_the_record_is_kept_beside_the_revision(repo: Repo) -> None:
    repo.export(("case_2", "liver", "ann"))
    write_clicks(repo.give_back("ann"), RECORD)
    repo.gate()
    repo.take_in()
    assert [parse_clicks(p.read_bytes(), p) for p in Path("data/release/revisions").glob(f"*/{CLICKS}")] == [RECORD]
