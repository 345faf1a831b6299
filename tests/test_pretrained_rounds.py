"""A model that starts from that of another site, made or adopted here, through the real git, DVC and command line."""

from __future__ import annotations

import contextlib
import json
from pathlib import Path

import numpy as np
import pytest
from commands import output, parameters, run

from voxledger import layout
from voxledger.imaging.volume import Grid, file_sha256, write
from voxledger.records.card import read_card

pytest.importorskip("torch")
pytestmark = pytest.mark.slow
GRID = Grid.plain((12, 20, 24), (2.0, 1.0, 1.0))
LABELS = "name: one\nclasses:\n  - {id: 1, name: organ}\n"
UNET = {"backend": "monai", "network": "unet", "patch": [8, 16, 16], "features": [8, 16], "learning_rate": 0.01}


def add(root: Path, source: str, seeds: range, contrast: int, split: str = "") -> None:
    """Add cases with an organ that differs from the rest by a contrast; labelled where they have a split."""
    folder = root / f"{source}-{seeds.start}"
    for n in seeds:
        rng = np.random.default_rng(n)
        labels = np.zeros(GRID.shape, np.uint8)
        labels[tuple(slice(c, c + s) for c, s in zip(rng.integers(1, 8, 3), (4, 8, 10), strict=True))] = 1
        image = np.where(labels > 0, contrast, 0) + rng.normal(0, 10, labels.shape)
        write(folder / "images" / f"{source}-{n}.nii.gz", image.astype(np.int16), GRID)
        write(folder / "labels" / f"{source}-{n}.nii.gz", labels, GRID)
    labelled = ("--labels", str(folder / "labels"), "--split", split) if split else ()
    run("voxledger", "cases", "add", str(folder / "images"), *labelled, "--source", source, "--modality", "MR")


def test_a_model_starts_from_that_of_another_site(tmp_path: Path) -> None:
    run("voxledger", "init", str(tmp_path / "repo"), "--name", "one")
    with contextlib.chdir(tmp_path / "repo"):
        Path("labels.yaml").write_text(LABELS)
        machine = {"machine": {"workers": 1}, "evaluate": {"bootstrap": 200}, "score": {"budget": 0, "audit": 0}}
        home = {**UNET, "iterations": 80}
        parameters(retrain={"licence": "CC-BY-SA-4.0", "models": {"home": home}}, **machine)
        add(tmp_path, "a", range(4), 60, "pool")
        add(tmp_path, "a", range(4, 7), 60, "external")
        run("voxledger", "round", "run")
        run("voxledger", "round", "close")
        run("voxledger", "round", "open")
        add(tmp_path, "b", range(10, 12), -60, "pool")
        add(tmp_path, "b", range(12, 15), -60, "external")
        add(tmp_path, "b", range(20, 21), -60)

        parameters(retrain={"licence": "unspecified", "models": {"tuned": {**UNET, "start": "hom"}}})
        said = run("voxledger", "round", "run", accept=(1, 2))
        assert "retrain.models.tuned.start: hom is no model in models/base, which has home" in said
        tuned = {**UNET, "start": "home", "iterations": 60}
        parameters(retrain={"licence": "unspecified", "replay": 0.5, "models": {"tuned": tuned}})
        run("voxledger", "round", "run")
        card, parent = read_card(layout.NEXT_MODELS / "tuned"), read_card(layout.BASE_MODELS / "home")
        assert (card.strategy, card.parent, card.licence) == ("pretrained", parent.id, "CC-BY-SA-4.0")
        assert card.taught_by["organ"]["people"] == 2 + 2

        page = layout.ROUND_REPORT.read_text("utf-8")
        assert "tuned from home" in page
        assert "not known" not in page
        started = json.loads(layout.METRICS.read_text("utf-8"))["started"]["tuned"]
        assert started["from"] == "home"
        assert {name: of["is"] for name, of in started["sources"].items()} == {"a": "home", "b": "target"}
        assert started["sources"]["b"]["dice"] > 0.1, "of the other contrast it knew nothing"

        run("voxledger", "round", "close")
        weights = file_sha256(layout.NEXT_MODELS / "tuned" / "weights.safetensors")
        run("dvc", "repro", "--force", "--single-item", "retrain")
        assert file_sha256(layout.NEXT_MODELS / "tuned" / "weights.safetensors") == weights
        run("voxledger", "round", "open")
        parameters(retrain={"strategy": "finetune", "models": {"tuned": tuned}})
        run("voxledger", "round", "run")
        assert read_card(layout.NEXT_MODELS / "tuned").parent == card.id, "now it goes on from itself"
        traced = output("voxledger", "trace", "b-20")
        assert f"strategy pretrained, parent {parent.id[:12]} (home)" in traced
        assert traced.count("licence CC-BY-SA-4.0") == 2


def test_a_model_starts_from_one_that_was_adopted(tmp_path: Path) -> None:
    """A site trains a model and hands it out; another takes it in by a name of its own for the class, and goes on."""
    machine = {"machine": {"workers": 1}, "evaluate": {"bootstrap": 200}, "score": {"budget": 0, "audit": 0}}
    run("voxledger", "init", str(tmp_path / "theirs"), "--name", "one")
    with contextlib.chdir(tmp_path / "theirs"):
        Path("labels.yaml").write_text(LABELS)
        parameters(retrain={"licence": "CC-BY-SA-4.0", "models": {"home": {**UNET, "iterations": 80}}}, **machine)
        add(tmp_path, "a", range(4), 60, "pool")
        run("voxledger", "round", "run")
        run("voxledger", "models", "export", "home", str(tmp_path / "bundle"), "--format", "monai-bundle", "--next")
    run("voxledger", "init", str(tmp_path / "ours"), "--name", "one")
    with contextlib.chdir(tmp_path / "ours"):
        Path("labels.yaml").write_text(LABELS.replace("organ", "liver"))
        Path("map.yaml").write_text("organ: liver\n")
        licence = ("--licence", "CC-BY-SA-4.0")
        run("voxledger", "models", "adopt", str(tmp_path / "bundle"), "--name", "home", *licence, "--map", "map.yaml")
        add(tmp_path, "b", range(10, 12), 60, "pool")
        add(tmp_path, "b", range(12, 15), 60, "external")
        tuned = {**UNET, "start": "home", "iterations": 1, "learning_rate": 1e-9}
        parameters(retrain={"models": {"tuned": tuned}}, **machine)
        run("voxledger", "round", "run")
        card, parent = read_card(layout.NEXT_MODELS / "tuned"), read_card(layout.BASE_MODELS / "home")
        assert (card.strategy, card.parent, card.licence) == ("pretrained", parent.id, "CC-BY-SA-4.0")
        assert (parent.source.classes, card.taught_by["liver"]["people"]) == ({"organ": "liver"}, 2)
        started = json.loads(layout.METRICS.read_text("utf-8"))["started"]["tuned"]
        assert started["from"] == "home"
        assert started["sources"]["b"]["next"]["dice"] > 0.5, "what it knew is there: it was all but not trained here"
