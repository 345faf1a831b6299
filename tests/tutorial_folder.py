"""What docs/tutorial.md begins with, from hippocampi of the Medical Segmentation Decathlon (Task04).

    python tests/tutorial_folder.py HIPPOCAMPUS FOLDER

HIPPOCAMPUS holds `images/` and `labels/`. FOLDER gets `incoming/` (nine NIfTI files and three DICOM series), `masks/`
(labels of six of them), `reference/` (of all, for the reader that is played), `theirs/` (a model that nnU-Net trains on
six other cases, two folds of 60 steps) and `classes.yaml`.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import SimpleITK
import trained_by_nnunet as theirs
from dicom_files import write_series

CASES, LABELLED, SERIES = 12, 6, (9, 10, 11)
TAUGHT = slice(14, 20)


def make(hippocampus: Path, target: Path) -> None:
    """Write all of it; the target must not be there."""
    images = sorted((hippocampus / "images").glob("*.nii.gz"))
    for folder in ("incoming", "masks", "reference"):
        (target / folder).mkdir(parents=True)
    for number, image in enumerate(images[:CASES]):
        label = hippocampus / "labels" / image.name
        if number in SERIES:
            as_series(image, label, target)
            continue
        shutil.copyfile(image, target / "incoming" / image.name)
        shutil.copyfile(label, target / "reference" / image.name)
        if number < LABELLED:
            shutil.copyfile(label, target / "masks" / image.name)
    trained = theirs.train(target / "nnunet", images[TAUGHT], iterations=60)
    shutil.copytree(trained, target / "theirs")
    shutil.rmtree(target / "nnunet")
    (target / "classes.yaml").write_text("Anterior: anterior\nPosterior: posterior\n")


def as_series(image: Path, label: Path, target: Path) -> None:
    """An MR series in a folder named after the case, and its reference on the same voxels."""
    name = image.name.removesuffix(".nii.gz")
    turned, reference = (SimpleITK.DICOMOrient(SimpleITK.ReadImage(str(p)), "LPS") for p in (image, label))
    number = name.rpartition("_")[2]
    write_series(
        target / "incoming" / name,
        SimpleITK.GetArrayFromImage(turned).astype("int16"),
        turned.GetSpacing()[::-1],
        turned.GetOrigin(),
        Modality="MR",
        PatientID=f"MRN-5{number}1",
        SeriesInstanceUID=f"1.2.3.{number.lstrip('0')}",
    )
    SimpleITK.WriteImage(reference, str(target / "reference" / f"{name}.nii.gz"))


if __name__ == "__main__":
    make(Path(sys.argv[1]), Path(sys.argv[2]))
