"""DICOM series come in as cases, without anything that says who is in them."""

from __future__ import annotations

import csv
import json
import re
import stat
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from dicom_files import IDENTITY, write_series

from voxledger import layout
from voxledger.cases.incoming import Incoming
from voxledger.cases.intake import add_cases
from voxledger.errors import CaseRefused, Misuse
from voxledger.imaging.volume import Grid, read, read_grid, read_label, write
from voxledger.params import CasesParams
from voxledger.records.acquisition import read_acquisitions
from voxledger.records.cases import read_cases
from voxledger.records.key_check import note_key
from voxledger.records.pseudonyms import Pseudonyms, open_pseudonyms, source_of
from voxledger.schema import LabelSchema

pytest.importorskip("pydicom")

SCHEMA = LabelSchema.model_validate({"name": "one", "classes": [{"id": 1, "name": "organ"}]})
PARAMS = CasesParams()
ARRAY = np.random.default_rng(0).integers(-1000, 1500, (6, 40, 48)).astype(np.int16)


@pytest.fixture
def pseudonyms(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Pseudonyms:
    return open_pseudonyms(tmp_path_factory.mktemp("elsewhere") / "keys", folder)


def add(pseudonyms: Pseudonyms, folder: str = "in", **more: Path) -> dict[str, str]:
    """Patients of the cases that were added."""
    cases = add_cases(Incoming(Path(folder), pseudonyms=pseudonyms, **more), SCHEMA, PARAMS).cases
    return {c.case_id: c.patient for c in cases}


def everything_here(folder: Path) -> bytes:
    return b"\n".join(str(p).encode() + (p.read_bytes() if p.is_file() else b"") for p in folder.rglob("*"))


def test_folders_name_cases_and_patients_are_grouped_by_a_pseudonym(folder: Path, pseudonyms: Pseudonyms) -> None:
    write_series(Path("in/liver-1"), ARRAY)
    write_series(Path("in/liver-2"), ARRAY + 1, SeriesInstanceUID="1.2.9")
    write_series(Path("in/liver-3"), ARRAY + 2, SeriesInstanceUID="1.2.10", PatientID="other")
    write_series(Path("in/liver-4"), ARRAY + 3, SeriesInstanceUID="1.2.11", PatientID="")
    patients = add(pseudonyms)
    assert list(patients) == ["liver-1", "liver-2", "liver-3", "liver-4"]
    assert patients["liver-1"] == patients["liver-2"] != patients["liver-3"]
    assert re.fullmatch("p-[0-9a-f]{12}", patients["liver-1"])
    assert patients["liver-4"] == "liver-4"
    assert np.array_equal(read("data/images/liver-1.nii.gz").array, ARRAY)
    assert {c.modality for c in read_cases()} == {"CT"}


def test_nothing_that_identifies_enters_the_repository(folder: Path, pseudonyms: Pseudonyms) -> None:
    source = folder.parent / "source"
    write_series(source / "Doe_Jane", ARRAY, StationName="CT-7", AccessionNumber="A99887")
    write_series(source / "A99887b", ARRAY + 1, AccessionNumber="A99887", SeriesInstanceUID="1.2.9")
    patients = add(pseudonyms, str(source))
    assert all(re.fullmatch("s-[0-9a-f]{12}", case_id) for case_id in patients)
    here = everything_here(folder)
    for word in (*IDENTITY.values(), "Jane", "A99887", "St. Elsewhere", "CT-7", "1.2.3.4", "1.2.9"):
        assert word.encode() not in here, word
    (row, _) = read_acquisitions()
    assert {k: v for k, v in row.values.items() if v} == {"modality": "CT", "manufacturer": "ACME", "kvp": "120"}


def test_key_and_table_are_elsewhere_and_private(folder: Path, pseudonyms: Pseudonyms) -> None:
    write_series(Path("in/a"), ARRAY)
    (patient,) = add(pseudonyms).values()
    with open(pseudonyms.folder / "identities.csv") as stream:
        rows = [tuple(row.values()) for row in csv.DictReader(stream)]
    assert (patient, "PatientID", IDENTITY["PatientID"]) in rows
    assert ("a", "SeriesInstanceUID", "1.2.3.4") in rows
    for path in (pseudonyms.folder, *pseudonyms.folder.rglob("*")):
        assert stat.S_IMODE(path.stat().st_mode) & 0o077 == 0, path
    source = source_of(pseudonyms.folder, "a")
    assert source is not None
    assert (source.study, source.series, len(source.instances)) == ("1.2.3", "1.2.3.4", 6)


def test_the_same_key_gives_the_same_pseudonyms_and_another_others(folder: Path, pseudonyms: Pseudonyms) -> None:
    again = open_pseudonyms(pseudonyms.folder, folder)
    assert again.of("patient", "x") == pseudonyms.of("patient", "x") != pseudonyms.of("series", "x")
    assert replace(pseudonyms, key=bytes(32)).of("patient", "x") != pseudonyms.of("patient", "x")


def test_keys_in_the_repository_or_open_to_others_are_refused(folder: Path, pseudonyms: Pseudonyms) -> None:
    with pytest.raises(Misuse, match="lies in the repository"):
        open_pseudonyms(folder / "keys", folder)
    (pseudonyms.folder / "key").chmod(0o644)
    with pytest.raises(Misuse, match="others may read"):
        open_pseudonyms(pseudonyms.folder, folder)


def test_a_key_that_is_in_use_is_not_made_anew(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """By another one nobody would be recognised who was withdrawn."""
    keys = tmp_path_factory.mktemp("elsewhere") / "keys"
    with pytest.raises(Misuse, match="withdrawn not be recognised"):
        open_pseudonyms(keys, folder, in_use=True)
    assert not keys.exists()
    made = open_pseudonyms(keys, folder)
    assert open_pseudonyms(keys, folder, in_use=True).key == made.key


def test_another_key_than_that_of_the_dataset_is_refused(folder: Path, pseudonyms: Pseudonyms) -> None:
    """By it the same person would get another pseudonym, and be on both sides of a split."""
    write_series(Path("in/a"), ARRAY)
    add(pseudonyms)
    noted = layout.KEY_CHECK.read_text()
    assert pseudonyms.key.hex() not in noted
    other = pseudonyms.folder.parent / "other"
    with pytest.raises(Misuse, match=r"other/key is not here, and by another key .*\n.*--keys"):
        open_pseudonyms(other, folder)
    assert not other.exists()

    layout.KEY_CHECK.unlink()  # as in repositories of before
    wrong = open_pseudonyms(other, folder)
    layout.KEY_CHECK.write_text(noted)
    with pytest.raises(Misuse, match=r"other/key is not the key of this dataset: data/key_check.json .*\n.*--keys"):
        open_pseudonyms(other, folder)
    assert open_pseudonyms(pseudonyms.folder, folder) == pseudonyms

    layout.KEY_CHECK.unlink()
    write_series(Path("in2/b"), ARRAY + 1, SeriesInstanceUID="1.2.9")
    add(pseudonyms, "in2")  # notes it at the next write
    assert layout.KEY_CHECK.read_text() == noted
    note_key(wrong.key)
    assert layout.KEY_CHECK.read_text() == noted


def test_several_series_in_one_folder_are_cases_of_their_own(folder: Path, pseudonyms: Pseudonyms) -> None:
    write_series(Path("in/study/arterial"), ARRAY)
    write_series(Path("in/study/venous"), ARRAY + 1, SeriesInstanceUID="1.2.9")
    write_series(Path("in"), ARRAY + 2, SeriesInstanceUID="1.2.10")
    patients = add(pseudonyms)
    assert len(patients) == 3
    assert all(case_id.startswith("s-") for case_id in patients)
    assert len(set(patients.values())) == 1


def test_images_and_series_come_together_with_labels(folder: Path, pseudonyms: Pseudonyms) -> None:
    write_series(Path("in/a"), ARRAY)
    write("in/b.nii.gz", ARRAY, read_grid_of_plain())
    label = (ARRAY > 0).astype(np.uint8)
    add(pseudonyms)
    image = read_grid("data/images/a.nii.gz")
    assert {c.case_id for c in read_cases()} == {"a", "b"}
    write_series(Path("more/c"), ARRAY + 1, SeriesInstanceUID="1.2.9")
    write("labels/c.nii.gz", label, image)
    add(pseudonyms, "more", labels=Path("labels"))
    assert np.array_equal(read_label("data/base/labels/c.nii.gz"), label)


def read_grid_of_plain() -> Grid:
    return Grid.plain(ARRAY.shape)


def test_all_or_none_with_every_reason(folder: Path, pseudonyms: Pseudonyms) -> None:
    write_series(Path("in/good"), ARRAY)
    write_series(Path("in/gap"), ARRAY, moved={5: (0, 0, 2.5)}, SeriesInstanceUID="1.2.9")
    write_series(Path("in/cut"), ARRAY, SeriesInstanceUID="1.2.10")[0].write_bytes(bytes(128) + b"DICM")
    with pytest.raises(CaseRefused) as caught:
        add(pseudonyms)
    assert "in/gap lacks 1 slices: gaps between slices of 2.5, 5 mm" in caught.value.problem
    assert "in/cut/IM000 is damaged or incomplete" in caught.value.problem
    assert read_cases() == []


def test_without_a_key_dicom_is_not_looked_for(folder: Path) -> None:
    write_series(Path("in/a"), ARRAY)
    with pytest.raises(Misuse, match="holds no image"):
        add_cases(Incoming(Path("in")), SCHEMA, PARAMS)


def test_again_after_an_interruption(folder: Path, pseudonyms: Pseudonyms) -> None:
    write_series(Path("in/a"), ARRAY)

    def killed() -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        add_cases(Incoming(Path("in"), pseudonyms=pseudonyms), SCHEMA, PARAMS, track=killed)
    assert list(add(pseudonyms)) == ["a"]
    assert json.dumps([c.case_id for c in read_cases()]) == '["a"]'
    assert [one.case_id for one in read_acquisitions()] == ["a"]
