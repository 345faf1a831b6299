"""Registering precomputed models: what is refused, and that nothing is left behind."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest

from voxledger.errors import Misuse, UnreadableImage, VoxledgerError
from voxledger.imaging.soft import open_soft, write_soft
from voxledger.imaging.volume import Grid, read, read_grid, read_label, write
from voxledger.models.precomputed.adopt import add_precomputed
from voxledger.models.precomputed.predict import predict

FOLDER, MODELS = Path("outside"), Path("models")


@pytest.fixture
def add(small):
    """Register `outside/`, which holds a fitting label map of c0."""
    MODELS.mkdir()
    write(FOLDER / "c0.nii.gz", read_label("data/release/labels/c0.nii.gz"), read("images/c0.nii.gz").grid)

    def call(name="ts", model_id="ts-1", classes=None):
        return add_precomputed(name, FOLDER, model_id, "MIT", small.cases, small.schema, MODELS, 0, classes)

    return call


@pytest.mark.parametrize(
    ("name", "model_id"), [("../ts", "ts-1"), ("TS", "ts-1"), ("ts", "a;b"), ("ts", ""), ("ensemble", "ts-1")]
)
def test_unusable_names_are_refused(add, name, model_id):
    with pytest.raises(Misuse, match="is not a model"):
        add(name, model_id)


@pytest.mark.parametrize(("name", "model_id"), [("ts", "other"), ("other", "ts-1")])
def test_nothing_is_overwritten(add, name, model_id):
    add()
    with pytest.raises(Misuse, match="registered already"):
        add(name, model_id)


def test_the_same_model_again_changes_nothing(small, add):
    """`models add` that was killed before `dvc add` refused to be repeated."""
    card = add()
    before = {p: p.read_bytes() for p in MODELS.rglob("*") if p.is_file()}
    assert add() == card
    write(FOLDER / "c1.nii.gz", read_label("data/release/labels/c1.nii.gz"), read("images/c1.nii.gz").grid)
    with pytest.raises(Misuse, match="ts with id ts-1 is registered already, otherwise"):
        add()
    assert {p: p.read_bytes() for p in MODELS.rglob("*") if p.is_file()} == before
    assert [p.name for p in MODELS.parent.glob(".*.partial")] == []


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
    image, labels = read("images/c1.nii.gz"), read_label("data/release/labels/c1.nii.gz")
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


def cut(content: bytes) -> bytes:
    """A label map as a copy that stopped in the middle left it."""
    return content[: len(content) // 2]


def with_wrong_crc(content: bytes) -> bytes:
    return content[:-8] + bytes(4) + content[-4:]


def with_voxels_missing(content: bytes) -> bytes:
    """Packed anew after it had been cut: the compression is whole, the image is not."""
    return gzip.compress(gzip.decompress(content)[:-2000])


@pytest.mark.parametrize("damaged", [cut, with_wrong_crc, with_voxels_missing])
def test_a_truncated_or_damaged_label_map_is_no_prediction_of_background(small, add, damaged):
    """ITK reads what is missing as zeros: the lesion in the rest of the file would be predicted absent."""
    path = FOLDER / "c0.nii.gz"
    path.write_bytes(damaged(path.read_bytes()))
    with pytest.raises(VoxledgerError, match=r"outside/c0.nii.gz is damaged or incomplete"):
        add()
    assert list(MODELS.iterdir()) == []


def test_a_label_map_that_was_registered_truncated_is_not_predicted_from(small, tmp_path):
    path = tmp_path / "c0.nii.gz"
    write(path, read_label("data/release/labels/c0.nii.gz"), read("images/c0.nii.gz").grid)
    path.write_bytes(with_voxels_missing(path.read_bytes()))
    with pytest.raises(UnreadableImage, match="damaged or incomplete"):
        predict(
            path, tmp_path / "c0.b2nd", small.cases[0], "ts-1", read("images/c0.nii.gz").grid, small.schema, ["organ"]
        )


@pytest.mark.parametrize("value", [np.nan, np.inf, -0.5, 1.5])
def test_a_soft_prediction_with_values_that_are_no_probabilities_is_refused(small, add, value):
    import blosc2

    soft(FOLDER / "c1.b2nd", "images/c1.nii.gz", small.cases[1].sha256, "ts-1", ["organ"])
    blosc2.open(str(FOLDER / "c1.b2nd"), mode="a")[0, 0, 0, 0] = value
    with pytest.raises(VoxledgerError, match=r"c1\.b2nd holds values of organ that are no probabilities"):
        add()
    assert list(MODELS.iterdir()) == []


def test_what_a_soft_prediction_holds_outside_its_box_is_not_lost(small, add):
    """The header of a file from elsewhere may call a class empty that is not."""
    import blosc2

    soft(FOLDER / "c1.b2nd", "images/c1.nii.gz", small.cases[1].sha256, "ts-1", ["organ"])
    blosc2.open(str(FOLDER / "c1.b2nd"), mode="a")[0, 3, 4, 5] = 0.5
    add()
    assert open_soft(MODELS / "ts/predictions/c1.b2nd").read("organ")[3, 4, 5] == 0.5


def test_a_truncated_soft_prediction_is_refused(small, add):
    soft(FOLDER / "c1.b2nd", "images/c1.nii.gz", small.cases[1].sha256, "ts-1", ["organ"])
    (FOLDER / "c1.b2nd").write_bytes(cut((FOLDER / "c1.b2nd").read_bytes()))
    with pytest.raises(VoxledgerError, match=r"c1.b2nd is not a readable soft prediction"):
        add()


def test_no_header_text_of_a_prediction_enters_the_repository(small, add):
    """Predictions are written anew: what else a header says, such as a patient's name, stays outside."""
    import blosc2

    picture = nibabel.load(FOLDER / "c0.nii.gz")
    picture.header["descrip"] = b"DOE^JANE 1970-01-01"
    nibabel.save(picture, FOLDER / "c0.nii.gz")
    soft(FOLDER / "c1.b2nd", "images/c1.nii.gz", small.cases[1].sha256, "ts-1", ["organ"])
    array = blosc2.open(str(FOLDER / "c1.b2nd"), mode="a")
    array.schunk.vlmeta["patient"] = "DOE^JANE"
    before = read_label(FOLDER / "c0.nii.gz")
    add()
    assert b"DOE" in gzip.decompress((FOLDER / "c0.nii.gz").read_bytes())
    kept = MODELS / "ts/predictions"
    assert b"DOE" not in gzip.decompress((kept / "c0.nii.gz").read_bytes())
    assert np.array_equal(read_label(kept / "c0.nii.gz", read("images/c0.nii.gz").grid), before)
    assert open_soft(kept / "c1.b2nd").classes == ("organ",)
    array = blosc2.open(str(kept / "c1.b2nd"), mode="r")
    assert list(array.schunk.vlmeta) == ["voxledger"]


