"""What of an image a model of an organ looks at."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.boxes import Box, bounding_box, grown
from voxledger.imaging.soft import NOWHERE, open_soft, write_soft
from voxledger.imaging.volume import Grid, Volume
from voxledger.models.region import Region, learned_schema, organ_box, organs_not_found, read_region, write_region
from voxledger.models.start import Start
from voxledger.models.training import Training, TrainingCase
from voxledger.params import MachineParams, ModelParams, RegionParams, RetrainParams
from voxledger.records.card import REGION, check_model
from voxledger.records.predicted import Predicted
from voxledger.retrain.run import retrain_round
from voxledger.schema import FormerName, LabelSchema

SHAPE = (20, 30, 40)


def mask_of(*blocks: tuple[slice, slice, slice]) -> np.ndarray:
    mask = np.zeros(SHAPE, bool)
    for block in blocks:
        mask[block] = True
    return mask


def box(*sides: tuple[int, int]) -> Box:
    z, y, x = (slice(*side) for side in sides)
    return z, y, x


ONE = box((4, 10), (10, 20), (12, 22))
TWIN = box((4, 10), (10, 20), (30, 40))
STRAY = box((19, 20), (29, 30), (0, 1))


@pytest.mark.parametrize(
    ("blocks", "least", "expected"),
    [
        ([], 0, None),
        ([ONE], 0, ONE),
        ([ONE], 600, ONE),
        ([ONE], 601, None),
        ([ONE, STRAY], 0, ONE),
        ([ONE, TWIN], 0, box((4, 10), (10, 20), (12, 40))),
        ([ONE, box((0, 2), (0, 6), (0, 5))], 0, box((0, 10), (0, 20), (0, 22))),
        ([ONE, box((0, 1), (0, 9), (0, 6))], 0, ONE),
        ([STRAY], 0, STRAY),
        ([STRAY], 60, None),
    ],
    ids=["empty", "one", "just enough", "too few", "stray voxel", "twins", "a tenth", "less", "single voxel", "lost"],
)
def test_pieces_of_the_organ_count_and_stray_voxels_do_not(blocks, least, expected):
    assert organ_box(mask_of(*blocks), least) == expected


@pytest.mark.parametrize(
    ("organ", "spacing", "margin", "expected"),
    [
        (ONE, (1.0, 1.0, 1.0), 3, box((1, 13), (7, 23), (9, 25))),
        (ONE, (5.0, 1.0, 0.5), 3, box((3, 11), (7, 23), (6, 28))),
        (ONE, (0.7, 0.7, 0.7), 0, ONE),
        (ONE, (0.7, 0.7, 0.7), 0.1, box((3, 11), (9, 21), (11, 23))),
        (box((0, 20), (0, 1), (39, 40)), (2.0, 2.0, 2.0), 20, box((0, 20), (0, 11), (29, 40))),
        (ONE, (1.0, 1.0, 1.0), 500, box((0, 20), (0, 30), (0, 40))),
    ],
    ids=["isotropic", "anisotropic", "no margin", "part of a voxel", "at the border", "whole image"],
)
def test_the_margin_is_in_mm_and_ends_where_the_image_does(organ, spacing, margin, expected):
    region = Region(inside="organ", margin_mm=margin, smallest_ml=0)
    assert region.box(organ, Grid.plain(SHAPE, spacing)) == expected


def oblique(spacing=(3.0, 1.0, 0.5)) -> Grid:
    c, s = np.cos(0.3), np.sin(0.3)
    return Grid(SHAPE, spacing, (7.0, -20.0, 100.0), (c, -s, 0.0, s, c, 0.0, 0.0, 0.0, 1.0))


def test_a_crop_of_an_oblique_image_lies_where_it_lay():
    import SimpleITK as sitk

    grid = oblique()
    array = np.arange(np.prod(SHAPE), dtype=np.int32).reshape(SHAPE)
    cropped = Volume(array, grid).cropped(ONE)
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(grid.spacing[::-1])
    image.SetOrigin(grid.origin)
    image.SetDirection(grid.direction)
    expected = image[12:22, 10:20, 4:10]
    np.testing.assert_array_equal(cropped.array, sitk.GetArrayFromImage(expected))
    np.testing.assert_allclose(cropped.grid.origin, expected.GetOrigin(), atol=1e-9)
    assert cropped.grid.spacing[::-1] == expected.GetSpacing()
    assert cropped.grid.direction == expected.GetDirection()
    assert cropped.array.flags["C_CONTIGUOUS"]


def soft(path: Path, extent: Box | None = None, grid: Grid | None = None, **classes: np.ndarray):
    grid = grid or Grid.plain(SHAPE)
    write_soft(path, classes.items(), list(classes), grid, path.stem, "image", extent)
    return open_soft(path)


def test_the_organ_is_where_the_mean_of_the_models_says(tmp_path, schema):
    """Two models: one is sure of the organ, the other of a part of it and of a voxel far off; on an oblique grid."""
    region = Region(inside="organ", margin_mm=3, smallest_ml=0.1)
    a = soft(tmp_path / "a.b2nd", grid=oblique(), organ=0.9 * mask_of(ONE), spleen=1.0 * mask_of(TWIN))
    b = soft(tmp_path / "b.b2nd", grid=oblique(), organ=0.9 * mask_of(box((4, 10), (10, 20), (12, 16)), STRAY))
    assert region.find([a, b], schema) == box((3, 11), (7, 23), (6, 22))
    assert region.find([a], schema) == box((3, 11), (7, 23), (6, 28))
    assert region.find([], schema) is None
    assert region.find([soft(tmp_path / "c.b2nd", spleen=1.0 * mask_of(TWIN))], schema) is None
    assert region.find([soft(tmp_path / "d.b2nd", organ=0.0 * mask_of())], schema) is None
    few = Region(inside="organ", margin_mm=3, smallest_ml=9.1)
    assert few.find([a], schema) is None  # 600 voxels of 1.5 mm³ are less than a tenth of it


def test_the_organ_is_found_under_its_name_of_today(tmp_path, schema):
    import datetime

    former = FormerName(name="organ", round=1, date=datetime.date(2025, 5, 1))
    classes = tuple(
        c.model_copy(update={"name": "liver", "formerly": (former,)})
        if c.name == "organ"
        else c.model_copy(update={"inside": "liver" if c.inside else None})
        for c in schema.classes
    )
    today = LabelSchema(name="today", classes=classes)
    region = Region(inside="organ", margin_mm=0, smallest_ml=0)
    assert region.find([soft(tmp_path / "a.b2nd", liver=1.0 * mask_of(ONE))], today) == ONE


@pytest.mark.parametrize(
    ("params", "names", "inside"),
    [
        ({}, ["organ", "lesion", "spleen"], {"organ": None, "lesion": "organ", "spleen": None}),
        ({"region": {"inside": "organ"}}, ["organ", "lesion"], {"organ": None, "lesion": "organ"}),
        ({"region": {"inside": "organ"}, "classes": ["lesion"]}, ["lesion"], {"lesion": None}),
        ({"classes": ["spleen", "organ"]}, ["organ", "spleen"], {"organ": None, "spleen": None}),
    ],
)
def test_a_model_learns_what_lies_in_its_region_or_the_classes_that_it_names(schema, params, names, inside):
    learned = learned_schema(ModelParams(backend="monai", network="unet", **params), schema, "m")
    assert learned.names == names
    assert {c.name: c.inside for c in learned.classes} == inside


@pytest.mark.parametrize("params", [{"classes": ["liver"]}, {"region": {"inside": "liver"}}])
def test_a_class_that_is_none_is_named_with_its_parameter(schema, params):
    with pytest.raises(Misuse, match=r"params.yaml: retrain.models.m.(classes|region.inside): liver is not a class"):
        learned_schema(ModelParams(backend="monai", network="unet", **params), schema, "m")


def training(small, case_ids=("c0",), **params) -> Training:
    model = ModelParams(backend="monai", network="unet", **params)
    from voxledger.models.cohort import build_cohort

    members = [m for m in build_cohort(small.cases, small.ledger, small.schema) if m.case.case_id in case_ids]
    return Training(
        name="m",
        model=model,
        start=Start("full", 1),
        cases=tuple(TrainingCase.of(m, small.labels, small.schema) for m in members),
        schema=learned_schema(model, small.schema, "m"),
        labels=small.schema,
        seed=0,
        device="cpu",
    )


def test_what_is_learned_is_around_the_trusted_organ_with_its_lesion(small):
    from voxledger.imaging.volume import read, read_label

    whole = read_label("data/release/labels/c0.nii.gz")
    image, labels = training(small, region={"inside": "organ", "margin_mm": 4}).load(training(small).cases[0])
    crop = grown(bounding_box((whole == 1) | (whole == 2)), (2, 4, 4), whole.shape)
    np.testing.assert_array_equal(image.array, read("images/c0.nii.gz").array[crop])
    np.testing.assert_array_equal(labels, np.where(whole[crop] == 7, 0, whole[crop]))
    assert (labels == 2).any()
    assert (whole[crop] == 7).any()  # another organ is background to a model of this one


def test_a_lesion_is_organ_to_a_model_that_does_not_learn_it(small):
    from voxledger.imaging.volume import read_label

    organs = training(small, classes=["organ", "spleen"])
    _, labels = organs.load(organs.cases[0])
    whole = read_label("data/release/labels/c0.nii.gz")
    np.testing.assert_array_equal(labels, np.choose(np.minimum(whole, 3), [0, 1, 1, 2]))


def test_what_is_unknown_elsewhere_is_no_matter_to_a_model_of_an_organ(small):
    """Nobody looked for a spleen, so background is not known in the whole image; around the organ it is no spleen."""
    unknown = small.with_origin("c0", "spleen", None)
    whole, organ = training(unknown), training(unknown, region={"inside": "organ"})
    assert whole.ignores
    assert not organ.ignores
    assert (organ.load(organ.cases[0])[1] == 0).any()


def test_a_box_that_an_organ_fills_teaches_no_background(small):
    """Its organ is a block."""
    with pytest.raises(VoxledgerError, match=r"m sees nothing but its classes: .* the box around the organ") as refused:
        list(training(small, region={"inside": "organ", "margin_mm": 0}).load_all())
    assert "raise retrain.models.m.region.margin_mm" in refused.value.remedy


def test_cases_without_the_organ_teach_nothing_and_none_with_it_is_an_error(small):
    from voxledger.imaging.volume import mask_sha256, read, read_label, write

    grid = read("images/c0.nii.gz").grid
    ledger = dict(small.ledger)
    for case_id in ("c0", "c1"):
        labels = read_label(f"data/release/labels/{case_id}.nii.gz")
        write(f"data/release/labels/{case_id}.nii.gz", np.where(labels == 7, 7, 0).astype(np.uint8), grid)
        for name in ("organ", "lesion"):
            ledger[case_id, name] = replace(ledger[case_id, name], mask_sha256=mask_sha256(np.zeros(grid.shape), grid))
        small = replace(small, ledger=ledger)
        of = training(small, ("c0", "c1"), region={"inside": "organ"})
        if case_id == "c0":
            assert [case.case_id for case, _, _ in of.load_all()] == ["c1"]
    with pytest.raises(VoxledgerError, match="m looks at the organ, of which no case of the cohort has a voxel"):
        list(of.load_all())


REGIONAL = {"region": RegionParams(inside="organ", margin_mm=4)}


@pytest.mark.parametrize("name", ["nn", "unet"])
def test_the_region_is_part_of_the_model(small, tiny, name):
    params = RetrainParams(models={name: tiny[name].model_copy(update=REGIONAL)})
    retrain_round(small.cases, small.schema, small.ledger, 0, params, MachineParams(workers=1))
    home = Path("models/next") / name
    card = check_model(home)
    assert card.params["region"] == {"inside": "organ", "margin_mm": 4.0}
    voxels = 7 * 10 * 9
    assert read_region(home) == Region(inside="organ", margin_mm=4, smallest_ml=voxels * 0.002)
    whole = (home / REGION).read_text()
    write_region(home, Region(inside="organ", margin_mm=5, smallest_ml=1))
    with pytest.raises(VoxledgerError, match=r"region.json does not fit the weights"):
        check_model(home)
    (home / REGION).unlink()
    with pytest.raises(VoxledgerError, match=r"region.json does not fit the weights"):
        check_model(home)
    (home / REGION).write_text(whole)
    check_model(home)


def test_a_region_cannot_be_put_beside_a_model_that_has_none(small, tiny):
    retrain_round(
        small.cases,
        small.schema,
        small.ledger,
        0,
        RetrainParams(models={"unet": tiny["unet"]}),
        MachineParams(workers=1),
    )
    home = Path("models/next/unet")
    assert read_region(home) is None
    write_region(home, Region(inside="organ", margin_mm=5, smallest_ml=1))
    with pytest.raises(VoxledgerError, match=r"region.json is not of the model beside it"):
        check_model(home)


def test_who_did_not_find_what(tmp_path, schema):
    (tmp_path / "fine").mkdir()
    write_region(tmp_path / "fine", Region(inside="organ", margin_mm=5, smallest_ml=1))
    rows = [
        Predicted("b", "fine", "id", (), "k"),
        Predicted("a", "fine", "id", (), "k"),
        Predicted("c", "fine", "id", ("organ",), "k"),
        Predicted("c", "whole", "id", ("spleen",), "k"),
    ]
    assert organs_not_found(rows, tmp_path, schema) == {"a": ["organ"], "b": ["organ"]}
    (tmp_path / "fine" / REGION).write_text(json.dumps({"inside": 3}))
    with pytest.raises(VoxledgerError, match=r"region.json does not say what the model looks at"):
        organs_not_found(rows, tmp_path, schema)


def test_nowhere_is_no_box():
    assert not np.zeros((3, 3, 3))[NOWHERE].size
