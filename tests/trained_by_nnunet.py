"""A results folder that nnU-Net itself planned, preprocessed and trained: two folds of a small network, one epoch."""

from __future__ import annotations

import json
import os
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import Any

NAME = "Dataset004_Hippocampus"
CLASSES = {"background": 0, "Anterior": 1, "Posterior": 2}


def cases_of(shared_data: Path, number: int) -> list[Path]:
    """Images of the first cases of the hippocampus set, whose labels lie beside them."""
    return sorted((shared_data / "hippocampus/images").glob("*.nii.gz"))[:number]


def train(root: Path, images: Sequence[Path], iterations: int = 4, reader: str = "SimpleITKIO") -> Path:
    """Train two folds with nnU-Net's own planner, preprocessor and trainer; returns its results folder."""
    import torch

    raw = root / "raw" / NAME
    for image in images:
        name = image.name.removesuffix(".nii.gz")
        for folder, source, suffix in (("imagesTr", image, "_0000"), ("labelsTr", _label(image), "")):
            (raw / folder).mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, raw / folder / f"{name}{suffix}.nii.gz")
    dataset = {
        "channel_names": {"0": "MRI"},
        "labels": CLASSES,
        "numTraining": len(images),
        "file_ending": ".nii.gz",
        "overwrite_image_reader_writer": reader,
    }
    (raw / "dataset.json").write_text(json.dumps(dataset))
    kept = dict(os.environ)
    threads = torch.get_num_threads()
    for kind in ("raw", "preprocessed", "results"):
        os.environ[f"nnUNet_{kind}"] = str(root / kind)
    os.environ["nnUNet_def_n_proc"] = "1"  # noqa: SIM112 (nnU-Net's own name)
    try:
        torch.set_num_threads(1)
        _plan(root)
        return _fit(root, iterations)
    finally:
        torch.set_num_threads(threads)
        os.environ.clear()
        os.environ.update(kept)


def _label(image: Path) -> Path:
    return image.parents[1] / "labels" / image.name


def _plan(root: Path) -> None:
    """nnU-Net's plans with fewer features, a small patch and batch, and the cases preprocessed by them."""
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner
    from nnunetv2.preprocessing.preprocessors.default_preprocessor import DefaultPreprocessor

    DatasetFingerprintExtractor(NAME, 1).run(overwrite_existing=True)
    ExperimentPlanner(NAME).plan_experiment()
    path = root / "preprocessed" / NAME / "nnUNetPlans.json"
    plans = json.loads(path.read_text())
    configuration = plans["configurations"]["3d_fullres"]
    configuration["batch_size"], configuration["patch_size"] = 2, [24, 32, 24]
    kwargs = configuration["architecture"]["arch_kwargs"]
    kwargs["features_per_stage"] = [8 * 2 ** min(i, 2) for i in range(kwargs["n_stages"])]
    path.write_text(json.dumps(plans))
    DefaultPreprocessor(verbose=False).run(NAME, "3d_fullres", "nnUNetPlans", 1)
    names = [p.name.removesuffix(".nii.gz") for p in sorted((root / "raw" / NAME / "labelsTr").iterdir())]
    splits = [{"train": names[1:], "val": names[:1]}, {"train": names[:-1], "val": names[-1:]}]
    (root / "preprocessed" / NAME / "splits_final.json").write_text(json.dumps(splits))
    shutil.copyfile(root / "raw" / NAME / "dataset.json", root / "preprocessed" / NAME / "dataset.json")


def _fit(root: Path, iterations: int) -> Path:
    import torch
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112 (nnU-Net's own name)
    home = root / "preprocessed" / NAME
    plans = json.loads((home / "nnUNetPlans.json").read_text())
    dataset = json.loads((home / "dataset.json").read_text())
    for fold in (0, 1):
        torch.manual_seed(fold)
        trainer = nnUNetTrainer({**plans, "continue_training": False}, "3d_fullres", fold, dataset, torch.device("cpu"))
        trainer.num_epochs, trainer.num_iterations_per_epoch, trainer.num_val_iterations_per_epoch = 1, iterations, 1
        # SGD does not leave empty masks within so few steps.
        trainer.oversample_foreground_percent = 1.0
        trainer.configure_optimizers = lambda trainer=trainer: _adam(trainer, iterations)
        trainer.run_training()
    return Path(trainer.output_folder_base)


def _adam(trainer: Any, iterations: int) -> tuple[Any, Any]:
    import torch

    optimizer = torch.optim.AdamW(trainer.network.parameters(), 5e-3)
    return optimizer, torch.optim.lr_scheduler.PolynomialLR(optimizer, iterations)
