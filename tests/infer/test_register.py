"""Registering precomputed models: what is refused, and that nothing is left behind."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxledger.errors import Misuse, VoxledgerError
from voxledger.infer.register import add_precomputed
from voxledger.soft import write_soft
from voxledger.volume import Grid, read, read_label, write

FOLDER, MODELS = Path("outside"), Path("models")


@pytest.fixture
def add(small):
    """Register `outside/`, which holds a fitting label map of c0."""
    MODELS.mkdir()
    write(FOLDER / "c0.nii.gz", read_label("labels/c0.nii.gz"), read("images/c0.nii.gz").grid)

    def call(name="ts", model_id="ts-1"):
        return add_precomputed(name, FOLDER, model_id, "MIT", small.cases, small.schema, MODELS, 0)

    return call


@pytest.mark.parametrize(("name", "model_id"), [("../ts", "ts-1"), ("TS", "ts-1"), ("ts", "a;b"), ("ts", "")])
def test_unusable_names_are_refused(add, name, model_id):
    with pytest.raises(Misuse, match="is not a model"):
        add(name, model_id)


@pytest.mark.parametrize(("name", "model_id"), [("ts", "other"), ("other", "ts-1")])
def test_nothing_is_overwritten(add, name, model_id):
    add()
    with pytest.raises(Misuse, match="registered already"):
        add(name, model_id)


def soft(path: Path, image: str, sha256: str, model_id: str, classes: list[str], grid: Grid | None = None) -> None:
    grid = grid or read(image).grid
    write_soft(path, ((c, np.zeros(grid.shape, np.float32)) for c in classes), classes, grid, model_id, sha256)


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        ("unknown case", r"stranger.nii.gz: no case stranger"),
        ("other grid", r"c1.nii.gz does not lie on the grid"),
        ("unknown id", r"c1.nii.gz holds label values .* 5"),
        ("fractions", r"c1.nii.gz is not a label map"),
        ("twice", r"c0.nii.gz: a second prediction"),
        ("other image", r"c1.b2nd was predicted on another image"),
        ("other model", r"c1.b2nd was predicted by ts-0"),
        ("soft grid", r"c1.b2nd does not lie on the grid"),
        ("unknown class", r"c1.b2nd has classes .* kidney"),
    ],
)
def test_files_that_do_not_fit_are_named_and_nothing_is_added(small, add, fault, said):
    image, labels = read("images/c1.nii.gz"), read_label("labels/c1.nii.gz")
    sha256 = small.cases[1].sha256
    if fault == "unknown case":
        write(FOLDER / "stranger.nii.gz", labels, image.grid)
    elif fault == "other grid":
        write(FOLDER / "c1.nii.gz", labels[1:], Grid.plain((11, 20, 24), (2.0, 1.0, 1.0)))
    elif fault == "unknown id":
        write(FOLDER / "c1.nii.gz", np.where(labels == 7, 5, labels), image.grid)
    elif fault == "fractions":
        write(FOLDER / "c1.nii.gz", labels * 0.5, image.grid)
    elif fault == "twice":
        soft(FOLDER / "c0.b2nd", "images/c0.nii.gz", small.cases[0].sha256, "ts-1", ["organ"])
    elif fault == "other image":
        soft(FOLDER / "c1.b2nd", "images/c1.nii.gz", "0" * 64, "ts-1", ["organ"])
    elif fault == "other model":
        soft(FOLDER / "c1.b2nd", "images/c1.nii.gz", sha256, "ts-0", ["organ"])
    elif fault == "soft grid":
        soft(FOLDER / "c1.b2nd", "images/c1.nii.gz", sha256, "ts-1", ["organ"], Grid.plain(image.grid.shape))
    else:
        soft(FOLDER / "c1.b2nd", "images/c1.nii.gz", sha256, "ts-1", ["kidney"])
    with pytest.raises(VoxledgerError, match=said):
        add()
    assert list(MODELS.iterdir()) == []


def test_an_empty_folder_is_misuse(small, add):
    (FOLDER / "c0.nii.gz").unlink()
    with pytest.raises(Misuse, match="holds no"):
        add()
