"""DICOM Segmentation objects, of the types BINARY and LABELMAP: named segments, with codes, placed by geometry."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

import voxledger
from voxledger.errors import UnreadableImage
from voxledger.imaging.boxes import label_boxes
from voxledger.imaging.dicom import library, object_class, slices_of, uid, unpack, write_dataset
from voxledger.imaging.dicom_whole import require_whole
from voxledger.imaging.format import Format, Origin
from voxledger.imaging.segments import NOWHERE, Segment, Segmentation, terms
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelSchema

CLASSES = ("1.2.840.10008.5.1.4.1.1.66.4", "1.2.840.10008.5.1.4.1.1.66.7")
"""SOP classes of segmentations, and of segmentations as label maps."""
_REMEDY = "export it again as DICOM SEG, or save it as NIfTI, .nii.gz"


def is_segmentation(path: Path) -> bool:
    """Whether a file is a DICOM Segmentation.

    Examples
    --------
    >>> is_segmentation(Path("nothing.dcm"))
    False
    """
    return object_class(path) in CLASSES


def read_segments(path: Path, image: Grid) -> Segmentation:
    """The segments of a file, on the grid of its frames.

    Raises
    ------
    UnreadableImage
        It is damaged, fractional, or its frames are no regular volume.
    Misuse
        highdicom is not installed.
    """
    highdicom = library("highdicom")
    require_whole(path)
    try:
        seg = highdicom.seg.segread(path)
        if seg.segmentation_type.value == "FRACTIONAL":
            raise UnreadableImage(f"{path} is a fractional segmentation", "save a binary one")
        return _read(seg)
    except UnreadableImage:
        raise
    except Exception as error:  # whatever a damaged file makes of the parser
        raise UnreadableImage(f"{path} cannot be read as DICOM SEG: {error}", _REMEDY) from None


def _read(seg: Any) -> Segmentation:
    try:
        # `number_of_segments` counts wrong in label maps: the sequence is what there is.
        volume = seg.get_volume(combine_segments=True)
        boxes = label_boxes(volume.array)
    except RuntimeError:  # segments overlap: one by one
        volume, boxes = None, {}
    segments = []
    for item in seg.SegmentSequence:
        number, name, code = int(item.SegmentNumber), str(item.SegmentLabel), _snomed(item)
        if number == 0:
            continue
        if boxes or volume is not None:
            box = boxes.get(number, NOWHERE)
            segments.append(Segment(name, box, volume.array[box] == number, code))
        else:
            one = seg.get_volume(segment_numbers=[number])
            segments.append(Segment.of(name, one.array[..., 0], code))
    return Segmentation(_grid(volume if volume is not None else one), tuple(segments))


def _snomed(item: Any) -> str:
    """SNOMED CT code of a segment; empty where it has none, or one that is modified further."""
    if "SegmentedPropertyTypeCodeSequence" not in item:
        return ""
    kind = item.SegmentedPropertyTypeCodeSequence[0]
    modified = "SegmentedPropertyTypeModifierCodeSequence" in kind
    return str(kind.CodeValue) if kind.CodingSchemeDesignator == "SCT" and not modified else ""


def _grid(volume: Any) -> Grid:
    """highdicom's affine leads from (slice, row, column) to LPS."""
    steps = volume.affine[:3, :3]
    z, y, x = (float(v) for v in np.linalg.norm(steps, axis=0))
    directions = (steps / (z, y, x))[:, ::-1]
    a, b, c = volume.shape[:3]
    origin = (float(volume.affine[0, 3]), float(volume.affine[1, 3]), float(volume.affine[2, 3]))
    return Grid((a, b, c), (z, y, x), origin, tuple(float(v) for v in directions.ravel()))


def write_labels(path: Path, labels: npt.NDArray[Any], grid: Grid, schema: LabelSchema, origin: Origin) -> None:
    """Write a label map segmentation: a segment a class, whose number is the id of the class.

    Without a known source it refers to a series that is nowhere, with UIDs that derive from the name of the case.
    """
    highdicom = library("highdicom")
    content = highdicom.seg
    codes = [terms(c) for c in schema.classes]
    colors = schema.colors()
    described = [
        content.SegmentDescription(
            segment_number=c.id,
            segment_label=c.name,
            segmented_property_category=highdicom.sr.CodedConcept(category[0], "SCT", category[1]),
            segmented_property_type=highdicom.sr.CodedConcept(kind[0], "SCT", kind[1]),
            algorithm_type="MANUAL",
            display_color=highdicom.color.CIELabColor.from_rgb(*colors[c.name]),
        )
        for c, (category, kind) in zip(schema.classes, codes, strict=True)
    ]
    seg = content.Segmentation(
        source_images=slices_of(grid, origin),
        pixel_array=labels.astype(np.min_scalar_type(max(c.id for c in schema.classes))),
        segmentation_type="LABELMAP",
        segment_descriptions=described,
        series_instance_uid=uid(origin, "segmentation series"),
        series_number=300,
        sop_instance_uid=uid(origin, "segmentation"),
        instance_number=1,
        manufacturer="voxledger",
        manufacturer_model_name="voxledger",
        software_versions=voxledger.__version__,
        device_serial_number="0",
        content_label="LABELS",
        omit_empty_frames=False,
        transfer_syntax_uid="1.2.840.10008.1.2.5",
    )
    for item in seg.get("ContributingEquipmentSequence", ()):
        item.pop("ContributionDateTime", None)
    organization = uid(origin, "dimensions")
    for item in (*seg.DimensionOrganizationSequence, *seg.DimensionIndexSequence):
        item.DimensionOrganizationUID = organization
    write_dataset(path, seg)


FORMAT = Format(
    {".dcm": unpack},
    ".dcm",
    claims=is_segmentation,
    read_segments=read_segments,
    write_labels=write_labels,
    refused=("is a DICOM SEG, and not an image", "give the folder of the series that it was drawn on"),
)
