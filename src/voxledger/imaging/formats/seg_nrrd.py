"""Segmentations of 3D Slicer: NRRD files of named segments, cropped to what they cover, in one layer or several.

Their name ends in `.seg.nrrd`, or their header has segments under any name. Numbers of voxels only say which segment
they are of: they are not those of classes.
"""

from __future__ import annotations

import gzip
import re
from pathlib import Path
from typing import IO, Any

import numpy as np
import numpy.typing as npt

from voxledger.disk import replace_bytes
from voxledger.errors import UnreadableImage
from voxledger.imaging import itk
from voxledger.imaging.boxes import bounding_box, label_boxes
from voxledger.imaging.format import Format, Origin
from voxledger.imaging.formats import nrrd
from voxledger.imaging.segments import NOWHERE, Segment, Segmentation, terms
from voxledger.imaging.unpack import HEADER_LIMIT
from voxledger.imaging.volume import Grid
from voxledger.schema import LabelClass, LabelSchema

PROBLEM = "is a 3D Slicer segmentation, and not an image"
REMEDY = "in 3D Slicer, Segmentations, Export to files"
MOST_SEGMENTS = 10_000

_TERM = re.compile(r"TerminologyEntry:([^|]*)")


def is_segmentation(path: Path) -> bool:
    """Whether a file is a segmentation of 3D Slicer, by its name, or by its header if it is a readable NRRD file.

    Examples
    --------
    >>> is_segmentation(Path("Segmentation.seg.nrrd"))
    True
    """
    if path.name.lower().endswith(".seg.nrrd"):
        return True
    if not path.name.lower().endswith(".nrrd") or not path.is_file():
        return False
    with open(path, "rb") as stream:
        return b"\nSegment0_" in stream.read(HEADER_LIMIT).partition(b"\n\n")[0]


def unpack(stream: IO[bytes], sink: IO[bytes], most: int) -> None:
    """Unpack a segmentation, which is NRRD."""
    nrrd.unpack(stream, sink, most)


def read_segments(path: Path, image: Grid) -> Segmentation:
    """The segments of a file that was unpacked, on the grid of the file.

    A file of before Slicer 4.11 has a layer a segment, without numbers of layers and values.

    Raises
    ------
    UnreadableImage
        It holds no segments, or fractions.
    """
    import SimpleITK as sitk

    try:
        read = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].removeprefix("ITK ERROR: ")
        raise UnreadableImage(f"{path} cannot be read: {reason}", REMEDY) from None
    fields = {key: read.GetMetaData(key) for key in read.GetMetaDataKeys()}
    numbers = sorted(int(m[1]) for key in fields if (m := re.fullmatch(r"Segment(\d{1,6})_(?:Name|ID)", key)))
    numbers = list(dict.fromkeys(numbers))
    kind = next((v for k, v in fields.items() if k.endswith(("SourceRepresentation", "MasterRepresentation"))), "")
    layers = sitk.GetArrayFromImage(read)
    layers = layers[..., np.newaxis] if layers.ndim == 3 else layers
    if not numbers or len(numbers) > MOST_SEGMENTS or layers.ndim != 4 or layers.dtype.kind not in "ui":
        raise UnreadableImage(f"{path} is not a segmentation that 3D Slicer wrote", REMEDY)
    if "fractional" in kind.lower():
        raise UnreadableImage(f"{path} is a fractional segmentation", "convert it to a binary labelmap in 3D Slicer")
    try:
        found = [_place(fields, number, index, layers.shape[3]) for index, number in enumerate(numbers)]
    except (KeyError, ValueError) as error:
        raise UnreadableImage(f"{path} is not a segmentation that 3D Slicer wrote: {error}", REMEDY) from None
    return Segmentation(itk.grid_of(read), tuple(_segments(found, layers, str(path))))


def _place(fields: dict[str, str], number: int, index: int, layers: int) -> tuple[str, str, int, int]:
    """Name, code, layer and value of a segment."""
    prefix = f"Segment{number}_"
    name = fields.get(f"{prefix}Name") or fields[f"{prefix}ID"]
    own_layer = f"{prefix}Layer" not in fields and layers > 1
    layer = index if own_layer else int(fields.get(f"{prefix}Layer", 0))
    term = _TERM.search(fields.get(f"{prefix}Tags", ""))
    entry = term[1] if term else fields.get(f"{prefix}TerminologyEntry", "")
    return name, snomed(entry), layer, int(fields.get(f"{prefix}LabelValue", 1))


