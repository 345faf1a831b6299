from __future__ import annotations

import gzip
from dataclasses import replace
from pathlib import Path

import nibabel
import numpy as np
import pytest

from voxledger.cases.incoming import Incoming
from voxledger.cases.intake import add_cases
from voxledger.errors import CaseRefused, Misuse, VoxledgerError
from voxledger.imaging.volume import Grid, file_sha256, mask_sha256, read, read_label, write
from voxledger.params import CasesParams
from voxledger.records.cases import Case, Split, read_cases, write_cases
from voxledger.records.ledger import Origin, read_ledger
from voxledger.schema import LabelSchema

SCHEMA = LabelSchema.model_validate(
    {"name": "two", "classes": [{"id": 1, "name": "organ"}, {"id": 2, "name": "lesion", "inside": "organ"}]}
)
GRID = Grid((4, 6, 5), (3.0, 0.78125, 0.78125), (-7.0, 3.0, 100.0), (1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0))
PARAMS = CasesParams(calibration=0.2, test=0.3)


def image(seed: int, low: int = -1000) -> np.ndarray:
    array = np.random.default_rng(seed).integers(0, 200, GRID.shape).astype(np.int16)
    array[0, 0, 0] = low
    return array


def label() -> np.ndarray:
    labels = np.zeros(GRID.shape, np.uint8)
    labels[1:3, 1:5, 1:4] = 1
    labels[2, 2, 2] = 2
    return labels


@pytest.fixture
def scans(folder: Path) -> Path:
    for n in range(10):
        write(folder / f"in/images/case{n}_0000.nii.gz", image(n, 0 if n == 9 else -1000), GRID)
        if n < 9:
            write(folder / f"in/labels/case{n}.nrrd", label(), GRID)
    return folder / "in"


def test_images_and_labels_are_registered(scans: Path) -> None:
    added = add_cases(
        Incoming(scans / "images", labels=scans / "labels", source="here", licence="CC0-1.0"), SCHEMA, PARAMS
    )
    cases = read_cases()
    assert [c.case_id for c in cases] == [f"case{n}" for n in range(10)]
    assert added.labelled == 9
    by_split = {s: [c for c in cases if c.split is s] for s in Split}
    assert {s.value: len(found) for s, found in by_split.items()} == {
        "pool": 5,
        "calibration": 2,
        "test": 3,
        "external": 0,
    }
    assert cases[9].split is Split.POOL
    assert (cases[0].modality, cases[9].modality) == ("CT", "MR")
    for case in cases:
        assert file_sha256(case.image) == case.sha256
        assert read(case.image).grid == GRID
    ledger = read_ledger("data/base/ledger.csv")
    assert len(ledger) == 18
    entry = ledger["case3", "organ"]
    assert entry.origin is Origin.SOURCE
    assert entry.mask_sha256 == mask_sha256(label() > 0, GRID)
    assert entry.ml == pytest.approx((label() > 0).sum() * GRID.voxel_ml, abs=1e-4)
    assert read_label("data/base/labels/case3.nii.gz", GRID).tolist() == label().tolist()


def test_splits_do_not_depend_on_order_and_never_change(scans: Path) -> None:
    first = add_cases(Incoming(scans / "images", labels=scans / "labels"), SCHEMA, PARAMS)
    splits = {c.case_id: c.split for c in first.cases}
    write(scans / "more/new.nii.gz", image(99), GRID)
    add_cases(Incoming(scans / "more", split=Split.EXTERNAL), SCHEMA, PARAMS)
    after = {c.case_id: c.split for c in read_cases()}
    assert after.pop("new") is Split.EXTERNAL
    assert after == splits


def test_header_text_does_not_enter(folder: Path) -> None:
    picture = nibabel.Nifti1Image(image(0), np.eye(4))
    picture.header["descrip"] = b"DOE^JANE 1970-01-01"
    picture.header["aux_file"] = b"MRN123456"
    picture.header.extensions.append(nibabel.nifti1.Nifti1Extension("comment", b"DOE^JANE, born 1970"))
    (folder / "in").mkdir()
    nibabel.save(picture, folder / "in/a.nii")
    assert b"DOE^JANE" in (folder / "in/a.nii").read_bytes()
    add_cases(Incoming(folder / "in"), SCHEMA, PARAMS)
    stored = gzip.decompress(Path("data/images/a.nii.gz").read_bytes())
    assert b"DOE" not in stored
    assert b"MRN" not in stored


