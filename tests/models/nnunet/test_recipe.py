"""`recipe: nnunet` against nnU-Net driven by itself: plans, losses, probabilities."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from nnunet_itself import DATASET

from voxledger.imaging.volume import file_sha256, mask_sha256, read, read_label
from voxledger.knowledge import Knowledge
from voxledger.models.dataset import describe
from voxledger.models.nnunet.plan import nnunet_folders, plan
from voxledger.models.nnunet.stages import KEY
from voxledger.models.nnunet.train import train
from voxledger.models.process import quiet, seed_everything, single_thread
from voxledger.models.start import Start
from voxledger.models.training import Training, TrainingCase
from voxledger.params import ModelParams
from voxledger.records.card import PLANS, to_json
from voxledger.schema import LabelClass, LabelSchema

pytestmark = pytest.mark.slow

SCHEMA = LabelSchema(
    name="hippocampus", classes=(LabelClass(id=1, name="anterior"), LabelClass(id=2, name="posterior"))
)
STEPS = 20


class _Enough(Exception):
    pass


@dataclass(frozen=True, kw_only=True)
class Watched(Training):
    """A training that ends after some steps."""

    losses: list[float]

    @contextmanager
    def report(self, network: str = "") -> Iterator[Callable[[float], None]]:
        def step(loss: float) -> None:
            self.losses.append(loss)
            if len(self.losses) == STEPS:
                raise _Enough

        yield step


@pytest.fixture(scope="module")
def cohort(shared_data: Path) -> tuple[TrainingCase, ...]:
    """Eight hippocampi, all of whose classes people stand behind."""
    cases = []
    for image in sorted((shared_data / "hippocampus/images").glob("*.nii.gz"))[:8]:
        label = shared_data / "hippocampus/labels" / image.name
        grid = read(image).grid
        labels = read_label(label, grid)
        cases.append(
            TrainingCase(
                case_id=image.name.removesuffix(".nii.gz"),
                image=image,
                image_sha256=file_sha256(image),
                modality="MR",
                label=label,
                knowledge=dict.fromkeys(SCHEMA.names, Knowledge.TRUSTED),
                masks={name: mask_sha256(SCHEMA.mask(labels, name), grid) for name in SCHEMA.names},
            )
        )
    return tuple(cases)


def in_nnunets_form(cohort: tuple[TrainingCase, ...], folder: Path) -> dict[str, object]:
    """Write the cohort as nnU-Net wants it; returns its `dataset.json`."""
    dataset = describe(SCHEMA, ["MR"], len(cohort), ignore=False)
    raw = folder / "raw" / DATASET
    for case in cohort:
        for source, name in ((case.image, f"imagesTr/{case.case_id}_0000"), (case.label, f"labelsTr/{case.case_id}")):
            target = raw / f"{name}.nii.gz"
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
    (raw / "dataset.json").write_text(to_json(dataset))
    return dataset


def training(cohort: tuple[TrainingCase, ...], network: str, losses: list[float]) -> Watched:
    model = ModelParams(backend="nnunet", network=network, epochs=1)
    return Watched(
        name="nn",
        model=model,
        start=Start("full", model.budget()),
        cases=cohort,
        schema=SCHEMA,
        labels=SCHEMA,
        seed=0,
        device="cpu",
        losses=losses,
    )


def without(plans: dict[str, object], *keys: str) -> dict[str, object]:
    return {name: value for name, value in plans.items() if name not in keys}


@pytest.mark.parametrize("network", ["nnUNetPlans", "nnUNetResEncUNetMPlans"])
def test_plans_and_losses_are_nnunets_own(cohort: tuple[TrainingCase, ...], tmp_path: Path, network: str) -> None:
    dataset = in_nnunets_form(cohort, tmp_path / "itself")
    script = Path(__file__).parents[2] / "nnunet_itself.py"
    steps = STEPS if network == "nnUNetPlans" else 0
    subprocess.run([sys.executable, str(script), str(tmp_path / "itself"), network, str(steps)], check=True)
    theirs = json.loads((tmp_path / f"itself/preprocessed/{DATASET}/{network}.json").read_text())

    losses: list[float] = []
    ours = training(cohort, network, losses)
    if not steps:
        with nnunet_folders(tmp_path / "work"), quiet():
            assert without(plan(ours, dataset, tmp_path / "work"), KEY) == theirs
        return
    (tmp_path / "model").mkdir()
    seed_everything(0)
    with single_thread("cpu"), pytest.raises(_Enough):
        train(ours, tmp_path / "model")
    assert without(json.loads((tmp_path / "model" / PLANS).read_text()), KEY) == theirs
    assert losses == json.loads((tmp_path / "itself/losses.json").read_text())
