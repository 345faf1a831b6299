"""Whether label files still hold the masks that the ledger names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxledger.casemap import Task, casemap, key_of
from voxledger.errors import VoxledgerError
from voxledger.imaging.volume import file_sha256, mask_sha256, read_grid, read_label
from voxledger.params import MachineParams
from voxledger.records.cases import Case, require_image
from voxledger.records.ledger import Ledger
from voxledger.schema import LabelSchema

ALGORITHM_VERSION = 1


def differing_masks(schema: LabelSchema, image: Path | str, label: Path | str, hashes: Mapping[str, str]) -> list[str]:
    """Classes whose mask in a label file is not the one named, in the order given.

    A label that is not there is empty: older versions wrote none for a case in which every mask was.

    Parameters
    ----------
    hashes
        SHA-256 of the mask by class, as `volume.mask_sha256` gives it on the grid of the image.
    """
    grid = read_grid(image)
    labels = read_label(label, grid) if Path(label).is_file() else np.zeros(grid.shape, np.uint8)
    return [n for n, digest in hashes.items() if mask_sha256(schema.mask(labels, n), grid) != digest]


def require_masks(
    cases: Sequence[Case], schema: LabelSchema, ledger: Ledger, labels: Path, out: Path, machine: MachineParams
) -> None:
    """Raise `VoxledgerError` naming case and class if a label is not what the ledger says; remembered case by case.

    A class that got another id, or two classes that swapped names in labels.yaml, show here.
    """
    tasks = []
    for case in cases:
        hashes = {name: e.mask_sha256 for (case_id, name), e in ledger.items() if case_id == case.case_id}
        if hashes:
            label = labels / f"{case.case_id}.nii.gz"
            payload = {"image": case.image, "image_sha256": case.sha256, "label": str(label), "hashes": hashes}
            payload |= {"schema": schema.model_dump(mode="json")}
            label_sha256 = file_sha256(label) if label.is_file() else ""
            key = key_of("masks", ALGORITHM_VERSION, label_sha256=label_sha256, **payload)
            tasks.append(Task(case.case_id, key, payload))
    infos = casemap("masks", _check_case, tasks, out, workers=machine.worker_count)
    wrong = [
        f"case {t.case_id}: {', '.join(i['differing'])}" for t, i in zip(tasks, infos, strict=True) if i["differing"]
    ]
    if wrong:
        shown = "; ".join(wrong[:5]) + (f"; and {len(wrong) - 5} more cases" if len(wrong) > 5 else "")
        raise VoxledgerError(
            f"labels in {labels} are not the masks that the ledger names ({shown})",
            "if labels.yaml was edited, give every class the id and name it had, and rename or take out classes with "
            "`voxledger schema`; otherwise `dvc checkout` the labels",
        )


def _check_case(payload: dict[str, Any], folder: Path) -> dict[str, Any]:
    require_image(payload["image"], payload["image_sha256"])
    schema = LabelSchema.model_validate(payload["schema"])
    return {"differing": differing_masks(schema, payload["image"], payload["label"], payload["hashes"])}