def damage(scans: Path, kind: str) -> str:
    images, labels = scans / "images", scans / "labels"
    if kind == "shifted label":
        moved = Grid(GRID.shape, GRID.spacing, (0.0, 3.0, 100.0), GRID.direction)
        write(labels / "case4.nrrd", label(), moved)
        return r"case4\.nrrd was shifted"
    if kind == "cropped label":
        write(labels / "case4.nrrd", label()[1:], Grid((3, 6, 5), GRID.spacing, GRID.origin, GRID.direction))
        return r"case4\.nrrd was cropped"
    if kind == "unknown value":
        write(labels / "case4.nrrd", label() * 5, GRID)
        return r"case4\.nrrd.*5, 10"
    if kind == "label without image":
        write(labels / "other.nrrd", label(), GRID)
        return r"other\.nrrd: there is no image"
    if kind == "same image twice":
        write(images / "copy.nii.gz", image(3), GRID)
        return r"copy\.nii\.gz: the same image as"
    if kind == "two files for a case":
        write(images / "case3.mha", image(3), GRID)
        return "two files for case case3"
    if kind == "truncated":
        path = images / "case3_0000.nii.gz"
        path.write_bytes(path.read_bytes()[:-20])
        return r"case3_0000\.nii\.gz is damaged"
    if kind == "truncated label":
        write(labels / "case4.nrrd", label(), GRID)
        (labels / "case4.nrrd").write_bytes((labels / "case4.nrrd").read_bytes()[:-20])
        return r"case4\.nrrd is damaged"
    if kind == "constant":
        write(images / "case3_0000.nii.gz", np.zeros(GRID.shape, np.int16), GRID)
        return r"case3_0000\.nii\.gz is empty"
    if kind == "nan":
        array = image(3).astype(np.float32)
        array[1, 1, 1] = np.nan
        write(images / "case3_0000.nii.gz", array, GRID)
        return r"case3_0000\.nii\.gz holds NaN"
    write(images / "a b.nii.gz", image(50), GRID)
    return "does not make a case id"


@pytest.mark.parametrize(
    "kind",
    [
        "shifted label",
        "cropped label",
        "unknown value",
        "label without image",
        "same image twice",
        "two files for a case",
        "truncated",
        "truncated label",
        "constant",
        "nan",
        "bad name",
    ],
)
def test_a_bad_file_is_named_and_nothing_is_added(scans: Path, kind: str) -> None:
    said = damage(scans, kind)
    with pytest.raises(CaseRefused, match=said):
        add_cases(Incoming(scans / "images", labels=scans / "labels"), SCHEMA, PARAMS)
    assert read_cases() == []
    assert not Path("data/images").exists()
    assert not Path("data/base/ledger.csv").exists()


def test_every_bad_file_is_listed_at_once(scans: Path) -> None:
    for kind in ("truncated", "shifted label", "label without image"):
        damage(scans, kind)
    with pytest.raises(CaseRefused) as caught:
        add_cases(Incoming(scans / "images", labels=scans / "labels"), SCHEMA, PARAMS)
    assert all(name in str(caught.value) for name in ("case3_0000", "case4.nrrd", "other.nrrd"))


def test_a_registered_case_is_refused(scans: Path) -> None:
    add_cases(Incoming(scans / "images"), SCHEMA, PARAMS)
    before = Path("data/cases.csv").read_bytes()
    with pytest.raises(CaseRefused, match="case0 is registered already"):
        add_cases(Incoming(scans / "images"), SCHEMA, PARAMS)
    assert Path("data/cases.csv").read_bytes() == before


def test_partly_labelled_data_say_which_classes_they_cover(scans: Path) -> None:
    with pytest.raises(CaseRefused, match="lesion, which --classes leaves out"):
        add_cases(Incoming(scans / "images", labels=scans / "labels", classes=("organ",)), SCHEMA, PARAMS)
    for path in (scans / "labels").iterdir():
        write(path, (label() > 0).astype(np.uint8), GRID)
    add_cases(Incoming(scans / "images", labels=scans / "labels", classes=("organ",)), SCHEMA, PARAMS)
    assert {name for _, name in read_ledger("data/base/ledger.csv")} == {"organ"}


