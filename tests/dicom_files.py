"""DICOM series of slices, as scanners and archives leave them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

IDENTITY = {"PatientID": "4711-0815", "PatientName": "Doe^Jane", "PatientBirthDate": "19561224"}
STORED = {
    "plain": "1.2.840.10008.1.2.1",
    "implicit": "1.2.840.10008.1.2",
    "RLE": "1.2.840.10008.1.2.5",
    "JPEG-LS": "1.2.840.10008.1.2.4.80",
}
AXIAL = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0)


def header(array: np.ndarray, orientation: tuple[float, ...], spacing: tuple[float, float], **more: Any) -> Any:
    """A header and its pixels, of one slice (y, x) or of frames (z, y, x)."""
    import pydicom

    one = pydicom.Dataset()
    one.file_meta = pydicom.dataset.FileMetaDataset()
    one.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    one.SOPClassUID, one.SOPInstanceUID = pydicom.uid.CTImageStorage, pydicom.uid.generate_uid()
    one.StudyInstanceUID, one.SeriesInstanceUID, one.FrameOfReferenceUID = "1.2.3", "1.2.3.4", "1.2.3.5"
    one.Modality, one.Manufacturer, one.KVP = "CT", "ACME", "120"
    one.InstitutionName, one.StudyDescription = "St. Elsewhere", "Jane's abdomen"
    for name, value in IDENTITY.items():
        setattr(one, name, value)
    one.Rows, one.Columns = array.shape[-2:]
    one.SamplesPerPixel, one.PhotometricInterpretation = 1, "MONOCHROME2"
    one.BitsAllocated, one.BitsStored, one.HighBit, one.PixelRepresentation = 16, 16, 15, 1
    one.RescaleSlope, one.RescaleIntercept = 1, -1024
    one.PixelSpacing, one.ImageOrientationPatient = list(spacing), list(orientation)
    one.PixelData = (array + 1024).astype("<i2").tobytes()
    for name, value in more.items():
        setattr(one, name, value)
    one.file_meta.MediaStorageSOPClassUID, one.file_meta.MediaStorageSOPInstanceUID = (
        one.SOPClassUID,
        one.SOPInstanceUID,
    )
    return one


def save(one: Any, path: Path, stored: str = "plain") -> None:
    import pydicom

    if stored in ("RLE", "JPEG-LS"):
        one.compress(STORED[stored])
    elif stored == "implicit":
        one.file_meta.TransferSyntaxUID = pydicom.uid.ImplicitVRLittleEndian
    path.parent.mkdir(parents=True, exist_ok=True)
    pydicom.dcmwrite(path, one, enforce_file_format=True)


def write_series(
    folder: Path,
    array: np.ndarray,
    spacing: tuple[float, float, float] = (2.5, 0.8, 0.7),
    origin: tuple[float, float, float] = (-31.25, 12.5, 100.0),
    orientation: tuple[float, ...] = AXIAL,
    stored: str = "plain",
    moved: dict[int, tuple[float, float, float]] | None = None,
    **more: Any,
) -> list[Path]:
    """A file a slice of an array (z, y, x), named in no order; `moved` displaces slices by mm."""
    normal = np.cross(orientation[:3], orientation[3:])
    paths = []
    for z, pixels in enumerate(array):
        position = np.array(origin) + normal * spacing[0] * z + (moved or {}).get(z, (0.0, 0.0, 0.0))
        one = header(pixels, orientation, spacing[1:], ImagePositionPatient=[f"{v:.6f}" for v in position], **more)
        paths.append(folder / f"IM{(z * 7) % 100:03d}")
        save(one, paths[-1], stored)
    return paths


def write_multiframe(path: Path, array: np.ndarray, order: list[int]) -> None:
    """One file of frames in an order, whose functional groups say where each lies; spacing 2.5, 0.8, 0.7 mm."""
    import pydicom

    one = header(array[order], AXIAL, (0.8, 0.7))
    for name in ("PixelSpacing", "ImageOrientationPatient", "RescaleSlope", "RescaleIntercept"):
        delattr(one, name)
    one.SOPClassUID = one.file_meta.MediaStorageSOPClassUID = pydicom.uid.EnhancedCTImageStorage
    one.NumberOfFrames = len(array)
    groups = {
        "PixelMeasuresSequence": {"PixelSpacing": [0.8, 0.7], "SliceThickness": 2.5},
        "PlaneOrientationSequence": {"ImageOrientationPatient": list(AXIAL)},
        "PixelValueTransformationSequence": {"RescaleSlope": 1, "RescaleIntercept": -1024, "RescaleType": "HU"},
    }
    one.SharedFunctionalGroupsSequence = [group(groups)]
    one.PerFrameFunctionalGroupsSequence = [
        group({"PlanePositionSequence": {"ImagePositionPatient": [-31.25, 12.5, 100.0 + 2.5 * z]}}) for z in order
    ]
    save(one, path)


def group(values: dict[str, dict[str, Any]]) -> Any:
    import pydicom

    found = pydicom.Dataset()
    for name, fields in values.items():
        inner = pydicom.Dataset()
        for field, value in fields.items():
            setattr(inner, field, value)
        setattr(found, name, [inner])
    return found