@pytest.mark.parametrize(
    ("ids", "classes", "known"),
    [
        ({1, 2, 7}, None, ["organ", "lesion", "spleen"]),
        ({7}, None, ["spleen"]),
        # What lies in the organ says where some of it is, not where all of it is.
        ({2}, None, ["lesion"]),
        # Looked for in every case, and found in none of them.
        ({7}, ["spleen", "lesion"], ["lesion", "spleen"]),
        (set(), ["lesion"], ["lesion"]),
    ],
)
def test_the_card_holds_the_classes_that_a_model_knows(small, add, ids, classes, known):
    labels = read_label("data/release/labels/c0.nii.gz")
    write(FOLDER / "c0.nii.gz", np.where(np.isin(labels, list(ids)), labels, 0), read("images/c0.nii.gz").grid)
    assert add(classes=classes).params["classes"] == known


def test_classes_of_label_maps_and_soft_predictions_add_up(small, add):
    labels = read_label("data/release/labels/c0.nii.gz")
    write(FOLDER / "c0.nii.gz", np.where(labels == 7, labels, 0), read("images/c0.nii.gz").grid)
    soft(FOLDER / "c1.b2nd", "images/c1.nii.gz", small.cases[1].sha256, "ts-1", ["organ"])
    assert add().params["classes"] == ["organ", "spleen"]


def test_a_class_outside_the_declared_ones_is_refused_by_name(small, add):
    soft(FOLDER / "c1.b2nd", "images/c1.nii.gz", small.cases[1].sha256, "ts-1", ["organ", "lesion"])
    with pytest.raises(VoxledgerError) as refused:
        add(classes=["organ", "spleen"])
    for name in ("c0.nii.gz", "c1.b2nd"):
        assert f"{name} holds lesion, which --classes leaves out" in str(refused.value)
    assert list(MODELS.iterdir()) == []


@pytest.mark.parametrize(("classes", "said"), [(["kidney"], "kidney is not a class"), (None, "no class occurs")])
def test_a_model_that_knows_nothing_is_misuse(small, add, classes, said):
    grid = read("images/c0.nii.gz").grid
    write(FOLDER / "c0.nii.gz", np.zeros(grid.shape, np.uint8), grid)
    with pytest.raises(Misuse, match=said):
        add(classes=classes)
    assert list(MODELS.iterdir()) == []


def test_where_a_model_looked_stays_with_its_prediction(small, add):
    """Of another repository's model of a region: outside of its box it has no say here, either."""
    case = small.cases[1]
    grid, extent = read_grid(case.image), (slice(2, 9), slice(3, 11), slice(4, 20))
    part = np.full((7, 8, 16), 0.75, np.float32)
    write_soft(FOLDER / "c1.b2nd", [("organ", part)], ["organ"], grid, "ts-1", case.sha256, extent)
    add()
    kept = MODELS / "ts/predictions/c1.b2nd"
    predict(kept, Path("out.b2nd"), case, "ts-1", grid, small.schema, ())
    for path in (kept, Path("out.b2nd")):
        found = open_soft(path)
        assert (found.extent, found.boxes["organ"]) == (extent, extent)
        assert (found.read("organ")[extent] == 0.75).all()
