import csv
import json
import subprocess
import sys
import time
from functools import cache
from pathlib import Path

import cc3d
import numpy as np
import psutil
import pytest
from scipy.ndimage import binary_dilation, binary_erosion

from voxledger.errors import Misuse
from voxledger.imaging.volume import file_sha256, read, read_label
from voxledger.phantom.make import MIX, Phantom, make_phantom, write_phantoms
from voxledger.phantom.materials import CLASSES, LESIONS
from voxledger.phantom.scanner import SITES, Size
from voxledger.schema import read_schema

ROOT = Path(__file__).parents[2]
SCHEMA = read_schema(ROOT / "labels.yaml")
CASES = [(site, index) for site in "ab" for index in range(8)]


@cache
def made(site: str, index: int, size: Size = Size.SMALL) -> Phantom:
    return make_phantom(5, index, SITES[site], size)


def hashes(folder: Path) -> dict[str, str]:
    return {str(p.relative_to(folder)): file_sha256(p) for p in sorted(folder.rglob("*")) if p.is_file()}


def test_classes_are_those_of_labels_yaml() -> None:
    assert {c.name: c.id for c in SCHEMA.classes} == CLASSES
    assert {c.name for c in SCHEMA.classes if c.lesion} == set(LESIONS)
    assert SCHEMA.ids_of("pancreas") == [7, 8, 11, 12, 13]


@pytest.mark.parametrize(
    ("site", "index", "size"),
    [*((*case, Size.SMALL) for case in CASES), ("a", 1, Size.MEDIUM), ("b", 2, Size.MEDIUM)],
)
def test_every_organ_is_there_in_one_piece_and_of_human_size(site: str, index: int, size: Size) -> None:
    p = made(site, index, size)
    SCHEMA.check(p.labels, "phantom")
    volumes = {name: SCHEMA.mask(p.labels, name).sum() * p.grid.voxel_ml for name in CLASSES}
    bounds = {"liver": (900, 2200), "spleen": (50, 450), "kidney_right": (85, 260), "kidney_left": (85, 260)}
    bounds |= {"pancreas": (30, 190), "gallbladder": (4, 80), "aorta": (35, 130), "spine": (280, 600)}
    bounds |= {"stomach": (80, 700), "postcava": (45, 160), "pancreatic_duct": (0.1, 12)}
    for name, (low, high) in bounds.items():
        assert low < volumes[name] < high, name
    for name in ("liver", "spleen", "kidney_right", "kidney_left", "stomach", "gallbladder", "pancreas"):
        assert cc3d.connected_components(SCHEMA.mask(p.labels, name), connectivity=26, return_N=True)[1] == 1, name


@pytest.mark.parametrize(("site", "index"), CASES)
def test_organs_lie_on_their_side(site: str, index: int) -> None:
    p = made(site, index)
    assert p.grid.direction == (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0)
    z, y, x = (
        {n: np.argwhere(SCHEMA.mask(p.labels, n))[:, axis].mean() for n in CLASSES if n not in LESIONS}
        for axis in range(3)
    )
    assert x["liver"] < x["spine"] < x["spleen"]
    assert x["kidney_right"] < x["postcava"] < x["aorta"] < x["kidney_left"]
    assert x["gallbladder"] < x["pancreas"] < x["stomach"]
    assert y["liver"] < y["spine"]
    assert y["pancreas"] < y["aorta"] < y["spine"]
    assert z["kidney_right"] < z["liver"]


@pytest.mark.parametrize(("site", "index"), CASES)
def test_lesions_lie_in_the_pancreas_and_spare_or_reach_the_duct(site: str, index: int) -> None:
    p = made(site, index)
    present = [n for n in LESIONS if (p.labels == CLASSES[n]).any()]
    assert present == ([p.lesion] if p.lesion else [])
    if not p.lesion:
        assert p.lesion_ml == 0
        return
    lesion = p.labels == CLASSES[p.lesion]
    around = binary_dilation(lesion, np.ones((3, 3, 3)))
    assert (p.labels[around] == CLASSES["pancreas"]).any()
    assert cc3d.connected_components(lesion, connectivity=26, return_N=True)[1] <= p.lesion_count
    assert p.lesion_ml == pytest.approx(lesion.sum() * p.grid.voxel_ml)
    gland = np.isin(p.labels, [CLASSES["pancreas"], CLASSES["pancreatic_duct"]]).sum()
    assert lesion.sum() / gland < {"pdac": 1.33, "cyst": 0.83, "pnet": 0.46}[p.lesion]
    touches_duct = (p.labels[around] == CLASSES["pancreatic_duct"]).any()
    assert touches_duct == (p.lesion == "pdac")


