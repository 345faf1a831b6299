"""`voxledger release`: a version for those who use it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from voxledger.release.facts import Facts


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
    "bids (MR), or a layout of another package.",
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
    from voxledger.release.facts import read_facts
    from voxledger.release.handover import hand_over
    from voxledger.repository import require_root

    require_root()
    released = hand_over(target, name, keys)
    click.echo(f"{target}: {len(released.cases)} cases of {released.dataset} {released.version}, as {name}")
    _tell_if_open(read_facts())


@release.command()
@click.argument("name", required=False)
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def describe(name: str | None, as_json: bool) -> None:
    """Say what the release in data/release is described by, and what is still missing; or show the description NAME.

    While the round is open, that is what closing it now would say; a version is described where it is checked out.
    Names are citation, croissant, dataset_card, datasheet, model_cards, process_run_crate, statement. `round close`
    writes them into data/release, `release export` beside what it writes.

    \b
    Examples:
      voxledger release describe
      voxledger release describe croissant > croissant.json
    """
    from voxledger.registry import DESCRIPTIONS
    from voxledger.release.describe import described
    from voxledger.release.facts import read_facts
    from voxledger.repository import require_root

    require_root()
    facts = read_facts()
    _tell_if_open(facts)
    if name is not None:
        click.echo("".join(DESCRIPTIONS.get(name)(facts).values()), nl=False)
        return
    files, missing = sorted(map(str, described(facts))), facts.missing()
    if as_json:
        closed = facts.manifest is not None
        told = {"version": facts.version, "closed": closed, "files": files, "missing": missing}
        click.echo(json.dumps(told, indent=1))
        return
    click.echo(f"{facts.name} {facts.version}: {facts.summary}")
    for file in files:
        click.echo(f"file     {file}")
    for place, question in missing.items():
        click.echo(f"missing  {place}: {question}")


def _tell_if_open(facts: Facts) -> None:
    """Say, beside what is printed, that this is no version yet, and how one is got at."""
    from voxledger.repository import round_tag, tag_exists

    if not (told := facts.not_closed()):
        return
    tag = round_tag(facts.params.round - 1)
    before = f"; the version before is at `git checkout {tag} && dvc checkout`" if tag_exists(tag) else ""
    click.echo(f"note: {told}{before}", err=True)
