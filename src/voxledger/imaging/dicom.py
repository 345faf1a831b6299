"""DICOM files: what an object is, told without a library, and the library where it is needed."""

from __future__ import annotations

import io
import re
from pathlib import Path
from types import ModuleType
from typing import IO, Any

import numpy as np

from voxledger.disk import replace_bytes
from voxledger.errors import Misuse, UnreadableImage
from voxledger.imaging.dicom_whole import require_whole
from voxledger.imaging.format import Origin
from voxledger.imaging.unpack import CHUNK, copy
from voxledger.imaging.volume import Grid

_PREAMBLE = 128
_CLASS = re.compile(rb"\x02\x00\x02\x00UI..(1\.2\.840\.10008\.5\.1\.4\.1\.1\.[0-9.]+)", re.DOTALL)
_DEFLATED = b"1.2.840.10008.1.2.1.99"


def library(name: str) -> ModuleType:
    """Import pydicom or highdicom.

    Raises
    ------
    Misuse
        It is not installed.
    """
    from importlib import import_module

    try:
        return import_module(name)
    except ImportError:
        raise Misuse(f"{name} is not installed", "`pip install 'voxledger[dicom]'` reads and writes DICOM") from None


def is_dicom(path: Path) -> bool:
    """Whether a file begins as DICOM files do."""
    with open(path, "rb") as stream:
        return stream.read(_PREAMBLE + 4)[_PREAMBLE:] == b"DICM"


def object_class(path: Path) -> str:
    """UID of the class of a DICOM object (SOP class), from its meta header; empty where it is none."""
    if not path.is_file() or not is_dicom(path):
        return ""
    with open(path, "rb") as stream:
        found = _CLASS.search(stream.read(4096))
    return found[1].decode() if found else ""


def unpack(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    """Copy a DICOM file; one that is deflated as a whole is refused, as it says nowhere how much it unpacks to.

    Examples
    --------
    >>> from io import BytesIO
    >>> unpack(BytesIO(b"no image"), BytesIO(), 1000)
    Traceback (most recent call last):
        ...
    ValueError: it is not DICOM
    """
    head = stream.read(CHUNK)
    if head[_PREAMBLE : _PREAMBLE + 4] != b"DICM":
        raise ValueError("it is not DICOM")
    if _DEFLATED in head[:4096]:
        raise ValueError("it is deflated as a whole")
    sink.write(head)
    copy(stream, sink, max(most - len(head), 0))


def read_dataset(path: Path) -> Any:
    """The dataset of a DICOM file.

    Raises
    ------
    UnreadableImage
        It is damaged.
    """
    pydicom = library("pydicom")
    require_whole(path)
    try:
        return pydicom.dcmread(path)
    except Exception as error:  # whatever a damaged file makes of the parser
        raise UnreadableImage(f"{path} cannot be read: {error}", "export it again") from None


def uid(origin: Origin, what: str) -> str:
    """A UID that derives from what a label is of: the same every time."""
    found: str = library("pydicom").uid.generate_uid(entropy_srcs=[origin.name, what])
    return found


def slices_of(grid: Grid, origin: Origin) -> list[Any]:
    """Headers, without pixels or anything about a person, of the slices of an image that a label refers to."""
    pydicom = library("pydicom")
    source = origin.source
    directions = np.reshape(grid.direction, (3, 3))
    slices = []
    for z in range(grid.shape[0]):
        one = pydicom.Dataset()
        one.SOPClassUID = source.sop_class if source else pydicom.uid.CTImageStorage
        one.SOPInstanceUID = source.instances[z] if source else uid(origin, f"slice {z}")
        one.StudyInstanceUID = source.study if source else uid(origin, "study")
        one.SeriesInstanceUID = source.series if source else uid(origin, "series")
        one.FrameOfReferenceUID = source.frame_of_reference if source else uid(origin, "frame of reference")
        for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime"):
            setattr(one, name, "")
        one.StudyID = one.AccessionNumber = one.ReferringPhysicianName = ""
        one.Modality = "CT"
        one.Rows, one.Columns = grid.shape[1:]
        one.PixelSpacing = [grid.spacing[1], grid.spacing[2]]
        one.SliceThickness = one.SpacingBetweenSlices = grid.spacing[0]
        one.ImageOrientationPatient = [*directions[:, 0].tolist(), *directions[:, 1].tolist()]
        position = np.array(grid.origin) + z * grid.spacing[0] * directions[:, 2]
        one.ImagePositionPatient = [f"{v:.10g}" for v in position]
        slices.append(one)
    return slices


def write_dataset(path: Path, dataset: Any) -> None:
    """Write a DICOM file whose bytes depend on its content alone: it says of no moment that it was made then."""
    for name in ("InstanceCreationDate", "InstanceCreationTime", "TimezoneOffsetFromUTC"):
        if name in dataset:
            delattr(dataset, name)
    dataset.ContentDate, dataset.ContentTime = "19700101", "000000"
    stream = io.BytesIO()
    library("pydicom").dcmwrite(stream, dataset, enforce_file_format=True)
    replace_bytes(path, stream.getvalue())
