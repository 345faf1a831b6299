"""A DICOM series as a volume: where its slices lie is checked here, their voxels are read by ITK.

ITK averages uneven gaps and takes displaced slices without a word. So positions are taken from the headers, and a
series that is no regular volume is refused by name; see `problems_of`.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, MutableSequence, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.errors import UnreadableImage
from voxledger.imaging.dicom import library
from voxledger.imaging.dicom_whole import require_whole
from voxledger.imaging.volume import Grid, Volume

LEAST_SLICES = 4
"""Fewer make no volume: what lies between them, and whether one is missing, cannot be told."""
GAP_TOLERANCE_MM = 0.01
"""Two gaps between slices are equal below this difference, and below `GAP_TOLERANCE` of the gap."""
GAP_TOLERANCE = 0.01
DRIFT_TOLERANCE_MM = 0.05
"""Slices may lie so far beside the line along the normal: headers are decimal text."""
COSINE_TOLERANCE = 1e-4
"""Two orientations are equal below this difference of direction cosines (0.006 degrees)."""

_TAGS = (
    *("SOPClassUID", "SOPInstanceUID", "SeriesInstanceUID", "StudyInstanceUID", "FrameOfReferenceUID", "PatientID"),
    *("PatientName", "AccessionNumber", "PatientBirthDate", "ImageType", "BurnedInAnnotation", "Modality"),
    *("Rows", "Columns", "PixelSpacing", "ImagePositionPatient", "ImageOrientationPatient", "NumberOfFrames"),
    *("SamplesPerPixel", "RescaleSlope", "RescaleIntercept", "SharedFunctionalGroupsSequence"),
    *("PerFrameFunctionalGroupsSequence", "TemporalPositionIdentifier", "EchoNumbers", "AcquisitionNumber"),
)
TECHNICAL = (
    *("Modality", "Manufacturer", "ManufacturerModelName", "SliceThickness", "KVP", "XRayTubeCurrent", "Exposure"),
    *("ConvolutionKernel", "MagneticFieldStrength", "RepetitionTime", "EchoTime", "FlipAngle"),
)
"""Fields of a header that are kept, by their DICOM keyword; none says who, when or where."""

_GROUPS = {
    "PixelSpacing": "PixelMeasuresSequence",
    "ImagePositionPatient": "PlanePositionSequence",
    "ImageOrientationPatient": "PlaneOrientationSequence",
    "RescaleSlope": "PixelValueTransformationSequence",
    "RescaleIntercept": "PixelValueTransformationSequence",
}
"""In which functional group of a frame a field stands."""


@dataclass(frozen=True)
class Slice:
    """One slice, or frame, as its header has it."""

    path: Path
    frame: int
    """Number of the frame in a file of several; 0 otherwise."""
    instance: str
    """SOP Instance UID."""
    size: tuple[int, int]
    """Rows and columns."""
    spacing: tuple[float, float]
    """Distance of rows and of columns in mm."""
    position: tuple[float, float, float]
    """Centre of the first voxel (x, y, z) in LPS mm."""
    orientation: tuple[float, ...]
    """Direction cosines along a row, then along a column."""
    rescale: tuple[float, float]
    """Slope and intercept."""


@dataclass(frozen=True)
class Series:
    """One series: its slices in no order, and what its first header says."""

    uid: str
    slices: tuple[Slice, ...]
    header: Mapping[str, str]
    """Values of the first header by keyword, as text: those that identify, and those of `TECHNICAL`."""

    @property
    def files(self) -> tuple[Path, ...]:
        """Its files, each once, sorted."""
        return tuple(sorted({s.path for s in self.slices}))


def series_of(paths: Sequence[Path]) -> tuple[list[Series], list[str]]:
    """Sort DICOM files by series; and what is wrong with those that are no slices.

    Raises
    ------
    Misuse
        pydicom is not installed.
    """
    found: dict[str, list[Any]] = {}
    problems = []
    pydicom = library("pydicom")
    for path in sorted(paths):
        try:
            require_whole(path)
            header = pydicom.dcmread(path, stop_before_pixels=True, specific_tags=[*_TAGS, *TECHNICAL])
            read = header, _slices(header, path)
            found.setdefault(str(header.SeriesInstanceUID), []).append(read)
        except UnreadableImage as error:
            problems.append(error.problem)
        except Exception as error:  # whatever a damaged header makes of the parser
            problems.append(f"{path} is no slice of a volume: {error}")
    series = []
    for uid, files in found.items():
        said = {name: _text(files[0][0].get(name)) for name in (*_TAGS, *TECHNICAL)}
        series.append(Series(uid, tuple(s for _, slices in files for s in slices), said))
        problems += _stated(files, series[-1])
    return sorted(series, key=lambda s: s.uid), problems


def _text(value: Any) -> str:
    """A value of a header; several with `/` between them."""
    if isinstance(value, MutableSequence):
        return "/".join(map(str, value))
    return "" if value is None else str(value)


def _stated(files: Sequence[Any], series: Series) -> list[str]:
    """What headers say themselves that makes a series no volume."""
    problems, where = [], series.files[0].parent
    kinds = {str(kind).upper() for header, _ in files for kind in header.get("ImageType", ())}
    if "LOCALIZER" in kinds:
        problems.append(f"{where}: is a localizer, and no volume")
    if any(str(header.get("BurnedInAnnotation", "")).upper() == "YES" for header, _ in files):
        problems.append(f"{where}: its header says that text is burnt into the image, which may name the patient")
    if any(int(header.get("SamplesPerPixel", 1)) != 1 for header, _ in files):
        problems.append(f"{where}: is in colour, and no measurement")
    patients = {str(header.get("PatientID", "")) for header, _ in files}
    if len(patients) > 1:
        problems.append(f"{where}: one series of {len(patients)} patients")
    return problems


def _slices(header: Any, path: Path) -> list[Slice]:
    if "PerFrameFunctionalGroupsSequence" in header:
        shared = header.SharedFunctionalGroupsSequence[0]
        frames = enumerate(header.PerFrameFunctionalGroupsSequence)
        return [_slice(header, path, number, _Frame(frame, shared)) for number, frame in frames]
    if int(header.get("NumberOfFrames", 1) or 1) > 1:
        raise ValueError("it has several frames and does not say where they lie")
    return [_slice(header, path, 0, header)]


class _Frame:
    """Looks a value up in the functional groups of a frame, then in the shared ones."""

    def __init__(self, *groups: Any) -> None:
        self.groups = groups

    def get(self, name: str, default: Any = None) -> Any:
        for group in self.groups:
            if _GROUPS[name] in group:
                return group[_GROUPS[name]][0].get(name, default)
        return default


def _slice(header: Any, path: Path, frame: int, geometry: Any) -> Slice:
    def numbers(name: str, count: int) -> tuple[float, ...]:
        values = geometry.get(name)
        if values is None or len(values) != count or not np.isfinite([float(v) for v in values]).all():
            raise ValueError(f"its header has no {name}")
        return tuple(float(v) for v in values)

    row, column = numbers("PixelSpacing", 2)
    x, y, z = numbers("ImagePositionPatient", 3)
    slope, intercept = geometry.get("RescaleSlope"), geometry.get("RescaleIntercept")
    return Slice(
        path,
        frame,
        str(header.SOPInstanceUID),
        (int(header.Rows), int(header.Columns)),
        (row, column),
        (x, y, z),
        numbers("ImageOrientationPatient", 6),
        (float(1 if slope is None else slope), float(intercept or 0)),
    )


def problems_of(series: Series) -> list[str]:
    """Why the slices of a series are no regular volume, in words with numbers; nothing where they are one."""
    slices, problems = series.slices, []
    if len(slices) < LEAST_SLICES:
        problems.append(f"has {len(slices)} slices: fewer than {LEAST_SLICES} make no volume")
    for what, values in (
        ("sizes", [s.size for s in slices]),
        ("spacings", [s.spacing for s in slices]),
        ("rescale slopes or intercepts", [s.rescale for s in slices]),
    ):
        if len(set(values)) > 1:
            shown = ", ".join(f"{v} ({n} slices)" for v, n in Counter(values).most_common(3))
            problems.append(f"has slices of different {what}: {shown}")
    turned = [s for s in slices if np.abs(np.subtract(s.orientation, slices[0].orientation)).max() > COSINE_TOLERANCE]
    if turned:
        problems.append(f"has slices of different orientation: {len(turned)} of {len(slices)} differ from the first")
        return problems
    return problems + _along(series)


def _along(series: Series) -> list[str]:
    """What is wrong with positions of parallel slices: places taken twice, gaps, and drift beside the normal."""
    normal = _normal(series.slices[0])
    positions = np.array([s.position for s in series.slices])
    along = positions @ normal
    order = np.argsort(along)
    gaps = np.diff(along[order])
    again = int((gaps <= GAP_TOLERANCE_MM).sum())
    if again:
        per = len(along) / (len(along) - again)
        kind = f"as if it were {per:g} volumes, of several times or echoes" if per.is_integer() else "duplicates"
        return [f"has {again} slices where there is one already: {kind}"]
    problems = []
    usual = float(np.median(gaps)) if len(gaps) else 1.0
    least = float(gaps.min()) if len(gaps) else 1.0
    uneven = np.flatnonzero(np.abs(gaps - usual) > max(GAP_TOLERANCE_MM, GAP_TOLERANCE * usual))
    if len(uneven):
        missing = np.rint(gaps / least) - 1
        whole = np.abs(gaps - (missing + 1) * least).max() <= max(GAP_TOLERANCE_MM, GAP_TOLERANCE * least)
        kind = f"lacks {int(missing.sum())} slices" if whole else "has slices that are spaced unevenly"
        shown = ", ".join(sorted({f"{g:.4g}" for g in gaps.tolist()}, key=float)[:5])
        problems.append(f"{kind}: gaps between slices of {shown} mm")
    beside = positions - positions[order[0]] - np.outer(along - along[order[0]], normal)
    drift = float(np.linalg.norm(beside, axis=1).max())
    if drift > DRIFT_TOLERANCE_MM:
        problems.append(_drifting(beside[order], along[order] - along[order[0]], drift))
    return problems


def _drifting(beside: npt.NDArray[np.float64], along: npt.NDArray[np.float64], drift: float) -> str:
    """Slices that lie beside the normal: evenly, as of a tilted gantry, or not."""
    slope = (beside * along[:, None]).sum(axis=0) / (along**2).sum()
    rest = np.linalg.norm(beside - np.outer(along, slope), axis=1).max()
    if rest <= DRIFT_TOLERANCE_MM:
        angle = np.degrees(np.arctan(np.linalg.norm(slope)))
        return (
            f"was tilted by {angle:.1f} degrees, by its gantry: slices are displaced by up to {drift:.3g} mm in plane"
        )
    return f"has slices that are displaced by up to {drift:.3g} mm in plane"


def read_series(series: Series) -> Volume:
    """The volume of a series that has no `problems_of`; its slices are in the order of the normal.

    Raises
    ------
    UnreadableImage
        It has problems, or its voxels cannot be decoded.
    """
    where = series.files[0].parent
    if problems := problems_of(series):
        raise UnreadableImage(f"{where} {'; '.join(problems)}", "export the series again, whole")
    slices = ordered(series)
    array = _voxels(slices, where)
    first, last = slices[0], slices[-1]
    step = np.subtract(last.position, first.position) / (len(slices) - 1)
    gap = float(np.linalg.norm(step))
    row, column = np.reshape(first.orientation, (2, 3))
    directions = np.column_stack([row, column, step / gap])
    grid = Grid(
        (len(slices), *first.size), (gap, *first.spacing), first.position, tuple(float(v) for v in directions.ravel())
    )
    if array.shape != grid.shape:
        raise UnreadableImage(
            f"{where} has {array.shape} voxels (z, y, x), its headers say {grid.shape}", "export it again"
        )
    return Volume(array, grid)


def ordered(series: Series) -> list[Slice]:
    """The slices in the order of the normal of their plane."""
    normal = _normal(series.slices[0])
    return sorted(series.slices, key=lambda s: float(np.dot(s.position, normal)))


def _normal(one: Slice) -> npt.NDArray[np.float64]:
    row, column = np.reshape(one.orientation, (2, 3))
    return np.asarray(np.cross(row, column), np.float64)


def _voxels(slices: Sequence[Slice], where: Path) -> npt.NDArray[Any]:
    import SimpleITK as sitk

    files = list(dict.fromkeys(s.path for s in slices))
    try:
        if len(files) < len(slices):  # frames
            stacks = {path: sitk.GetArrayFromImage(sitk.ReadImage(str(path))) for path in files}
            return np.stack([stacks[s.path][s.frame] for s in slices])
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames([str(path) for path in files])
        return np.asarray(sitk.GetArrayFromImage(reader.Execute()))
    except (RuntimeError, IndexError) as error:
        reason = str(error).strip().splitlines()[-1]
        raise UnreadableImage(f"{where} cannot be decoded: {reason}", "export the series again") from None
