"""The formats that people have: what was drawn is what counts, whatever it was saved as."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import SimpleITK as sitk

from voxledger.bundles.inbox import look_into
from voxledger.errors import BundleRefused, Waiting
from voxledger.imaging.format import Origin
from voxledger.imaging.formats import dicom_seg, rtstruct, seg_nrrd
from voxledger.imaging.volume import read, write
from voxledger.schema import LabelSchema

WORK = [("case_1", "pancreas", "alice"), ("case_1", "lesion", "alice"), ("case_2", "liver", "alice")]
LABEL = "labels/case_1.nii.gz"
PLACES = Path("data/round/bundles"), Path("data/inbox"), Path("data/base/revisions")


@pytest.fixture
def sent(repo: Any) -> Any:
    repo.export(*WORK)
    return repo


def by_class(path: Path, labels: np.ndarray, grid: Any, schema: LabelSchema, _: Origin) -> None:
    """As TotalSegmentator and AbdomenAtlas do: a folder of masks, in which an organ covers its lesions."""
    for name in ("lesion", "pancreas"):
        write(path / "segmentations" / f"{name}.nii.gz", schema.mask(labels, name), grid)


def cropped(path: Path, labels: np.ndarray, grid: Any, schema: LabelSchema, origin: Origin) -> None:
    """As Slicer saves it: only what the segments cover."""
    seg_nrrd.write_labels(path, labels, grid, schema, origin)
    image = sitk.ReadImage(str(path))
    z, y, x = np.nonzero(labels)
    cut = image[int(x.min()) : int(x.max()) + 1, int(y.min()) : int(y.max()) + 1, int(z.min()) : int(z.max()) + 1]
    for key in image.GetMetaDataKeys():
        if key.startswith("Segment"):
            cut.SetMetaData(key, image.GetMetaData(key))
    sitk.WriteImage(cut, str(path), useCompression=True)


SAVED = {
    "a segmentation of 3D Slicer": ("case_1.seg.nrrd", seg_nrrd.write_labels),
    "one that Slicer cropped": ("case_1.seg.nrrd", cropped),
    "DICOM SEG": ("case_1.dcm", dicom_seg.write_labels),
    "RTSTRUCT": ("case_1.dcm", rtstruct.write_labels),
    "one file a class": ("case_1", by_class),
}


@pytest.mark.parametrize("beside", [True, False])
@pytest.mark.parametrize("what", SAVED)
def test_what_was_drawn_is_what_counts(sent: Any, what: str, beside: bool) -> None:
    name, save = SAVED[what]
    changed = sent.shown("alice", "case_1")
    changed[9, 10, 10] = 3
    changed[2, 3, 4] = 3
    folder = sent.give_back("alice", case_1={"lesion": "revise"})
    save(folder / "labels" / name, changed, read(folder / LABEL).grid, sent.schema, Origin("case_1"))
    if not beside:
        (folder / LABEL).unlink()
    sent.gate()
    sent.take_in()
    assert np.array_equal(sent.released("case_1"), changed)


def test_classes_without_a_file_are_as_they_were_sent(sent: Any) -> None:
    shown = sent.shown("alice", "case_1")
    changed = shown.copy()
    changed[9, 10, 10] = 3
    folder = sent.give_back("alice", case_1={"lesion": "revise"})
    write(folder / "labels/case_1/lesion.nii.gz", changed == 3, read(folder / LABEL).grid)
    sent.gate()
    sent.take_in()
    assert np.array_equal(sent.released("case_1"), changed)


@pytest.mark.parametrize(
    ("files", "told"),
    [
        ({"tumour.nii.gz": 1}, "'tumour' is no class"),
        ({"lesion.nii.gz": 1, "Lesion.mha": 1}, "'Lesion' and 'lesion' are both lesion"),
        ({"lesion.nii.gz": 1, "liver.nii.gz": 1}, "voxels are both"),
        ({"lesion.nii.gz": 2}, "is not the mask of one class"),
    ],
)
def test_files_of_classes_that_cannot_be_told_are_refused(sent: Any, files: dict[str, int], told: str) -> None:
    folder = sent.give_back("alice", case_1={"lesion": "revise"})
    grid = read(folder / LABEL).grid
    for name, values in files.items():
        mask = np.zeros(grid.shape, np.uint8)
        mask[2:4, 3:5, 3:5] = 1
        mask[5] = values
        write(folder / f"labels/case_1/{name}", mask, grid)
    with pytest.raises(BundleRefused) as caught:
        sent.gate()
    assert told in str(caught.value)


def test_a_segmentation_that_names_no_class_is_refused(sent: Any) -> None:
    folder = sent.give_back("alice", case_1={"lesion": "revise"})
    image = sitk.ReadImage(str(folder / LABEL))
    for key, value in (("Segment0_Name", "Segment_1"), ("Segment0_LabelValue", "1"), ("Segment0_Layer", "0")):
        image.SetMetaData(key, value)
    sitk.WriteImage(image, str(folder / "labels/case_1.nrrd"))
    with pytest.raises(BundleRefused) as caught:
        sent.gate()
    assert "labels/case_1.nrrd: holds segments that cannot be told: 'Segment_1' is no class" in str(caught.value)
    assert "name every segment as its class: liver," in str(caught.value)


@pytest.mark.parametrize(
    "name", ["labels/Segmentation.seg.nrrd", "labels/case_9.seg.nrrd", "Segmentation.seg.nrrd", "labels/case_1.raw"]
)
def test_a_file_that_is_the_label_of_no_case_is_asked_about(sent: Any, name: str) -> None:
    folder = sent.give_back("alice")
    (folder / name).write_bytes(b"NRRD0004\n")
    with pytest.raises(BundleRefused, match=f"{name}: is not"):
        sent.gate()


@pytest.mark.parametrize("name", ["decisions.xlsx", "Decisions.csv", "decisions (1).csv", "decisions - Copy.csv"])
@pytest.mark.parametrize("beside", [True, False])
def test_decisions_under_the_names_that_programs_give_them(sent: Any, name: str, beside: bool) -> None:
    folder = sent.give_back("alice", case_1={"lesion": "reject"})
    filled = (folder / "decisions.csv").read_text()
    (folder / "decisions.csv").unlink()
    if name.endswith(".xlsx"):
        _spreadsheet(folder / name, [line.split(",") for line in filled.splitlines()])
    else:
        (folder / name).write_text(filled)
    if beside:
        (folder / "decisions.csv").write_bytes((sent.bundle("alice") / "decisions.csv").read_bytes())
    sent.gate()
    (one,) = look_into(*PLACES, 1).returned.values()
    assert {k: r.decision for k, r in one.rows.items()} == {
        ("case_1", "pancreas"): "accept",
        ("case_1", "lesion"): "reject",
        ("case_2", "liver"): "accept",
    }


def _spreadsheet(path: Path, lines: list[list[str]]) -> None:
    from openpyxl import Workbook

    book = Workbook()
    for line in lines:
        book.active.append([float(cell) if cell.replace(".", "").isdigit() else cell for cell in line])
    book.create_sheet("notes")
    book.save(path)


@pytest.mark.parametrize(
    ("make", "told"),
    [
        (lambda path: path.write_bytes(b"no spreadsheet"), "cannot be read as a table: it is damaged"),
        (lambda path: _spreadsheet(path, [["case", "class"], ["case_1", "lesion"]]), "no sheets of it have a column"),
        (lambda path: _spreadsheet(path, []), "no sheets of it have a column"),
    ],
)
def test_a_spreadsheet_that_cannot_be_read_is_a_finding(sent: Any, make: Any, told: str) -> None:
    folder = sent.give_back("alice")
    (folder / "decisions.csv").unlink()
    make(folder / "decisions.xlsx")
    with pytest.raises((BundleRefused, Waiting), match=told):
        sent.gate()


def test_two_tables_of_decisions_are_refused(sent: Any) -> None:
    folder = sent.give_back("alice", case_1={"lesion": "reject"})
    (folder / "decisions (1).csv").write_text((folder / "decisions.csv").read_text() + "\n")
    with pytest.raises(BundleRefused, match="there are 2 tables of decisions"):
        sent.gate()


@pytest.mark.parametrize("edited", [".nii.gz", ".seg.nrrd", ".dcm", None])
def test_a_bundle_goes_out_in_several_formats_and_the_one_that_was_corrected_counts(
    repo: Any, edited: str | None
) -> None:
    repo.export(*WORK, formats=("seg_nrrd", "dicom_seg"))
    sent = {p.name for p in (repo.bundle("alice") / "labels").iterdir()}
    assert sent == {f"{case}{suffix}" for case in ("case_1", "case_2") for suffix in (".nii.gz", ".seg.nrrd", ".dcm")}
    assert "Drag `labels/<case>.seg.nrrd` into the window" in (repo.bundle("alice") / "README.md").read_text()
    changed = repo.shown("alice", "case_1")
    changed[9, 10, 10] = 3
    folder = repo.give_back("alice", case_1={"lesion": "revise" if edited else "accept"})
    path, grid = folder / f"labels/case_1{edited}", read(folder / LABEL).grid
    if edited == ".nii.gz":
        write(path, changed, grid)
    elif edited:
        module = {".seg.nrrd": seg_nrrd, ".dcm": dicom_seg}[edited]
        module.write_labels(path, changed, grid, repo.schema, Origin("case_1"))
    repo.gate()
    repo.take_in()
    assert np.array_equal(repo.released("case_1"), changed if edited else repo.shown("alice", "case_1"))


def test_two_formats_that_were_both_corrected_are_refused(repo: Any) -> None:
    repo.export(*WORK, formats=("seg_nrrd",))
    changed = repo.shown("alice", "case_1")
    changed[9, 10, 10] = 3
    folder = repo.give_back("alice", {"case_1": changed}, case_1={"lesion": "revise"})
    path = folder / "labels/case_1.seg.nrrd"
    seg_nrrd.write_labels(path, changed, read(folder / LABEL).grid, repo.schema, Origin("case_1"))
    with pytest.raises(BundleRefused, match="there are 2 labels of one case"):
        repo.gate()
