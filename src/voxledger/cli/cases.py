"""`voxledger cases`: register images and labels, list them, make example cases."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING

import click

from voxledger import layout
from voxledger.cli.phantom import phantom

if TYPE_CHECKING:
    from voxledger.records.pseudonyms import Pseudonyms


@click.group()
def cases() -> None:
    """Register images and labels; make example cases."""


cases.add_command(phantom)


@cases.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--labels", type=click.Path(path_type=Path), help="Label maps, named like their images.")
@click.option(
    "--weak",
    type=click.Path(path_type=Path),
    help="Weak labels: a folder of slice masks and of marks as JSON, named alike; or DL_info.csv, or a COCO file.",
)
@click.option("--weak-class", default="", help="Class of weak labels that do not name their own, as in DL_info.csv.")
@click.option(
    "--patients",
    type=click.Path(path_type=Path),
    help="Table of case_id and patient (a pseudonym), where several cases show one person; by default none do.",
)
@click.option("--source", default="unspecified", help="Where the images come from.")
@click.option("--licence", default="unspecified", help="Their licence, as an SPDX id.")
@click.option(
    "--split",
    type=click.Choice(["pool", "calibration", "test", "external"]),
    help=f"Split of all these cases; by default labelled ones are dealt out by {layout.PARAMS}, others go to the pool.",
)
@click.option("--modality", type=click.Choice(["CT", "MR"]), help="By default told from the darkest voxel.")
@click.option("--classes", help="Classes that the label maps cover, with commas; by default all.")
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    help="Folder outside of the repository for the key of pseudonyms of DICOM series, and whom they stand for; by "
    "default ~/.voxledger/keys/DATASET.",
)
def add(
    folder: Path,
    labels: Path | None,
    weak: Path | None,
    weak_class: str,
    patients: Path | None,
    source: str,
    licence: str,
    split: str | None,
    modality: str | None,
    classes: str | None,
    keys: Path | None,
) -> None:
    """Register every image of FOLDER (NIfTI, NRRD, MHA, … or DICOM series), with its label if there is one.

    Images are copied without header text. Nothing is added if any file is refused. A subfolder with one DICOM series
    gives its case the name, unless that names the patient; other series, and all patients, get pseudonyms.

    \b
    Example:
      voxledger cases add scans --labels masks --source our-hospital --licence CC-BY-4.0
    """
    from voxledger.cases.incoming import Incoming
    from voxledger.cases.intake import add_cases
    from voxledger.params import read_params
    from voxledger.records.cases import Split, read_cases
    from voxledger.records.sent import require_no_bundles
    from voxledger.release.state import require_open
    from voxledger.repository import require_root
    from voxledger.schema import read_schema

    root, params = require_root(), read_params()
    require_open(params)
    require_no_bundles(params, "new cases would change the worklist, and what comes back would no longer fit")

    pseudonyms, unchecked = _pseudonyms(folder, keys, params.dataset, root)
    before = {c.patient for c in read_cases()}
    incoming = Incoming(
        folder,
        labels=labels,
        weak=weak,
        weak_class=weak_class,
        patients=patients,
        source=source,
        licence=licence,
        split=Split(split) if split else None,
        modality=modality,
        classes=tuple(classes.split(",")) if classes else None,
        pseudonyms=pseudonyms,
    )
    schema, machine = read_schema(layout.SCHEMA), params.machine
    added = add_cases(incoming, schema, params.cases, version=params.round, machine=machine, track=_track)
    came_again = patients is None and any(c.patient != c.case_id and c.patient in before for c in added.cases)
    if pseudonyms is not None and unchecked and not came_again:
        _say_unchecked(pseudonyms)
    for name in Split:
        if chosen := [c for c in added.cases if c.split is name]:
            click.echo(f"{name.value:12} {len(chosen):5} cases, {chosen[0].case_id} … {chosen[-1].case_id}")
    said = f"labelled{f', for {classes} alone' * bool(classes and added.labelled)}, {added.marked} with weak labels"
    click.echo(f"added {len(added.cases)} cases, {added.labelled} of them {said}. Next: voxledger round run")


def _track() -> None:
    """Put what was added under version control."""
    from voxledger.repository import dvc_add, git

    dvc_add(layout.IMAGES, layout.BASE_LABELS, layout.WEAK)
    noted = [path for path in (layout.ACQUISITION, layout.KEY_CHECK) if path.is_file()]
    git("add", layout.CASES, layout.BASE_LEDGER, *noted)


def _pseudonyms(folder: Path, keys: Path | None, dataset: str, root: Path) -> tuple[Pseudonyms | None, bool]:
    """What tells patients of DICOM series apart, and those that were withdrawn; None where there are neither."""
    from voxledger.cases.incoming import has_dicom

    if not (layout.WITHDRAWN.is_file() or has_dicom(folder)):
        return None, False
    return _key(keys, dataset, root)


def _key(keys: Path | None, dataset: str, root: Path) -> tuple[Pseudonyms, bool]:
    """The key of a dataset, and whether nothing tells that it is the one by which somebody got a pseudonym before.

    Alone cases of DICOM have acquisitions.
    """
    from voxledger.records.key_check import read_key_check
    from voxledger.records.pseudonyms import default_folder, open_pseudonyms
    from voxledger.release.known_key import is_known

    in_use = layout.WITHDRAWN.is_file() or layout.ACQUISITION.is_file()
    key = open_pseudonyms(keys or default_folder(dataset), root, in_use=in_use)
    return key, in_use and read_key_check(root) is None and not is_known(key)


def _say_unchecked(key: Pseudonyms) -> None:
    path = key.folder / "key"
    click.echo(
        f"warning: {layout.KEY_CHECK} was made by {path}, unchecked: nothing here tells whether that is the key by "
        "which earlier cases got their pseudonyms\n"
        f"  → compare `sha256sum {path}` with that of whoever added them; if it differs, take this command back before "
        "anything is pushed, and name the right folder with --keys",
        err=True,
    )


@cases.command("withdraw")
@click.argument("patient")
@click.option("--reason", required=True, help="Why; it is published, so name nobody, and no date.")
@click.option(
    "--keys",
    type=click.Path(path_type=Path),
    help="Folder outside of the repository for the key of hashes of patients; by default ~/.voxledger/keys/DATASET.",
)
def withdraw(patient: str, reason: str, keys: Path | None) -> None:
    """Take all cases of PATIENT (a pseudonym in data/cases.csv) out of the next version; commits that.

    data/withdrawn.csv keeps a keyed hash, when, by whom and why. Older versions stay as they are until
    `voxledger withdraw purge`.

    \b
    Example:
      voxledger cases withdraw p-0123456789ab --reason "consent withdrawn"
    """
    from voxledger.params import read_params
    from voxledger.release.withdraw import withdraw as take_out
    from voxledger.repository import require_root
    from voxledger.review.receive import remove_leftovers

    root = require_root()
    remove_leftovers(layout.INBOX)
    key, unchecked = _key(keys, read_params().dataset, root)
    done = take_out(patient, reason, key)
    if unchecked:
        _say_unchecked(key)
    row = done.row
    click.echo(f"withdrawn as {row.patient}: {len(row.cases)} cases; {len(row.returns)} returns were cut")
    for model in row.models:
        click.echo(f"learned from the patient: model {model}")
    for path in done.named:
        click.echo(f"still names the patient: {path}")
    click.echo("Next: voxledger withdraw purge --dry-run, for older versions; then voxledger round run")


@cases.command("scan-phi")
@click.option("--keys", type=click.Path(path_type=Path), help="Folder of keys, whose identities nothing may hold.")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def scan_phi(keys: Path | None, as_json: bool) -> None:
    """List what looks like the identity of a patient in what is about to be pushed or sent. Exit code 1 if anything.

    Looks at names of files, headers, tables and JSON; `export` and `round close` refuse while there is any. Not at text
    that is burnt into images.

    \b
    Example:
      voxledger cases scan-phi
    """
    import sys

    from voxledger.params import read_params
    from voxledger.records.identity import LOOKED_AT, NOT_COVERED, scan
    from voxledger.records.pseudonyms import default_folder, known_identities
    from voxledger.repository import require_root

    require_root()
    params = read_params()
    found = scan(LOOKED_AT, known_identities(keys or default_folder(params.dataset)), params.cases.not_identity)
    if as_json:
        click.echo(json.dumps([{**asdict(one), "path": one.path.as_posix()} for one in found], indent=1))
    else:
        for one in found:
            click.echo(str(one))
        click.echo(f"{len(found)} findings; {NOT_COVERED}")
    sys.exit(1 if found else 0)


@cases.command("list")
@click.option("--json", "as_json", is_flag=True, help="For programs.")
def list_(as_json: bool) -> None:
    """List the registered cases.

    \b
    Example:
      voxledger cases list
    """
    from voxledger.records.cases import read_cases
    from voxledger.repository import require_root

    require_root()
    found = read_cases()
    if as_json:
        click.echo(json.dumps([asdict(c) for c in found], indent=1))
        return
    for case in found:
        click.echo(f"{case.case_id:32} {case.split.value:12} {case.modality:4} {case.source}")
    patients = len({case.patient for case in found})
    click.echo(f"{len(found)} cases" + (f" of {patients} patients" if patients < len(found) else ""))
