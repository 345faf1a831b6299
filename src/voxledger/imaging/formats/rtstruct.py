"""DICOM RT Structure Sets: named outlines, one polygon a slice, of which the voxels inside become a mask.

A voxel belongs to a structure where its centre lies inside an odd number of the polygons of its slice: so holes are
polygons, too. They are placed by their coordinates alone: instance UIDs, which de-identification strips or repeats, are
not needed. What is written here runs half-way between voxels inside and outside, and is read as it was, voxel by voxel.
"""

from __future__ import annotations

from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.errors import GridMismatch, UnreadableImage
from voxledger.imaging.dicom import library, object_class, read_dataset, slices_of, uid, unpack, write_dataset
from voxledger.imaging.format import Format, Origin
from voxledger.imaging.polygons import Points, fill, outlines
from voxledger.imaging.segments import Segment, Segmentation, terms
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema

CLASS = "1.2.840.10008.5.1.4.1.1.481.3"
IN_SLICE = 0.1
"""A polygon lies in a slice whose plane all its corners are so close to, as a share of the distance of slices."""
_REMEDY = "export it with the slices of the image, or as DICOM SEG or NIfTI"


def is_structure_set(path: Path) -> bool:
    """Whether a file is an RT Structure Set.

    Examples
    --------
    >>> is_structure_set(Path("nothing.dcm"))
    False
    """
    return object_class(path) == CLASS


def read_segments(path: Path, image: Grid) -> Segmentation:
    """The structures of a file, drawn on the grid of the image.

    Raises
    ------
    UnreadableImage
        It is damaged, or has structures that are no closed outlines.
    GridMismatch
        Outlines do not lie in slices of the image.
    Misuse
        pydicom is not installed.
    """
    dataset = read_dataset(path)
    try:
        names = {int(roi.ROINumber): str(roi.ROIName) for roi in dataset.StructureSetROISequence}
        codes = _codes(dataset)
        polygons = {
            int(item.ReferencedROINumber): _outlines(item, names.get(int(item.ReferencedROINumber), ""), path)
            for item in dataset.ROIContourSequence
        }
    except (AttributeError, ValueError, TypeError, KeyError, IndexError) as error:
        raise UnreadableImage(f"{path} cannot be read as RTSTRUCT: {error}", _REMEDY) from None
    segments = [
        Segment.of(name, _mask(polygons.get(number, []), image, f"{path}: {name}"), codes.get(number, ""))
        for number, name in names.items()
    ]
    return Segmentation(image, tuple(segments))


def _codes(dataset: Any) -> dict[int, str]:
    """SNOMED CT codes by number of the structure."""
    found = {}
    for item in dataset.get("RTROIObservationsSequence", ()):
        for code in item.get("RTROIIdentificationCodeSequence", ()):
            if code.CodingSchemeDesignator == "SCT":
                found[int(item.ReferencedROINumber)] = str(code.CodeValue)
    return found


def _outlines(item: Any, name: str, path: Path) -> list[Points]:
    """The closed polygons of a structure: points in LPS mm (x, y, z)."""
    found = []
    for contour in item.get("ContourSequence", ()):
        kind = str(contour.ContourGeometricType)
        if kind not in ("CLOSED_PLANAR", "CLOSEDPLANAR_XOR"):
            raise UnreadableImage(f"{path}: {name} has a contour that is {kind}, and no closed outline", _REMEDY)
        found.append(np.reshape(np.array(contour.ContourData, np.float64), (-1, 3)))
    return found


def _mask(polygons: list[Points], image: Grid, what: str) -> npt.NDArray[np.bool_]:
    """Draw polygons, slice by slice along the axis of the image that they are planar to."""
    mask = np.zeros(image.shape, np.bool_)
    if not polygons:
        return mask
    directions = np.reshape(image.direction, (3, 3))
    into = np.linalg.inv(directions * np.array(image.spacing[::-1]))
    by_slice: defaultdict[int, list[Points]] = defaultdict(list)
    voxels = [(points - image.origin) @ into.T for points in polygons]
    axis = max((2, 1, 0), key=lambda a: -max(float(np.ptp(v[:, a])) for v in voxels))
    for points in voxels:
        number = int(np.rint(points[:, axis].mean()))
        inside = 0 <= number < image.shape[2 - axis]
        if not inside or not np.abs(points[:, axis] - number).max() <= IN_SLICE:
            raise GridMismatch(f"{what} has outlines that do not lie in slices of the image", _REMEDY)
        by_slice[number].append(np.delete(points, axis, axis=1))
    slices = np.moveaxis(mask, 2 - axis, 0)
    for number, ours in by_slice.items():
        _require_inside(ours, slices.shape[1:], what)
        slices[number] = fill(ours, slices.shape[1:])
    return mask


def _require_inside(polygons: list[Points], shape: tuple[int, int], what: str) -> None:
    for points in polygons:
        if points.min() < -0.5 - IN_SLICE or (points.max(axis=0) > np.array(shape[::-1]) - 0.5 + IN_SLICE).any():
            raise GridMismatch(f"{what} has outlines outside of the image", _REMEDY)