@pytest.mark.parametrize(("site", "index"), CASES)
def test_scanned_organs_keep_their_attenuation(site: str, index: int) -> None:
    p = made(site, index)
    arterial = p.phase == "arterial"
    ranges = {
        "liver": (55, 95) if arterial else (82, 137),
        "spleen": (95, 165) if arterial else (90, 145),
        "aorta": (190, 365) if arterial else (110, 190),
        "postcava": (45, 155) if arterial else (90, 170),
        "pancreas": (75, 140) if arterial else (55, 112),
        "gallbladder": (-10, 30),
        # Without its rim a kidney is mostly medulla.
        "kidney_right": (90, 235) if arterial else (145, 220),
    }
    for name, (low, high) in ranges.items():
        inside = binary_erosion(p.labels == CLASSES[name], np.ones((1, 3, 3)))
        mean = p.image[inside].mean() - SITES[site].shift_hu
        assert low < mean < high, name
    assert p.image.dtype == np.int16
    assert p.image[0, 0, 0] < -900


def test_the_mix_is_even_over_successive_cases() -> None:
    kinds = [make_kind(i) for i in range(200)]
    for name, share in MIX.items():
        assert kinds.count(name) / 200 == pytest.approx(0.75 * share, abs=0.02)
    assert kinds.count("") / 200 == pytest.approx(0.25, abs=0.02)


def test_a_series_may_have_lesions_of_one_kind() -> None:
    kinds = [p.lesion for p in (make_phantom(5, i, SITES["a"], Size.SMALL, 0.5, ("cyst",)) for i in range(8))]
    assert sorted(set(kinds)) == ["", "cyst"]
    assert 3 <= kinds.count("cyst") <= 5


def make_kind(index: int) -> str:
    from voxledger.phantom.make import GOLDEN, _kind

    return _kind((0.3 + index * GOLDEN) % 1.0, 0.75, LESIONS)


def test_sites_differ_in_spacing_phase_and_intensity() -> None:
    a, b = ([made(site, i) for i in range(8)] for site in "ab")
    assert {p.grid.spacing for p in a} == {(5.0, 4.5, 4.5)}
    assert {p.grid.spacing for p in b} == {(4.0, 4.8, 4.8)}
    assert sum(p.phase == "arterial" for p in a) < sum(p.phase == "arterial" for p in b)

    def roughness(p: Phantom) -> float:
        liver = binary_erosion(p.labels == CLASSES["liver"], iterations=2)
        pair = liver[:, :, 1:] & liver[:, :, :-1]
        return float((p.image[:, :, 1:] - p.image[:, :, :-1])[pair].std())

    assert np.mean([roughness(p) for p in b]) > 1.3 * np.mean([roughness(p) for p in a])


def test_patients_differ() -> None:
    p, q = made("a", 0), made("a", 1)
    both = (p.labels == CLASSES["liver"]) & (q.labels == CLASSES["liver"])
    either = (p.labels == CLASSES["liver"]) | (q.labels == CLASSES["liver"])
    assert both.sum() / either.sum() < 0.93
    assert len({made("a", i).labels.tobytes() for i in range(8)}) == 8


def test_files_do_not_depend_on_how_many_are_made(tmp_path: Path) -> None:
    write_phantoms(tmp_path / "two", 2, seed=3)
    write_phantoms(tmp_path / "four", 4, seed=3)
    write_phantoms(tmp_path / "again", 4, seed=3)
    two, four = hashes(tmp_path / "two"), hashes(tmp_path / "four")
    assert four == hashes(tmp_path / "again")
    assert {k: four[k] for k in two if k != "phantoms.csv"} == {k: v for k, v in two.items() if k != "phantoms.csv"}
    write_phantoms(tmp_path / "other", 2, seed=4)
    assert hashes(tmp_path / "other")["images/phantom-a-000.nii.gz"] != two["images/phantom-a-000.nii.gz"]


