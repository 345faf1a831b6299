"""A version in the layouts that others use."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from small_round import repo, template

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.imaging.format import format_of
from voxledger.imaging.placement import placement
from voxledger.imaging.segments import classes_of, draw, placed
from voxledger.imaging.volume import differences, read, read_label
from voxledger.records.cases import write_cases
from voxledger.release.handover import hand_over

from .validators import bids_errors

__all__ = ["repo", "template"]


@pytest.fixture
def released(repo: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Any:
    """The small round, imported."""
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    repo.export(("case_1", "pancreas", "alice"))
    repo.give_back("alice")
    repo.gate()
    repo.take_in()
    write_cases(layout.CASES, repo.cases)
    Path("params.yaml").write_text("dataset: small\nround: 1\n")
    Path("labels.yaml").write_text(json.dumps(repo.schema.model_dump(mode="json")))
    return repo


CASES = ("case_1", "case_2", "case_3", "test_1")


def test_nifti(released: Any) -> None:
    found = hand_over(Path("out"), "nifti")
    assert (found.dataset, len(found.cases)) == ("small", 4)
    for case in CASES:
        assert np.array_equal(read(f"out/labels/{case}.nii.gz").array, released.released(case))
        assert Path(f"out/images/{case}.nii.gz").read_bytes() == Path(f"data/images/{case}.nii.gz").read_bytes()
    names = {p.name for p in Path("out/provenance").iterdir()}
    assert names == {"ledger.csv", "cases.csv", "labels.yaml"}


def test_a_patient_who_was_withdrawn_since_is_not_handed_over(released: Any) -> None:
    """Ledger and label maps still have their cases, until the round is run."""
    write_cases(layout.CASES, released.cases[1:])
    with pytest.raises(VoxledgerError, match=r"still has 1 cases.*\n.*round run"):
        hand_over(Path("out"), "nifti")
    assert not Path("out").exists()


@pytest.mark.parametrize(("name", "suffix"), [("seg_nrrd", ".seg.nrrd"), ("dicom_seg", ".dcm"), ("rtstruct", ".dcm")])
def test_named_masks(released: Any, name: str, suffix: str) -> None:
    hand_over(Path("out"), name)
    for case in CASES:
        path, image = Path(f"out/labels/{case}{suffix}"), read(f"out/images/{case}.nii.gz").grid
        form = format_of(path)
        assert form.read_segments is not None
        found = form.read_segments(path, image)
        at = placement(found.grid, image)
        assert at is not None
        segments = placed(classes_of(found.segments, released.schema, case), at, case)
        drawn = draw(released.schema, segments, np.zeros(image.shape, np.uint8), case)
        assert np.array_equal(drawn.labels, released.released(case))


def test_one_file_a_class(released: Any) -> None:
    hand_over(Path("out"), "by_class")
    for case in CASES:
        labels = released.released(case)
        assert Path(f"out/{case}/ct.nii.gz").is_file()
        for name in released.schema.names:
            mask = read_label(f"out/{case}/segmentations/{name}.nii.gz", read(f"out/{case}/ct.nii.gz").grid)
            assert np.array_equal(mask, released.schema.mask(labels, name))


def test_nnunet(released: Any) -> None:
    hand_over(Path("out"), "nnunet")
    dataset = Path("out/Dataset001_small")
    described = json.loads((dataset / "dataset.json").read_text())
    names = released.schema.names
    assert described["labels"] == {"background": 0, **{n: i for i, n in enumerate(names, start=1)}}
    assert described["numTraining"] == len(list((dataset / "imagesTr").iterdir())) == 3
    assert [p.name for p in (dataset / "imagesTs").iterdir()] == ["test_1_0000.nii.gz"]
    for part, case in (("Tr", "case_1"), ("Ts", "test_1")):
        found = read(dataset / f"labels{part}/{case}.nii.gz")
        labels = released.released(case)
        for c in released.schema.classes:
            assert np.array_equal(found.array == described["labels"][c.name], labels == c.id)
        assert differences(found.grid, read(dataset / f"images{part}/{case}_0000.nii.gz").grid) == []


@pytest.mark.slow
def test_nnunet_takes_it(released: Any) -> None:
    from nnunetv2.experiment_planning.verify_dataset_integrity import verify_dataset_integrity

    hand_over(Path("out"), "nnunet")
    verify_dataset_integrity("out/Dataset001_small", num_processes=1)


def test_monai(released: Any) -> None:
    hand_over(Path("out"), "monai")
    described = json.loads(Path("out/datalist.json").read_text())
    assert [len(described[part]) for part in ("training", "validation", "test")] == [3, 0, 1]
    for part in ("training", "test"):
        assert all(Path("out", entry[kind]).is_file() for entry in described[part] for kind in ("image", "label"))


@pytest.mark.slow
def test_monai_takes_it(released: Any) -> None:
    from monai.data import load_decathlon_datalist

    hand_over(Path("out"), "monai")
    found = load_decathlon_datalist("out/datalist.json", is_segmentation=True, data_list_key="training")
    assert all(Path(entry["image"]).is_file() and Path(entry["label"]).is_file() for entry in found)


def test_dicom_refers_to_the_series_that_is_known(released: Any, tmp_path: Path) -> None:
    pydicom = pytest.importorskip("pydicom")
    keys = tmp_path / "keys"
    (keys / "sources").mkdir(parents=True)
    source = {
        "study": "1.2.3", "series": "1.2.4", "frame_of_reference": "1.2.5",
        "sop_class": "1.2.840.10008.5.1.4.1.1.2", "instances": [f"1.2.6.{n}" for n in range(10)],
    }  # fmt: skip
    (keys / "sources/case_1.json").write_text(json.dumps(source))
    hand_over(Path("seg"), "dicom_seg", keys)
    hand_over(Path("rt"), "rtstruct", keys)
    seg, rt = (pydicom.dcmread(f"{folder}/labels/case_1.dcm") for folder in ("seg", "rt"))
    assert (seg.StudyInstanceUID, seg.ReferencedSeriesSequence[0].SeriesInstanceUID) == ("1.2.3", "1.2.4")
    referenced = rt.ReferencedFrameOfReferenceSequence[0].RTReferencedStudySequence[0].RTReferencedSeriesSequence[0]
    uids = [image.ReferencedSOPInstanceUID for image in referenced.ContourImageSequence]
    assert uids == source["instances"]
    assert pydicom.dcmread("seg/labels/case_2.dcm").StudyInstanceUID != "1.2.3"


def test_what_is_refused(released: Any) -> None:
    Path("out").mkdir()
    with pytest.raises(Misuse, match="out is there already"):
        hand_over(Path("out"), "nifti")
    with pytest.raises(Misuse, match="there is no layout nnunett; did you mean nnunet"):
        hand_over(Path("new"), "nnunett")
    Path("data/images/case_1.nii.gz").unlink()
    with pytest.raises(VoxledgerError, match=r"case_1\.nii\.gz: 1 files are not here"):
        hand_over(Path("new"), "nifti")
    assert not Path("new").exists()


def test_identity_is_not_handed_over(released: Any) -> None:
    Path("data/acquisition.csv").write_text("case_id\nDoe^Jane\n")
    with pytest.raises(VoxledgerError, match="refuses while 1 things look like the identity"):
        hand_over(Path("out"), "nifti")


@pytest.fixture
def of_mr(released: Any) -> Any:
    """The same, said to be MR; two cases are of one patient."""
    people = {"case_1": "p-1", "case_2": "p-1"}
    write_cases(
        layout.CASES, [replace(c, modality="MR", patient=people.get(c.case_id, c.case_id)) for c in released.cases]
    )
    layout.DATASET_DESCRIPTION.write_text("mr_contrast: T1w\n")
    return released


def test_bids(of_mr: Any) -> None:
    hand_over(Path("out"), "bids")
    derived = "out/derivatives/voxledger"
    for case, name in (("case_1", "sub-p1/ses-case1/anat/sub-p1_ses-case1"), ("test_1", "sub-test1/anat/sub-test1")):
        assert np.array_equal(read(f"{derived}/{name}_dseg.nii.gz").array, of_mr.released(case))
        assert Path(f"out/{name}_T1w.nii.gz").read_bytes() == Path(f"data/images/{case}.nii.gz").read_bytes()
    assert "3\tlesion\t#" in Path(f"{derived}/dseg.tsv").read_text()
    assert "sub-test1\ttest\n" in Path("out/participants.tsv").read_text()


@pytest.mark.slow
def test_the_bids_validator_takes_it(of_mr: Any) -> None:
    """It finds a file that BIDS does not know, and nothing else."""
    hand_over(Path("out"), "bids")

    assert bids_errors(Path("out/derivatives/voxledger")) == []
    assert bids_errors(Path("out")) == []
    Path("out/sub-test1/anat/sub-test1_ct.nii.gz").write_bytes(b"")
    assert set(bids_errors(Path("out"))) == {"/sub-test1/anat/sub-test1_ct.nii.gz"}


@pytest.mark.parametrize(
    ("cases", "said", "refused"),
    [
        ({}, "", r"nobody said which one they have\n.*mr_contrast: T1w"),
        ({"modality": "CT"}, "mr_contrast: T1w\n", "case_2 is CT, for which BIDS has no name"),
        ({"patient": "case-1"}, "mr_contrast: T1w\n", "case-1, case_2 have one name|case-1, case_1 have one name"),
    ],
)
def test_what_bids_cannot_name_is_refused(of_mr: Any, cases: dict[str, str], said: str, refused: str) -> None:
    first, *others = (replace(c, modality="MR", patient=c.case_id) for c in of_mr.cases)
    write_cases(layout.CASES, [first, *(replace(c, **cases) for c in others[:1]), *others[1:]])
    layout.DATASET_DESCRIPTION.write_text(said)
    with pytest.raises(Misuse, match=refused):
        hand_over(Path("out"), "bids")
    assert not Path("out").exists()