def write_labels(path: Path, labels: npt.NDArray[Any], grid: Grid, schema: LabelSchema, origin: Origin) -> None:
    """Write the outlines of every class, of which inner classes are a part."""
    pydicom = library("pydicom")
    dataset = _empty(grid, origin, pydicom)
    directions = np.reshape(grid.direction, (3, 3)) * np.array(grid.spacing[::-1])
    colors = schema.colors()
    for c in schema.classes:
        roi, contours, said = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
        roi.ROINumber = contours.ReferencedROINumber = said.ReferencedROINumber = said.ObservationNumber = c.id
        roi.ReferencedFrameOfReferenceUID = dataset.FrameOfReferenceUID
        roi.ROIName, roi.ROIGenerationAlgorithm = c.name, "MANUAL"
        contours.ROIDisplayColor = list(colors[c.name])
        contours.ContourSequence = _contours(schema.mask(labels, c.name), grid.origin, directions, pydicom)
        said.RTROIInterpretedType, said.ROIInterpreter = "", ""
        _, (value, meaning) = terms(c)
        code = pydicom.Dataset()
        code.CodeValue, code.CodingSchemeDesignator, code.CodeMeaning = value, "SCT", meaning
        said.RTROIIdentificationCodeSequence = [code]
        dataset.StructureSetROISequence.append(roi)
        dataset.ROIContourSequence.append(contours)
        dataset.RTROIObservationsSequence.append(said)
    write_dataset(path, dataset)


def _contours(mask: npt.NDArray[np.bool_], origin: Any, directions: npt.NDArray[np.float64], pydicom: Any) -> list[Any]:
    found = []
    for z in np.flatnonzero(mask.any(axis=(1, 2))):
        for points in outlines(mask[z]):
            voxels = np.column_stack([points, np.full(len(points), z)])
            contour = pydicom.Dataset()
            contour.ContourGeometricType = "CLOSED_PLANAR"
            contour.NumberOfContourPoints = len(points)
            contour.ContourData = [f"{v:.10g}" for v in (voxels @ directions.T + origin).ravel()]
            found.append(contour)
    return found


def _empty(grid: Grid, origin: Origin, pydicom: Any) -> Any:
    """A structure set without structures."""
    first = slices_of(grid, origin)[0]
    dataset = pydicom.Dataset()
    dataset.file_meta = pydicom.dataset.FileMetaDataset()
    dataset.file_meta.TransferSyntaxUID = pydicom.uid.ExplicitVRLittleEndian
    dataset.file_meta.MediaStorageSOPClassUID = dataset.SOPClassUID = CLASS
    dataset.file_meta.MediaStorageSOPInstanceUID = dataset.SOPInstanceUID = uid(origin, "structure set")
    for name in ("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyDate", "StudyTime", "StudyID"):
        setattr(dataset, name, "")
    dataset.AccessionNumber = dataset.ReferringPhysicianName = ""
    dataset.StructureSetDate = dataset.StructureSetTime = ""
    dataset.StudyInstanceUID, dataset.FrameOfReferenceUID = first.StudyInstanceUID, first.FrameOfReferenceUID
    dataset.SeriesInstanceUID = uid(origin, "structure set series")
    dataset.SeriesNumber, dataset.Modality, dataset.Manufacturer = "301", "RTSTRUCT", "voxledger"
    dataset.StructureSetLabel = "LABELS"
    dataset.StructureSetROISequence, dataset.ROIContourSequence = [], []
    dataset.RTROIObservationsSequence = []
    dataset.ReferencedFrameOfReferenceSequence = [_referenced(grid, origin, pydicom)]
    return dataset


def _referenced(grid: Grid, origin: Origin, pydicom: Any) -> Any:
    """The series that the outlines were drawn on."""
    frame, study, series = pydicom.Dataset(), pydicom.Dataset(), pydicom.Dataset()
    slices = slices_of(grid, origin)
    series.SeriesInstanceUID, series.ContourImageSequence = slices[0].SeriesInstanceUID, []
    for one in slices:
        image = pydicom.Dataset()
        image.ReferencedSOPClassUID, image.ReferencedSOPInstanceUID = one.SOPClassUID, one.SOPInstanceUID
        series.ContourImageSequence.append(image)
    study.ReferencedSOPClassUID = "1.2.840.10008.3.1.2.3.1"
    study.ReferencedSOPInstanceUID = slices[0].StudyInstanceUID
    study.RTReferencedSeriesSequence = [series]
    frame.FrameOfReferenceUID, frame.RTReferencedStudySequence = slices[0].FrameOfReferenceUID, [study]
    return frame


FORMAT = Format(
    {".dcm": unpack},
    ".dcm",
    claims=is_structure_set,
    read_segments=read_segments,
    write_labels=write_labels,
    refused=("is an RT Structure Set, and not an image", "give the folder of the series that it was drawn on"),
)
