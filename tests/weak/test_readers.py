"""Weak labels in the formats of others, from `cases add --weak` to `data/weak`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from grids import regridded

from voxledger.cases.incoming import Incoming
from voxledger.cases.intake import add_cases
from voxledger.errors import CaseRefused, Misuse, VoxledgerError
from voxledger.imaging.volume import Grid, Volume, read, read_grid, write
from voxledger.params import CasesParams
from voxledger.phantom.weak import recist
from voxledger.schema import LabelSchema
from voxledger.weak.store import read_weak

SCHEMA = LabelSchema.model_validate(
    {
        "name": "two",
        "classes": [{"id": 1, "name": "organ"}, {"id": 2, "name": "lesion", "inside": "organ", "lesion": True}],
    }
)
HEADER = (
    "File_name,Patient_index,Study_index,Series_ID,Key_slice_index,Measurement_coordinates,Bounding_boxes,"
    "Lesion_diameters_Pixel_,Normalized_lesion_location,Coarse_lesion_type,Possibly_noisy,Slice_range,Spacing_mm_px_,"
    "Image_size,DICOM_windows,Patient_gender,Patient_age,Train_Val_Test\n"
)
ROW = (
    '000001_02_01_017.png,1,2,1,17,"272.323, 320.763, 246.522, 263.371, 234.412, 305.494, 280.221, 288.118",'
    '"229.412, 258.371, 285.221, 325.763","62.9245, 48.9929","0.5, 0.5, 0.6",3,0,"8, 23","0.314453, 0.314453, 5",'
    '"512, 512","-175, 275",F,62,3\n'
)
"""As it stands in DeepLesion's table, but for the place in the body."""
CASE = "CT_Lesion_000001_02_01_008-023"


def slab(shared_data: Path) -> tuple[np.ndarray, np.ndarray, Grid]:
    """The first slab of DeepLesion with the mask of its lesion."""
    with np.load(shared_data / f"deeplesion/{CASE}.npz", allow_pickle=False) as found:
        spacing = tuple(found["spacing"][::-1].tolist())
        grid = Grid(found["imgs"].shape, spacing, tuple(found["origin"].tolist()), tuple(found["direction"].tolist()))
        return found["imgs"].astype(np.int16), found["gts"] > 0, grid


def add(images: dict[str, Volume], weak: Path, weak_class: str = "") -> None:
    for name, image in images.items():
        write(f"in/{name}.nii.gz", image.array, image.grid)
    add_cases(Incoming(Path("in"), weak=weak, weak_class=weak_class), SCHEMA, CasesParams())


TURNED = [((0, 1, 2), (False,) * 3), ((0, 2, 1), (False, True, False)), ((0, 1, 2), (True, False, True))]


@pytest.mark.parametrize(("axes", "flips"), TURNED)
def test_a_row_of_deeplesion_lies_on_its_lesion(
    folder: Path, shared_data: Path, axes: tuple[int, ...], flips: tuple[bool, ...]
) -> None:
    """However the image was turned: in the slab as it is, columns and rows are swapped."""
    image, lesion, grid = slab(shared_data)
    turned, there = regridded(image, grid, axes, flips, ((0, 0),) * 3)
    mask, _ = regridded(lesion.astype(np.uint8), grid, axes, flips, ((0, 0),) * 3)
    noisy = ROW.replace(",3,0,", ",3,1,").replace("017.png", "016.png")
    Path("DL_info.csv").write_text("\ufeff" + HEADER + ROW + noisy + ROW.replace("000001_", "000007_"))
    add({CASE: Volume(turned, there)}, Path("DL_info.csv"), "lesion")
    kept = Path(f"data/weak/{CASE}.json").read_text()
    assert not {"62", "F", "gender", "age", "175"} & set(kept.replace('"', " ").split())
    (weak,) = read_weak(CASE, read_grid(f"data/images/{CASE}.nii.gz"), SCHEMA)
    assert (weak.kind, weak.class_name, weak.source) == ("recist", "lesion", "deeplesion")
    inside = [bool(mask[tuple(voxel)]) for voxel in np.rint(weak.points).astype(int)]
    assert sum(inside) == 3, "the fourth end lies a pixel beside the mask"
    (diameter,) = json.loads(kept)["marks"]
    assert (diameter["long_diameter_mm"], diameter["short_diameter_mm"]) == (19.79, 15.41)