def snomed(entry: str) -> str:
    """SNOMED CT code of a terminology entry of 3D Slicer; empty where it has none, or one that is modified further.

    Examples
    --------
    >>> snomed("General Anatomy list~SCT^123037004^Anatomical Structure~SCT^10200004^Liver~^^~~^^~^^")
    '10200004'
    >>> snomed("General Anatomy list~SCT^123037004^Anatomical Structure~SCT^64033007^Kidney~SCT^7771000^Left~~^^~^^")
    ''
    """
    parts = [part.split("^") for part in entry.split("~")]
    if len(parts) < 3 or len(parts[2]) < 2 or parts[2][0] != "SCT" or (len(parts) > 3 and any(parts[3])):
        return ""
    return parts[2][1]


def _segments(found: list[tuple[str, str, int, int]], layers: npt.NDArray[Any], what: str) -> list[Segment]:
    boxes = {}
    segments = []
    for name, code, layer, value in found:
        if not 0 <= layer < layers.shape[3] or value < 1:
            raise UnreadableImage(f"{what}: segment {name!r} lies in a layer that is not there", REMEDY)
        voxels = layers[..., layer]
        if layer not in boxes:
            boxes[layer] = label_boxes(voxels) if voxels.max(initial=0) <= MOST_SEGMENTS else {}
        box = boxes[layer].get(value, NOWHERE if boxes[layer] else bounding_box(voxels == value) or NOWHERE)
        segments.append(Segment(name, box, voxels[box] == value, code))
    return segments


def write_labels(path: Path, labels: npt.NDArray[Any], grid: Grid, schema: LabelSchema, origin: Origin) -> None:
    """Write a segment a class, in one layer: the number of a voxel is the id of its innermost class."""
    kinds = {1: "unsigned char", 2: "unsigned short"}
    labels = labels.astype(np.min_scalar_type(max(c.id for c in schema.classes)), copy=False)
    steps = np.reshape(grid.direction, (3, 3)) * np.array(grid.spacing[::-1])
    fields = [
        "NRRD0004",
        f"type: {kinds[labels.dtype.itemsize]}",
        "dimension: 3",
        "space: left-posterior-superior",
        f"sizes: {' '.join(str(n) for n in labels.shape[::-1])}",
        f"space directions: {' '.join(_vector(column) for column in steps.T)}",
        "kinds: domain domain domain",
        "endian: little",
        "encoding: gzip",
        f"space origin: {_vector(grid.origin)}",
        *(line for n, c in enumerate(schema.classes) for line in _described(n, c, schema, grid)),
        "Segmentation_ContainedRepresentationNames:=Binary labelmap|",
        "Segmentation_MasterRepresentation:=Binary labelmap",
        "Segmentation_ReferenceImageExtentOffset:=0 0 0",
    ]
    voxels = gzip.compress(labels.astype(labels.dtype.newbyteorder("<")).tobytes(), compresslevel=6, mtime=0)
    replace_bytes(path, "\n".join(fields).encode() + b"\n\n" + voxels)


def _described(number: int, one: LabelClass, schema: LabelSchema, grid: Grid) -> list[str]:
    """Lines of the header about a segment."""
    color = " ".join(f"{v / 255:.6f}" for v in schema.colors()[one.name])
    category, kind = terms(one)
    entry = f"voxledger~SCT^{category[0]}^{category[1]}~SCT^{kind[0]}^{kind[1]}~^^~voxledger~^^~^^"
    x, y, z = (n - 1 for n in grid.shape[::-1])
    fields = {
        "ID": one.name,
        "Name": one.name,
        "NameAutoGenerated": 0,
        "Color": color,
        "ColorAutoGenerated": 0,
        "LabelValue": one.id,
        "Layer": 0,
        "Extent": f"0 {x} 0 {y} 0 {z}",
        "Tags": f"TerminologyEntry:{entry}|",
    }
    return [f"Segment{number}_{key}:={value}" for key, value in fields.items()]


def _vector(values: Any) -> str:
    return "(" + ",".join(repr(float(v) + 0.0) for v in values) + ")"


FORMAT = Format(
    {".seg.nrrd": unpack},
    ".seg.nrrd",
    claims=is_segmentation,
    read_segments=read_segments,
    write_labels=write_labels,
    refused=(PROBLEM, f"{REMEDY}; save it as NIfTI, .nii.gz"),
)