def test_visits_of_one_patient_stay_together(scans: Path) -> None:
    """Also those that come later; a table that leaves a case out adds nothing."""
    table = scans / "patients.csv"
    table.write_text("case_id,patient\n" + "".join(f"case{n},p{n // 2}\n" for n in range(9)))
    with pytest.raises(CaseRefused, match="no row of case case9"):
        add_cases(Incoming(scans / "images", labels=scans / "labels", patients=table), SCHEMA, PARAMS)
    assert read_cases() == []
    table.write_text(table.read_text() + "case9,p4\n")
    add_cases(Incoming(scans / "images", labels=scans / "labels", patients=table), SCHEMA, PARAMS)
    splits = {c.patient: c.split for c in read_cases()}
    assert {(c.patient, c.split) for c in read_cases()} == set(splits.items())
    tested = next(p for p, split in splits.items() if split is Split.TEST)
    write(scans / "later/visit.nii.gz", image(77), GRID)
    table.write_text(f"case_id,patient\nvisit,{tested}\n")
    with pytest.raises(CaseRefused, match=f"case visit of patient {tested}, of whom cases are in test"):
        add_cases(Incoming(scans / "later", patients=table, split=Split.POOL), SCHEMA, PARAMS)
    (added,) = add_cases(Incoming(scans / "later", patients=table), SCHEMA, PARAMS).cases
    assert (added.patient, added.split) == (tested, Split.TEST)


def test_a_second_channel_is_not_taken_for_a_case_of_its_own(scans: Path) -> None:
    write(scans / "images/case3_0001.nii.gz", image(78), GRID)
    with pytest.raises(CaseRefused, match=r"case3_0001\.nii\.gz: further channels of a case"):
        add_cases(Incoming(scans / "images"), SCHEMA, PARAMS)
    (scans / "images/case3_0000.nii.gz").unlink()
    assert "case3_0001" in {c.case_id for c in add_cases(Incoming(scans / "images"), SCHEMA, PARAMS).cases}


def test_a_folder_without_images_is_misuse(folder: Path) -> None:
    with pytest.raises(Misuse, match="holds no image"):
        add_cases(Incoming(folder), SCHEMA, PARAMS)


def test_two_rows_of_one_case_are_refused(folder: Path) -> None:
    """As a merge of two branches leaves them; which split would hold must not depend on their order."""
    case = Case("a", "data/images/a.nii.gz", "x", "", "here", "CC0-1.0", Split.POOL, "CT", "")
    write_cases("cases.csv", [case, replace(case, split=Split.TEST)])
    with pytest.raises(VoxledgerError, match=r"cases\.csv, line 3: a second row of case a"):
        read_cases("cases.csv")


def test_an_empty_table_survives(folder: Path) -> None:
    write_cases("cases.csv", [])
    assert read_cases("cases.csv") == []


@pytest.mark.parametrize("renamed", [False, True])
def test_a_slicer_segmentation_is_told_by_its_names(scans: Path, renamed: bool) -> None:
    """Its numbers are those of Slicer's segments: under another name they would be taken for ids of classes."""
    path = scans / "labels/case0.nrrd"
    head, _, voxels = path.read_bytes().partition(b"\n\n")
    fields = b"\nSegment0_Name:=Lesion\nSegment0_LabelValue:=1\nSegment1_Name:=Organ\nSegment1_LabelValue:=2"
    path.write_bytes(head + fields + b"\n\n" + voxels)
    if renamed:
        path.rename(scans / "labels/case0.seg.nrrd")
    add_cases(Incoming(scans / "images", labels=scans / "labels"), SCHEMA, PARAMS)
    assert np.array_equal(read_label("data/base/labels/case0.nii.gz"), np.array([0, 2, 1])[label()])


def test_a_segmentation_of_other_names_is_refused(scans: Path) -> None:
    path = scans / "labels/case0.nrrd"
    head, _, voxels = path.read_bytes().partition(b"\n\n")
    path.write_bytes(head + b"\nSegment0_Name:=liver\n\n" + voxels)
    with pytest.raises(CaseRefused, match=r"case0\.nrrd holds segments that cannot be told: 'liver' is no class"):
        add_cases(Incoming(scans / "images", labels=scans / "labels"), SCHEMA, PARAMS)


def test_an_image_is_hashed_once_and_decoded_once(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It was hashed twice as it came, and decoded once more as it was written."""
    import SimpleITK

    from voxledger.cases import intake, take_in

    write("in/a.nii.gz", image(0), GRID)
    write("labels/a.nii.gz", label(), GRID)
    hashed, decoded = [], []
    hash_file, read_image = intake.file_sha256, SimpleITK.ReadImage
    for module in (intake, take_in):
        monkeypatch.setattr(module, "file_sha256", lambda p: hashed.append(str(p)) or hash_file(p), raising=False)
    monkeypatch.setattr(SimpleITK, "ReadImage", lambda p: decoded.append(p) or read_image(p))
    (case,) = add_cases(Incoming(Path("in"), labels=Path("labels")), SCHEMA, PARAMS).cases
    assert hashed == ["in/a.nii.gz", "labels/a.nii.gz"]
    assert len(decoded) == 2, "the image and the label"
    assert case.original_sha256 == hash_file("in/a.nii.gz")
    assert case.sha256 == hash_file(case.image)