def test_folder_holds_images_labels_and_weak_labels_that_fit(tmp_path: Path) -> None:
    rows = write_phantoms(tmp_path / "p", 9, seed=5, site="b", labelled=2, prefix="x")
    folder = tmp_path / "p"
    with open(folder / "phantoms.csv", encoding="utf-8", newline="") as stream:
        assert list(csv.DictReader(stream)) == rows
    names = [f"x{i:03d}" for i in range(9)]
    assert [r["case_id"] for r in rows] == names
    assert sorted(p.name for p in (folder / "images").iterdir()) == [f"{n}.nii.gz" for n in names]
    assert sorted(p.name for p in (folder / "labels").iterdir()) == [f"{n}.nii.gz" for n in names[:2]]
    seen = set()
    for row in rows:
        case = row["case_id"]
        image = read(folder / "images" / f"{case}.nii.gz")
        assert image.array.dtype == np.int16
        reference = read_label(folder / "reference" / f"{case}.nii.gz", image.grid)
        if (folder / "labels" / f"{case}.nii.gz").exists():
            np.testing.assert_array_equal(read_label(folder / "labels" / f"{case}.nii.gz"), reference)
            assert row["weak_label"] == ""
        form, _, name = row["weak_label"].partition(":")
        seen.add(form)
        if form == "slice":
            weak = read_label(folder / "weak" / f"{case}.nii.gz", image.grid)
            (k,) = np.flatnonzero(weak.any(axis=(1, 2)))
            ids = [CLASSES[name]] if name in LESIONS else [CLASSES["pancreas"], CLASSES["pancreatic_duct"]]
            np.testing.assert_array_equal(weak[k], np.where(np.isin(reference[k], ids), reference[k], 0))
        elif form == "recist":
            weak = json.loads((folder / "weak" / f"{case}.json").read_text(encoding="utf-8"))
            assert (weak["case"], weak["class"]) == (case, name)
            plane = reference[weak["slice"]] == CLASSES[name]
            border = plane & ~binary_erosion(plane)
            for point in weak["points_lps_mm"]:
                x, y, z = (np.subtract(point, image.grid.origin) / image.grid.spacing[::-1]).round(3)
                assert z == weak["slice"]
                assert border[int(y), int(x)]
            between = np.linalg.norm(np.subtract(*weak["points_lps_mm"]))
            assert between < weak["long_diameter_mm"] < between + 1.5 * image.grid.spacing[1]
    assert seen == {"", "slice", "recist"}


def test_no_lesions_when_none_are_asked_for(tmp_path: Path) -> None:
    rows = write_phantoms(tmp_path / "p", 3, lesion_share=0.0)
    assert {r["lesion"] for r in rows} == {""}
    assert {r["weak_label"] for r in rows} == {"slice:pancreas", ""}


@pytest.mark.parametrize(
    ("arguments", "problem"),
    [
        ({"count": 0}, "0 cases"),
        ({"count": 2, "labelled": 3}, "3 labelled"),
        ({"count": 2, "lesion_share": 1.5}, "1.5"),
        ({"count": 2, "site": "c"}, "not a site"),
        ({"count": 1, "prefix": "../elsewhere-"}, "start of case ids"),
    ],
)
def test_numbers_out_of_range_are_refused(tmp_path: Path, arguments: dict, problem: str) -> None:
    with pytest.raises(Misuse, match=problem):
        write_phantoms(tmp_path / "p", **arguments)
    assert not list(tmp_path.rglob("*"))


def test_who_is_killed_takes_the_workers_along(tmp_path: Path) -> None:
    program = (
        "from pathlib import Path; from voxledger.phantom.make import write_phantoms; write_phantoms(Path('p'), 99)"
    )
    one = subprocess.Popen([sys.executable, "-c", program], cwd=tmp_path)
    while not list(tmp_path.glob("p/*/*.nii.gz")):
        assert one.poll() is None
        time.sleep(0.1)
    workers = psutil.Process(one.pid).children(recursive=True)
    one.kill()
    one.wait()
    assert workers
    assert not psutil.wait_procs(workers, timeout=30)[1]


def test_a_folder_with_files_is_refused(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    with pytest.raises(Misuse, match="not an empty folder"):
        write_phantoms(tmp_path, 1)
    assert hashes(tmp_path).keys() == {"notes.txt"}


def test_the_medium_preset_depends_on_its_arguments_alone() -> None:
    one, again = made("a", 1, Size.MEDIUM), make_phantom(5, 1, SITES["a"], Size.MEDIUM)
    assert (one.lesion, one.phase) == (made("a", 1).lesion, made("a", 1).phase)
    assert np.array_equal(one.image, again.image)
    assert np.array_equal(one.labels, again.labels)


@pytest.mark.slow
@pytest.mark.parametrize("site", ["a", "b"])
def test_full_preset(site: str) -> None:
    p = make_phantom(5, 1, SITES[site], Size.FULL)
    assert p.image.shape[1:] == (512, 512)
    assert set(np.unique(p.labels)) >= {0, *(CLASSES[n] for n in CLASSES if n not in LESIONS)}
    duct = (p.labels == CLASSES["pancreatic_duct"]).sum() * p.grid.voxel_ml
    assert 0.2 < duct < 6
