"""An interactive model through a round: trained, told by weak labels, named by ledger and trace."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run

from voxledger.imaging.volume import Grid, read_label, write
from voxledger.records.ledger import read_ledger
from voxledger.records.predicted import read_predicted

GRID = Grid.plain((12, 24, 20), (3.0, 1.5, 1.5))
LABELS = (
    "name: two\nclasses:\n  - {id: 1, name: organ}\n  - {id: 2, name: lesion, inside: organ, lesion: true}\n"
    "  - {id: 3, name: spleen}\n"
)
TRAIN = ("models", "train-interactive", "--name", "marks", "--iterations", "3", "--patch", "8", "16", "16")


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """Three labelled cases; of the others one has a slice of its spleen drawn. A model from elsewhere knows all."""
    for n in range(5):
        labels = np.zeros(GRID.shape, np.uint8)
        labels[3:9, 2 + n % 2 : 9 + n % 2, 2 + 2 * n : 9 + 2 * n] = 1
        labels[5:7, 5:8, 4 + 2 * n : 7 + 2 * n] = 2
        labels[3:9, 14:22, 9 - 2 * n : 18 - 2 * n] = 3
        noise = np.random.default_rng(n).normal(0, 10, GRID.shape)
        write(tmp_path / f"images/case{n}.nii.gz", (labels * 100 + noise).astype(np.int16), GRID)
        write(tmp_path / f"model/case{n}.nii.gz", labels, GRID)
        if n < 3:
            write(tmp_path / f"labels/case{n}.nii.gz", labels, GRID)
    weak = np.zeros(GRID.shape, np.uint8)
    weak[6, 14:22, 1:10] = 3
    write(tmp_path / "weak/case4.nii.gz", weak, GRID)
    run("voxledger", "init", str(tmp_path / "repo"), "--name", "two")
    with contextlib.chdir(tmp_path / "repo"):
        Path("labels.yaml").write_text(LABELS)
        parameters(
            score={"budget": 2, "audit": 0, "opening": 0}, cases={"calibration": 0.0, "test": 0.0}, filter={"rules": []}
        )
        given = [f"--{what}={tmp_path / what}" for what in ("labels", "weak")]
        run("voxledger", "cases", "add", str(tmp_path / "images"), *given)
        run("voxledger", "models", "add", "atlas", "--predictions", str(tmp_path / "model"), "--id", "atlas-1",
            "--licence", "CC0-1.0")  # fmt: skip
    return tmp_path / "repo"


@pytest.mark.slow
def test_what_is_marked_is_predicted_from_the_mark_and_named_ever_after(repository: Path) -> None:
    with contextlib.chdir(repository):
        card = json.loads(output("voxledger", *TRAIN, "--json"))
        assert (card["name"], card["backend"], card["strategy"]) == ("marks", "nninteractive", "full")
        assert "PlainConvUNet 16-32-64-128, marked objects" in output("voxledger", "models", "list")
        assert "there is a model marks already" in run("voxledger", *TRAIN, accept=(2,))
        run("voxledger", "round", "run", accept=(3,))
        rows = {row.case_id: row for row in read_predicted(Path("data/round/infer.jsonl")) if row.model == "marks"}
        assert {case: row.classes for case, row in rows.items()} == {"case4": ("spleen",)}
        # The proposal has the spleen of the interactive model, which has hardly learned, and the organ of the other.
        proposed = read_label("data/round/pseudo/case4.nii.gz")
        atlas = read_label(repository.parent / "model/case4.nii.gz")
        assert not np.array_equal(proposed == 3, atlas == 3)
        organ = np.isin(atlas, (1, 2))
        np.testing.assert_array_equal(proposed[organ], atlas[organ])
        run("voxledger", "review", "emulate", "--reference", str(repository.parent / "model"))
        run("voxledger", "round", "run")
        ledger = read_ledger("data/release/ledger.csv")
        spleen, organ = ledger["case4", "spleen"], ledger["case4", "organ"]
        assert spleen.model_ids == (card["id"],)
        ((kind, source),) = {(mark.kind, mark.source) for mark in spleen.weak}
        assert (kind, source) == ("slice_mask", "nifti")
        assert (organ.model_ids, organ.weak) == (("atlas-1",), ())
        said = output("voxledger", "trace", "case4", "--class", "spleen")
        assert f"weak    slice_mask from nifti, {spleen.weak[0].sha256[:12]}" in said
        assert f"model {card['id'][:12]}: marks (nninteractive)" in said
        traced = json.loads(output("voxledger", "trace", "case4", "--class", "spleen", "--json"))
        assert traced["classes"][0]["weak"] == [vars(spleen.weak[0])]
        assert json.loads(Path("models/next/marks/model.json").read_text())["id"] == card["id"]