Change = Callable[[str], str]


@pytest.mark.parametrize(
    ("change", "said"),
    [
        (lambda row: row.replace("0.314453, 0.314453, 5", "0.7, 0.7, 5"), "its image has another spacing"),
        (lambda row: row.replace("512, 512", "512, 768"), "its image has 512×768×16 voxels"),
        (lambda row: row.replace('"272.323', '"572.323'), "do not lie in its box"),
        (lambda row: row.replace('"272.323', '"572.323').replace("285.221", "600"), "do not lie in the image"),
    ],
)
def test_a_row_of_another_image_is_refused(folder: Path, change: Change, said: str) -> None:
    grid = Grid((16, 512, 512), (5.0, 0.314453, 0.314453), (0.0, 0.0, 0.0), (0.0, 1, 0, 1, 0, 0, 0, 0, -1))
    image = np.zeros(grid.shape, np.int16)
    image[0] = 1
    assert change(ROW) != ROW
    Path("DL_info.csv").write_text(HEADER + change(ROW))
    with pytest.raises(CaseRefused, match=said) as caught:
        add({CASE: Volume(image, grid)}, Path("DL_info.csv"), "lesion")
    assert CASE in caught.value.problem
    assert not Path("data/weak").exists()


SMALL = Volume(np.arange(6 * 12 * 10, dtype=np.int16).reshape(6, 12, 10), Grid.plain((6, 12, 10), (3.0, 1.0, 1.0)))


def coco(*boxes: tuple[str, str, list[float]], size: tuple[int, int] = (10, 12)) -> dict[str, Any]:
    """Boxes by file name and category."""
    files, names = sorted({b[0] for b in boxes}), sorted({b[1] for b in boxes})
    return {
        "info": {"contributor": "Doe"},
        "images": [{"id": n, "file_name": f, "width": size[0], "height": size[1]} for n, f in enumerate(files)],
        "categories": [{"id": n + 7, "name": name, "supercategory": "Doe"} for n, name in enumerate(names)],
        "annotations": [
            {"id": n, "image_id": files.index(f), "category_id": names.index(c) + 7, "bbox": box, "segmentation": []}
            for n, (f, c, box) in enumerate(boxes)
        ],
    }


def clashing(key: str, **other: str) -> dict[str, Any]:
    """Two files put together, which number their images or categories alike: a box would go to the last."""
    values = coco(("a_3.png", "lesion", [2, 4, 3, 5]))
    return values | {key: [*values[key], values[key][0] | other]}


