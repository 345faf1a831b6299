"""`voxledger release`: a version for those who use it."""

from __future__ import annotations

from pathlib import Path

import click


@click.group()
def release() -> None:
    """Hand a version over in the formats that others use.

    \b
    Example:
      voxledger release export ../for-nnunet --format nnunet
    """


@release.command()
@click.argument("target", type=click.Path(path_type=Path))
@click.option(
    "--format",
    "name",
    default="nifti",
    show_default=True,
    help="nifti, seg_nrrd (3D Slicer), dicom_seg, rtstruct, nnunet, by_class (AbdomenAtlas, TotalSegmentator), monai, "
    "or a layout of another package.",
)
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    help="Folder of keys: DICOM SEG and RTSTRUCT then refer to the series that images were made from.",
)
def export(target: Path, name: str, keys: Path | None) -> None:
    """Write the labels of the version that lies in data/release, with their images, into the new folder TARGET.

    TARGET/provenance has the ledger, manifest and tables that say where each label came from. Of a version of before:
    `git checkout TAG && dvc checkout`, then this.

    \b
    Example:
      voxledger release export ../abdomen-1.0 --format by_class
    """
    from voxledger.release.handover import hand_over
    from voxledger.repository import require_root

    require_root()
    released = hand_over(target, name, keys)
    click.echo(f"{target}: {len(released.cases)} cases of {released.dataset} {released.version}, as {name}")
