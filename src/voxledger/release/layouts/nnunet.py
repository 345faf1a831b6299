"""A raw dataset of nnU-Net: `imagesTr`, `labelsTr`, `dataset.json`; cases that no model may train on are in `imagesTs`.

nnU-Net wants ids from 1 up without a gap, so classes are numbered anew, in the order of `labels.yaml`.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np

from voxledger.imaging.volume import smallest_unsigned
from voxledger.imaging.volume import write as write_volume
from voxledger.records.cases import Split
from voxledger.release.handover import Released, copy
from voxledger.textfile import replace_text

_FOR_TRAINING = (Split.POOL, Split.CALIBRATION)


def write(released: Released, out: Path) -> None:
    """Write `Dataset001_<dataset>`; give it a number of your own where you have a Dataset001.

    Examples
    --------
    >>> from voxledger.release.handover import example_files
    >>> [name.removeprefix("Dataset001_abdomen/") for name in example_files(write)]
    ['dataset.json', 'imagesTr/case-7_0000.nii.gz', 'labelsTr/case-7.nii.gz']
    """
    dataset = out / f"Dataset001_{released.dataset}"
    numbers = {c.id: number for number, c in enumerate(released.schema.classes, start=1)}
    renumber = np.zeros(max(numbers) + 1, np.uint16)
    renumber[list(numbers)] = list(numbers.values())
    for case in released.cases:
        part = "Tr" if case.split in _FOR_TRAINING else "Ts"
        copy(case.image, dataset / f"images{part}" / f"{case.case_id}_0000.nii.gz")
        labels = case.read()
        target = dataset / f"labels{part}" / f"{case.case_id}.nii.gz"
        write_volume(target, smallest_unsigned(renumber[labels.array]), labels.grid)
    modality = sorted({case.modality for case in released.cases})
    described = {
        "channel_names": {"0": modality[0] if len(modality) == 1 else "image"},
        "labels": {"background": 0} | {c.name: numbers[c.id] for c in released.schema.classes},
        "numTraining": len(released.split(*_FOR_TRAINING)),
        "file_ending": ".nii.gz",
        "name": released.dataset,
        "release": released.version,
    }
    replace_text(dataset / "dataset.json", json.dumps(described, indent=1) + "\n")