@pytest.mark.parametrize(
    ("boxes", "weak_class", "expected"),
    [
        ([("a_003.png", "lesion", [2, 4, 3, 5])], "", {"a": [("lesion", (3, 4, 2), (3, 8, 4))]}),
        ([("x/y/a/3.jpg", "Tumor", [2.5, 4, 3, 5])], "lesion", {"a": [("lesion", (3, 4, 2.5), (3, 8, 4.5))]}),
        (
            [
                ("a-1.png", "lesion", [2, 4, 3, 5]),
                ("a-2.png", "lesion", [3, 5, 3, 5]),
                ("a-2.png", "lesion", [8, 0, 2, 2]),
            ],
            "",
            {"a": [("lesion", (1, 4, 2), (2, 9, 5)), ("lesion", (2, 0, 8), (2, 1, 9))]},
        ),
        (
            [
                ("a_1.png", "lesion", [2, 4, 3, 5]),
                ("a_3.png", "lesion", [2, 4, 3, 5]),
                ("b_5.png", "organ", [0, 0, 10, 12]),
            ],
            "",
            {
                "a": [("lesion", (1, 4, 2), (1, 8, 4)), ("lesion", (3, 4, 2), (3, 8, 4))],
                "b": [("organ", (5, 0, 0), (5, 11, 9))],
            },
        ),
    ],
)
def test_boxes_of_coco(folder: Path, boxes: Any, weak_class: str, expected: dict[str, Any]) -> None:
    Path("boxes.json").write_text(json.dumps(coco(*boxes, ("stranger_1.png", "Doe", [0, 0, 1, 1]))))
    images = {"a": SMALL, "b": Volume(SMALL.array + 1, SMALL.grid)}
    add(images, Path("boxes.json"), weak_class)
    found = {
        c: [(w.class_name, *map(tuple, w.points.tolist())) for w in read_weak(c, SMALL.grid, SCHEMA)] for c in images
    }
    assert {case: boxes for case, boxes in found.items() if boxes} == expected
    assert not [p for p in Path("data").rglob("*") if p.is_file() and b"Doe" in p.read_bytes()]


@pytest.mark.parametrize(
    ("values", "weak_class", "error", "said"),
    [
        (coco(("a_3.png", "Doe", [2, 4, 3, 5])), "", CaseRefused, "its category is no class"),
        (coco(("a_9.png", "lesion", [2, 4, 3, 5])), "", CaseRefused, "box 0: it does not lie in the image"),
        (coco(("a_3.png", "lesion", [2, 4, 30, 5])), "", CaseRefused, "box 0: it does not lie in the image"),
        (coco(("a_3.png", "lesion", [float("nan"), 4, 3, 5])), "", CaseRefused, "box 0: it does not lie in the image"),
        (coco(("a_3.png", "lesion", [2, 4, 3, 0])), "", CaseRefused, "box 0: it does not lie in the image"),
        (coco(("a_3.png", "lesion", [2, 4, 3, 5]), size=(12, 10)), "", CaseRefused, "its slice has 12×10 pixels"),
        (coco(("b_3.png", "lesion", [2, 4, 3, 5])), "", Misuse, "names none of these cases"),
        (coco(("a_3.png", "lesion", [2, 4, 3, 5])), "tail", Misuse, "tail is not a class"),
        ({"images": [], "annotations": [{"image_id": 3}], "categories": []}, "", VoxledgerError, "is not COCO"),
        ({"images": []}, "", VoxledgerError, "it has no annotations, categories"),
        (coco(("a_3.png", "lesion", [10**400, 4, 3, 5])), "", VoxledgerError, "is not COCO"),
        (coco(("a_3.png", "lesion", [2, 4, 3, 5]), size=(float("inf"), 12)), "", VoxledgerError, "is not COCO"),
        (clashing("images", file_name="a_1.png"), "", VoxledgerError, "several images or categories have the id 0"),
        (clashing("categories", name="organ"), "", VoxledgerError, "several images or categories have the id 7"),
    ],
)
def test_boxes_that_do_not_fit_are_refused(
    folder: Path, values: Any, weak_class: str, error: type[VoxledgerError], said: str
) -> None:
    Path("boxes.json").write_text(json.dumps(values))
    with pytest.raises(error, match=said) as caught:
        add({"a": SMALL}, Path("boxes.json"), weak_class)
    assert "Doe" not in str(caught.value)
    assert not Path("data/weak").exists()


