"""Models from elsewhere as a curator takes them in, looks at them, writes them out and removes them."""

from __future__ import annotations

import contextlib
import csv
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run
from foreign_nnunet import MAP, write_folder

from voxledger.cli.trace import _print_model
from voxledger.imaging.volume import Grid, file_sha256, write
from voxledger.init import init
from voxledger.records.card import ModelCard, Source, check_model

LABELS = "name: two\nclasses:\n  - {id: 1, name: organ}\n  - {id: 2, name: spleen}\n"


@pytest.fixture(scope="module")
def repository(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A new repository beside which a results folder of nnU-Net lies; the model in it is adopted."""
    root = tmp_path_factory.mktemp("models")
    write_folder(root / "results", folds=2)
    init(root / "repo", "atlas")
    with contextlib.chdir(root / "repo"):
        Path("labels.yaml").write_text(LABELS)
        Path("classes.yaml").write_text(MAP)
        parameters()
        said = run(
            "voxledger", "models", "adopt", "../results", "--name", "theirs", "--licence", "CC-BY-NC-4.0",
            "--map", "classes.yaml", "--folds", "1", "--version", "2.1", "--training-set", "their scans",
        )  # fmt: skip
        assert "Organ → organ" in said
        assert "Spleen → spleen" in said
    return root / "repo"


@pytest.fixture
def adopted(repository: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(repository, tmp_path / "repo", symlinks=True)
    shutil.copytree(repository.parent / "results", tmp_path / "results")
    monkeypatch.chdir(tmp_path / "repo")
    return tmp_path / "repo"


def test_it_is_under_dvc_listed_and_shown(adopted: Path) -> None:
    assert "models/base.dvc" in output("git", "ls-files")
    listed = output("voxledger", "models", "list")
    assert "theirs" in listed
    assert "Dataset123_Abdomen 2.1, CC-BY-NC-4.0, adopted" in listed
    shown = output("voxledger", "models", "show", "theirs")
    for line in (
        "| licence | CC-BY-NC-4.0 |",
        "| source | Dataset123_Abdomen 2.1 |",
        "| trained elsewhere on | their scans |",
        "| Spleen | spleen |",
    ):
        assert line in shown.splitlines()


def test_it_goes_out_and_comes_in_again(adopted: Path) -> None:
    run("voxledger", "models", "export", "theirs", "../out", "--format", "nnunet")
    said = run("voxledger", "models", "export", "theirs", "../out", "--format", "nnunet", accept=(2,))
    assert "is there already" in said
    said = run("voxledger", "models", "export", "theirs", "../other", "--format", "monai-bundle", accept=(2,))
    assert "use --format nnunet" in said
    assert not Path("../other").exists()
    run("voxledger", "models", "adopt", "../out", "--name", "again", "--licence", "X", "--map", "classes.yaml")
    first, again = (check_model(Path("models/base") / name) for name in ("theirs", "again"))
    assert again.architecture == first.architecture
    assert json.loads(Path("../out/model.json").read_text())["id"] == first.id


def test_it_is_removed_and_another_name_refused(adopted: Path) -> None:
    said = run("voxledger", "models", "remove", "thiers", accept=(2,))
    assert "models/base has no model thiers" in said
    run("voxledger", "models", "remove", "theirs")
    assert not Path("models/base/theirs").exists()
    assert "no models yet" in output("voxledger", "models", "list")
    assert run("voxledger", "models", "remove", "../models", accept=(2,))


def test_models_that_were_not_pulled_are_not_lost(adopted: Path) -> None:
    before = Path("models/base.dvc").read_text()
    shutil.rmtree("models/base")
    for command in (["adopt", "../results", "--name", "more", "--licence", "X"], ["remove", "theirs"]):
        said = run("voxledger", "models", *command, accept=(1,))
        assert "4 of 4 files of models/base are not here" in said
        assert "dvc pull models/base.dvc" in said
    assert Path("models/base.dvc").read_text() == before
    assert not Path("models/base").exists()


def test_a_map_that_leaves_out_a_class_leaves_nothing(adopted: Path) -> None:
    Path("classes.yaml").write_text("Organ: organ\n")
    said = run(
        "voxledger", "models", "adopt", "../results", "--name", "more", "--licence", "X", "--map", "classes.yaml",
        accept=(2,),
    )  # fmt: skip
    assert "does not have these classes of the model: Spleen" in said
    assert not Path("models/base/more").exists()


@pytest.mark.slow
def test_it_predicts_in_a_round_and_goes_on_into_the_next_models(adopted: Path) -> None:
    grid = Grid.plain((12, 20, 24), (2.0, 1.0, 1.0))
    for n in range(4):
        values = np.random.default_rng(n).normal(50, 60, grid.shape).astype(np.int16)
        write(f"../images/c{n}.nii.gz", values, grid)
        if n < 2:
            write(f"../labels/c{n}.nii.gz", (values > 50).astype(np.uint8), grid)
    parameters(score={"budget": 1}, cases={"calibration": 0, "test": 0.5})
    run("voxledger", "cases", "add", "../images", "--labels", "../labels", "--source", "here", "--licence", "CC0-1.0")
    before = hashes(Path("models/base/theirs"))
    run("voxledger", "round", "run", accept=(3,))
    predicted = [json.loads(line) for line in Path("data/round/infer.jsonl").read_text().splitlines()]
    assert {(row["model"], tuple(row["classes"])) for row in predicted} == {("theirs", ("organ", "spleen"))}
    truth = np.zeros(grid.shape, np.uint8)
    truth[2:9, 3:13, 3:10], truth[2:9, 3:13, 14:20] = 1, 2
    write("../reference/c2.nii.gz", truth, grid)
    write("../reference/c3.nii.gz", truth, grid)
    run("voxledger", "review", "emulate", "--reference", "../reference")
    run("voxledger", "round", "run")
    assert hashes(Path("models/next/theirs")) == before
    assert "| trained elsewhere on | their scans |" in output("voxledger", "release", "describe", "model_cards")
    decided = next(csv.DictReader(Path("data/round/decisions.csv").read_text().splitlines()))["case_id"]
    assert "adopted in round 0 from Dataset123_Abdomen 2.1" in output("voxledger", "trace", decided)


def hashes(folder: Path) -> dict[str, str]:
    return {path.name: file_sha256(path) for path in folder.iterdir()}


def test_trace_says_where_an_adopted_model_is_from(capsys: pytest.CaptureFixture[str]) -> None:
    source = Source(name="TotalSegmentator", version="2.4.0", training_set="1228 CT", classes={"liver": "liver"})
    card = ModelCard(
        id="a" * 64, name="total", backend="nnunet", architecture="", strategy="adopted", cohort="", parent="",
        params={}, licence="Apache-2.0", round=3, source=source,
    )  # fmt: skip
    _print_model(card.model_dump(), {})
    assert capsys.readouterr().out.splitlines()[1:] == [
        "model aaaaaaaaaaaa: total (nnunet)",
        "  adopted in round 3 from TotalSegmentator 2.4.0",
        "  learned from 1228 CT",
        "  licence Apache-2.0",
    ]
