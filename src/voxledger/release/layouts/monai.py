"""A datalist of MONAI, `datalist.json`, with images and labels as NIfTI beside it.

`training` are the cases of the pool, `validation` those for calibration, `test` those of the test sets. MONAI reads it
with `load_decathlon_datalist`.
"""

from __future__ import annotations

import json
from pathlib import Path

from voxledger.records.cases import Split
from voxledger.release.handover import Released
from voxledger.release.layouts import nifti
from voxledger.textfile import replace_text

_PARTS = {"training": (Split.POOL,), "validation": (Split.CALIBRATION,), "test": (Split.TEST, Split.EXTERNAL)}


def write(released: Released, out: Path) -> None:
    """Copy images and labels, and list them.

    Examples
    --------
    >>> from voxledger.release.handover import example_files
    >>> example_files(write)
    ['datalist.json', 'images/case-7.nii.gz', 'labels/case-7.nii.gz']
    """
    nifti.write(released, out)
    parts = {
        part: [
            {"image": f"images/{case.case_id}.nii.gz", "label": f"labels/{case.case_id}.nii.gz"}
            for case in released.split(*splits)
        ]
        for part, splits in _PARTS.items()
    }
    described = {
        "name": released.dataset,
        "release": released.version,
        "labels": {"0": "background"} | {str(c.id): c.name for c in released.schema.classes},
        "numTraining": len(parts["training"]),
        **parts,
    }
    replace_text(out / "datalist.json", json.dumps(described, indent=1) + "\n")