@pytest.mark.parametrize(
    ("name", "text", "weak_class", "said"),
    [
        ("DL_info.csv", HEADER + ROW, "", "say it: --weak-class NAME"),
        ("DL_info.csv", HEADER + ROW, "lesion", "names none of these cases"),
        ("DL_info.csv", "a,b\n1,2\n", "lesion", "no column File_name"),
        ("DL_info.csv", HEADER + ROW.replace("272.323", "Doe"), "lesion", "line 2: it is no row of DL_info.csv"),
        ("DL_info.csv", HEADER + "000001_02_01_017.png,1,2\n", "lesion", "line 2: it is no row of DL_info.csv"),
        ("DL_info.csv", HEADER + ROW.strip() + ",4\n", "lesion", "line 2: it is no row of DL_info.csv"),
        ("DL_info.csv", HEADER + ROW.replace(",3,0,", ",3,no,"), "lesion", "line 2: it is no row of DL_info.csv"),
        ("weak/a.JSON", "{}", "", "holds no weak label"),
        ("weak.txt", "", "", "neither a folder of weak labels nor a table"),
        ("weak/a.json", "{}", "lesion", "--weak-class is for tables"),
    ],
)
def test_what_is_no_table_for_these_cases_is_refused(
    folder: Path, name: str, text: str, weak_class: str, said: str
) -> None:
    Path(name).parent.mkdir(exist_ok=True)
    Path(name).write_text(text)
    given = Path(name) if "/" not in name else Path(name).parent
    with pytest.raises(VoxledgerError, match=said) as caught:
        add({"a": SMALL}, given, weak_class)
    assert "Doe" not in str(caught.value)


def lesion() -> np.ndarray:
    mask = np.zeros(SMALL.grid.shape, np.uint8)
    mask[3, 2:9, 4:7] = 2
    return mask


def test_a_folder_of_label_maps_and_marks(folder: Path) -> None:
    """A patient's name beside a diameter enters neither the repository nor what is remembered."""
    write("weak/a.nrrd", lesion(), SMALL.grid)
    diameter = recist(lesion() == 2, SMALL.grid, "lesion")
    Path("weak/b.json").write_text(json.dumps(diameter | {"patient": {"name": "DOE^JANE"}}))
    images = {"a": SMALL, "b": Volume(SMALL.array + 1, SMALL.grid)}
    with pytest.raises(CaseRefused, match="unknown keys patient"):
        add(images, Path("weak"))
    found = [p for top in ("data", ".memo") for p in Path(top).rglob("*") if p.is_file()]
    assert not [p for p in found if b"DOE" in p.read_bytes()]
    assert not Path("data/weak").exists()
    Path("weak/b.json").write_text(json.dumps(diameter, indent=7))
    add(images, Path("weak"))
    assert sorted(p.name for p in Path("data/weak").iterdir()) == ["a.nii.gz", "b.json"]
    np.testing.assert_array_equal(read("data/weak/a.nii.gz").array, lesion())
    assert json.loads(Path("data/weak/b.json").read_text())["marks"] == [diameter]
    assert [[w.kind for w in read_weak(c, SMALL.grid, SCHEMA)] for c in "ab"] == [["slice_mask"], ["recist"]]


@pytest.mark.parametrize(
    ("mask", "grid", "said"),
    [
        (np.zeros(SMALL.grid.shape, np.uint8), SMALL.grid, "a.nii.gz marks nothing"),
        (lesion() * 3, SMALL.grid, "a.nii.gz holds label values"),
        (lesion(), Grid.plain((6, 12, 10), (3.0, 1.0, 0.9)), "a.nii.gz does not lie on the grid"),
    ],
)
def test_a_label_map_that_does_not_fit_is_refused(folder: Path, mask: np.ndarray, grid: Grid, said: str) -> None:
    write("weak/a.nii.gz", mask, grid)
    with pytest.raises(CaseRefused, match=said):
        add({"a": SMALL}, Path("weak"))
    assert not Path("data/weak").exists()


def test_a_class_of_no_weak_labels_is_refused(folder: Path) -> None:
    with pytest.raises(Misuse, match="and there are none"):
        add_cases(Incoming(Path("in"), weak_class="lesion"), SCHEMA, CasesParams())
