"""Reading with ITK, for the formats that it knows."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from voxledger.errors import UnreadableImage
from voxledger.imaging.volume import Grid, Volume

EXPORT = "export it again: one file a volume, one value a voxel"


def read(path: Path) -> Volume:
    """Read a 3-D scalar image.

    Raises
    ------
    UnreadableImage
        The file is damaged, not 3-D, or has several values a voxel.
    """
    import SimpleITK as sitk

    try:
        image = sitk.ReadImage(str(path))
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1].removeprefix("ITK ERROR: ")
        raise UnreadableImage(f"{path} cannot be read: {reason}", EXPORT) from None
    if image.GetDimension() == 4 and image.GetSize()[3] == 1:
        image = image[:, :, :, 0]
    if image.GetDimension() != 3 or image.GetNumberOfComponentsPerPixel() != 1:
        raise UnreadableImage(
            f"{path} is not one 3-D volume: size {image.GetSize()}, "
            f"{image.GetNumberOfComponentsPerPixel()} value(s) a voxel",
            EXPORT,
        )
    return Volume(np.asarray(_Voxels(image)), grid_of(image))


class _Voxels:
    """The voxels of an image, which lives as long as an array made of them: what `GetArrayFromImage` copies."""

    def __init__(self, image: Any) -> None:
        import SimpleITK as sitk

        self.image = image
        view = sitk.GetArrayViewFromImage(image)
        self.__array_interface__ = view.__array_interface__ | {"data": (view.ctypes.data, False)}


def read_grid(path: Path) -> Grid:
    """Read the geometry alone; of a file of more than three dimensions, that of the first three.

    Raises
    ------
    UnreadableImage
        The file is missing, damaged, or has less than three dimensions.
    """
    import SimpleITK as sitk

    reader = sitk.ImageFileReader()
    reader.SetFileName(str(path))
    try:
        reader.ReadImageInformation()
    except RuntimeError as error:
        reason = str(error).strip().splitlines()[-1]
        raise UnreadableImage(f"{path} cannot be read: {reason}", EXPORT) from None
    if reader.GetDimension() < 3:
        raise UnreadableImage(f"{path} is not one 3-D volume: size {reader.GetSize()}", EXPORT)
    return grid_of(reader)


def grid_of(image: Any) -> Grid:
    """The grid of an image or of a reader; ITK counts axes from x."""
    size, spacing, origin = image.GetSize(), image.GetSpacing(), image.GetOrigin()
    cosines = np.reshape(image.GetDirection(), (image.GetDimension(), -1))[:3, :3]
    return Grid(
        (size[2], size[1], size[0]),
        (spacing[2], spacing[1], spacing[0]),
        (origin[0], origin[1], origin[2]),
        tuple(float(v) for v in cosines.ravel()),
    )
