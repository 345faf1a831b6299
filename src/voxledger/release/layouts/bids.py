"""BIDS, for MR: images as the raw dataset, label maps as its derivatives in `derivatives/voxledger`.

An image is `sub-<patient>/anat/sub-<patient>_T1w.nii.gz` with the contrast that `dataset.yaml` says, its label map
`sub-<patient>/anat/sub-<patient>_dseg.nii.gz`, and `dseg.tsv` says what its numbers mean.

BIDS 1.10 has no name for CT images, so a release with any is refused. Names of patients and cases lose what BIDS does
not allow in them; a patient with several cases has a session for each.
"""

from __future__ import annotations

import json
from collections import Counter, defaultdict
from pathlib import Path
from typing import Any

from voxledger import __version__, layout
from voxledger.errors import Misuse
from voxledger.records.dataset_description import read_dataset_description
from voxledger.release.facts import PROVENANCE
from voxledger.release.handover import Released, ReleasedCase, copy
from voxledger.textfile import replace_text

_OURS = (PROVENANCE, "model_cards", "croissant.json", "datasheet.md", "ro-crate-metadata.json", layout.STATEMENT.name)
"""What lies beside it, and is not of BIDS."""


def write(released: Released, out: Path) -> None:
    """Copy images and label maps.

    Raises
    ------
    Misuse
        A case is no MR image, nobody said which contrast the images have, or two names are one without what BIDS does
        not allow in them.

    Examples
    --------
    >>> from voxledger.release.handover import example_files
    >>> example_files(write)
    Traceback (most recent call last):
        ...
    voxledger.errors.Misuse: case-7 is CT, for which BIDS has no name
      → use another format, such as nifti
    """
    contrast, derived = _contrast(released), out / "derivatives" / "voxledger"
    for case, name in _names(released):
        folder = Path(*name.split("_"), "anat")
        copy(case.image, out / folder / f"{name}_{contrast}.nii.gz")
        copy(case.labels, derived / folder / f"{name}_dseg.nii.gz")
    colors = released.schema.colors()
    rows = "".join(f"{c.id}\t{c.name}\t#{bytes(colors[c.name]).hex()}\n" for c in released.schema.classes)
    replace_text(derived / "dseg.tsv", f"index\tname\tcolor\n0\tbackground\t#000000\n{rows}")
    replace_text(out / ".bidsignore", "".join(f"/{name}\n" for name in _OURS))
    _participants(released, out)
    name = f"{released.dataset} {released.version}"
    described = {"Name": name, "BIDSVersion": "1.10.0", "DatasetType": "raw"}
    _write_json(out / "dataset_description.json", described)
    made = {"DatasetType": "derivative", "GeneratedBy": [{"Name": "voxledger", "Version": __version__}]}
    _write_json(derived / "dataset_description.json", described | made)


def _contrast(released: Released) -> str:
    for case in released.cases:
        if case.modality != "MR":
            raise Misuse(
                f"{case.case_id} is {case.modality}, for which BIDS has no name", "use another format, such as nifti"
            )
    contrast = read_dataset_description().mr_contrast
    if not contrast:
        raise Misuse(
            "BIDS names MR images by their contrast, and nobody said which one they have",
            f"say it in {layout.DATASET_DESCRIPTION}, such as `mr_contrast: T1w`",
        )
    return contrast


def _names(released: Released) -> list[tuple[ReleasedCase, str]]:
    """Every case with its name in BIDS, `sub-<patient>` or `sub-<patient>_ses-<case>`."""
    of_patient = Counter(case.patient for case in released.cases)
    patients, names = defaultdict[str, set[str]](set), defaultdict[str, set[str]](set)
    found = []
    for case in released.cases:
        name = subject = f"sub-{_plain(case.patient)}"
        if of_patient[case.patient] > 1:
            name += f"_ses-{_plain(case.case_id)}"
        patients[subject].add(case.patient)
        names[name].add(case.case_id)
        found.append((case, name))
    if one := next((ids for ids in (*patients.values(), *names.values()) if len(ids) > 1), None):
        raise Misuse(
            f"{', '.join(sorted(one))} have one name without the characters that BIDS does not allow",
            "use another format, such as nifti",
        )
    return found


def _plain(name: str) -> str:
    return "".join(c for c in name if c.isascii() and c.isalnum())


def _participants(released: Released, out: Path) -> None:
    """The split of every patient: patients are never on two sides."""
    split = {name.partition("_")[0]: case.split.value for case, name in _names(released)}
    rows = "".join(f"{subject}\t{split[subject]}\n" for subject in sorted(split))
    replace_text(out / "participants.tsv", f"participant_id\tsplit\n{rows}")
    levels = {
        "pool": "for training",
        "calibration": "for thresholds",
        "test": "for tests",
        "external": "of another site",
    }
    _write_json(out / "participants.json", {"split": {"Description": "What the cases are for", "Levels": levels}})


def _write_json(path: Path, values: dict[str, Any]) -> None:
    replace_text(path, json.dumps(values, indent=1) + "\n")
