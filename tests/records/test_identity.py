"""What looks like identity is found before it is pushed, wherever it hides."""

from __future__ import annotations

import struct
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk
from dicom_files import AXIAL, header, save

from voxledger.errors import VoxledgerError
from voxledger.imaging.format import Origin
from voxledger.imaging.formats.dicom_seg import write_labels
from voxledger.imaging.volume import Grid, write
from voxledger.records.identity import require_no_identity, scan
from voxledger.schema import LabelClass, LabelSchema

GRID = Grid.plain((3, 4, 5))
VOXELS = np.arange(60, dtype=np.int16).reshape(GRID.shape)
SCHEMA = LabelSchema(name="one", classes=(LabelClass(id=1, name="organ"),))


def nifti(**words: bytes) -> Callable[[Path], None]:
    places = {"descrip": 148, "aux_file": 228, "db_name": 14}

    def make(folder: Path) -> None:
        write(folder / "a.nii", VOXELS, GRID)
        content = bytearray((folder / "a.nii").read_bytes())
        for name, text in words.items():
            content[places[name] : places[name] + len(text)] = text
        (folder / "a.nii").write_bytes(content)

    return make


def with_extension(folder: Path) -> None:
    write(folder / "a.nii", VOXELS, GRID)
    content = (folder / "a.nii").read_bytes()
    comment = b"Doe^Jane".ljust(24, b"\0")
    extension = b"\1\0\0\0" + struct.pack("<2i", 32, 6) + comment
    head = content[:108] + struct.pack("<f", 384) + content[112:348]
    (folder / "a.nii").write_bytes(head + extension + content[352:])


def nrrd(folder: Path) -> None:
    image = sitk.GetImageFromArray(VOXELS)
    image.SetMetaData("patient", "Doe^Jane")
    sitk.WriteImage(image, str(folder / "a.nrrd"))


def text(name: str, content: str) -> Callable[[Path], None]:
    return lambda folder: (folder / name).parent.mkdir(exist_ok=True) or (folder / name).write_text(content)


def excel(folder: Path) -> None:
    from openpyxl import Workbook

    book = Workbook()
    book.active.append(["case_id", "comment"])
    book.active.append(["case-1", "seen with jane.doe@example.org"])
    book.save(folder / "decisions.xlsx")


FOUND = {
    "a date in a name": (text("CT_20210304.txt", ""), "its name", "a date", "20210304"),
    "a known id in a name": (text("4711-0815_ct.txt", ""), "its name", "a known identity", "4711-0815"),
    "a known name in a table": (text("x.csv", "a,smithers\n"), "line 1", "a known identity", "smithers"),
    "NIfTI description": (nifti(descrip=b"Doe^Jane 1.2.3"), "its header (descrip)", "a person's name", "Doe^Jane"),
    "NIfTI file beside it": (nifti(aux_file=b"x 4711-0815"), "its header (aux_file)", "a known identity", "4711-0815"),
    "NIfTI extension": (with_extension, "its header (extensions)", "a person's name", "Doe^Jane"),
    "NRRD field": (nrrd, "its header", "a person's name", "Doe^Jane"),
    "CSV": (text("a.csv", "case_id\nx,born 24.12.1956\n"), "line 2", "a date", "24.12.1956"),
    "JSON": (
        text("a.json", '{"series": "1.2.840.113619.2.55.3.604688119"}'),
        "line 1",
        "a DICOM UID",
        "1.2.840.113619.2.55.3.604688119",
    ),
    "xlsx": (excel, "line 2", "an e-mail address", "jane.doe@example.org"),
}


KNOWN = ["4711-0815", "Smithers", "abc"]


@pytest.mark.parametrize("what", FOUND)
def test_identity_is_found_where_it_hides(tmp_path: Path, what: str) -> None:
    make, *expected = FOUND[what]
    make(tmp_path)
    assert [[s.where, s.what, s.text] for s in scan([tmp_path], KNOWN, [])] == [expected]
    assert scan([tmp_path], KNOWN, [str(expected[-1])]) == []


@pytest.mark.parametrize(
    "name", ["hippocampus_001", "BDMAP_00000001", "CT_Lesion_000001_02_01_008-023", "s0011", "abc-1", "v1.2.3"]
)
def test_names_of_public_datasets_are_no_identity(tmp_path: Path, name: str) -> None:
    write(tmp_path / f"{name}.nii.gz", VOXELS, GRID)
    (tmp_path / f"{name}.csv").write_text(f"case_id,sha256,ml\n{name},{'ab12' * 16},1202.1956\n")
    assert scan([tmp_path], KNOWN, []) == []


def test_headers_of_dicom_files(tmp_path: Path) -> None:
    write_labels(tmp_path / "ours.dcm", (VOXELS > 5).astype(np.uint8), GRID, SCHEMA, Origin("x"))
    assert scan([tmp_path], KNOWN, []) == []
    save(header(VOXELS[0], AXIAL, (1.0, 1.0), ImagePositionPatient=[0, 0, 0]), tmp_path / "theirs.dcm")
    found = {s.where for s in scan([tmp_path], KNOWN, [])}
    assert {"its header (PatientName)", "its header (PatientID)", "its header (StudyInstanceUID)"} <= found


def test_what_is_refused_says_how_to_go_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    (tmp_path / "a.csv").write_text("x,2021-03-04\n")
    require_no_identity([tmp_path / "none.csv"], "data", [], "export")
    require_no_identity([tmp_path / "a.csv"], "data", ["2021-03-04"], "export")
    with pytest.raises(VoxledgerError) as caught:
        require_no_identity([tmp_path / "a.csv"], "data", [], "export")
    assert "export refuses while 1 things look like the identity of a patient" in caught.value.problem
    assert "a.csv, line 1: '2021-03-04' looks like a date" in caught.value.problem
    assert "cases.not_identity" in caught.value.remedy
