"""nnU-Net: its fingerprint, planner, preprocessor and trainer, in one process, on the cases of a cohort."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voxledger.errors import VoxledgerError
from voxledger.models.dataset import describe, with_untaught
from voxledger.models.job import Job
from voxledger.models.nnunet.network import CONFIGURATION, architecture_name
from voxledger.models.process import quiet
from voxledger.records.card import DATASET, PLANS, save_weights, to_json
from voxledger.textfile import read_json, replace_text

_DATASET_NAME = "Dataset001_cohort"
_FINGERPRINT_VOXELS = 2_000_000
"""Foreground intensities drawn for the percentiles that normalise CT; nnU-Net's 10^8 change them by a hundredth of
a standard deviation and need gigabytes."""


def train(job: Job, folder: Path) -> str:
    """Train, write weights, plans and `dataset.json` into the folder, and return the architecture."""
    work = folder / "work"
    with _nnunet_folders(work), quiet():
        dataset = describe(job.schema, (m.case.modality for m in job.members), len(job.members), _ignores(job))
        plans = _plan(job, dataset, work) if job.start.parent is None else read_json(job.start.parent.folder / PLANS)
        learned = _preprocess(job, plans, dataset, work)
        replace_text(folder / PLANS, to_json(plans))
        replace_text(folder / DATASET, to_json(with_untaught(dataset, learned, job.start.dataset)))
        network = _fit(job, plans, dataset)
    shutil.rmtree(work)
    save_weights(folder, network)
    return architecture_name(plans)


@contextlib.contextmanager
def _nnunet_folders(work: Path) -> Iterator[None]:
    """Point nnU-Net at folders of this training; keep its augmentation in this process once planning is done."""
    names = {f"nnUNet_{n}": str(work.resolve() / n) for n in ("raw", "preprocessed", "results")}
    saved = {name: os.environ.get(name) for name in (*names, "nnUNet_n_proc_DA")}
    for path in names.values():
        (Path(path) / _DATASET_NAME).mkdir(parents=True)
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in saved.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _ignores(job: Job) -> bool:
    """Whether the cohort has anything that is not known."""
    return any(len(m.trusted) < len(job.schema.classes) for m in job.members)


def _plan(job: Job, dataset: dict[str, Any], work: Path) -> dict[str, Any]:
    """nnU-Net's plans for the cohort, with what the parameters fix put in."""
    from nnunetv2.experiment_planning.experiment_planners.default_experiment_planner import ExperimentPlanner

    files = {
        m.case.case_id: {"images": [str(Path(m.case.image).resolve())], "label": str(job.label_path(m).resolve())}
        for m in job.members
    }
    raw, preprocessed = work / "raw" / _DATASET_NAME, work / "preprocessed" / _DATASET_NAME
    replace_text(raw / "dataset.json", to_json({**dataset, "dataset": files}))
    replace_text(preprocessed / "dataset_fingerprint.json", to_json(_fingerprint(job)))
    spacing = [float(s) for s in job.model.spacing] if job.model.spacing else None
    planner = ExperimentPlanner(_DATASET_NAME, overwrite_target_spacing=spacing)
    planner.lowres_creation_threshold = 0.0  # only the full resolution is trained
    planner.plan_experiment()
    plans = read_json(preprocessed / "nnUNetPlans.json")
    if CONFIGURATION not in plans["configurations"]:
        raise VoxledgerError("nnU-Net plans no 3-D network for this cohort", "train on volumes of several slices")
    plans["configurations"] = {CONFIGURATION: _fixed(job, plans, plans["configurations"][CONFIGURATION])}
    return plans


def _fingerprint(job: Job) -> dict[str, Any]:
    """What nnU-Net's fingerprint extractor gathers; ignored voxels are no foreground."""
    from nnunetv2.experiment_planning.dataset_fingerprint.fingerprint_extractor import DatasetFingerprintExtractor
    from nnunetv2.preprocessing.cropping.cropping import crop_to_nonzero

    spacings, shapes, sizes, intensities = [], [], [], []
    for _, image, labels in job.load_all():
        known = np.where(labels == job.ignore, 0, labels)
        data, seg, _ = crop_to_nonzero(image.array[None].astype(np.float32), known[None])
        drawn, _ = DatasetFingerprintExtractor.collect_foreground_intensities(
            seg, data, num_samples=_FINGERPRINT_VOXELS // len(job.members)
        )
        intensities.extend(drawn)
        spacings.append(list(image.grid.spacing))
        shapes.append(list(data.shape[1:]))
        sizes.append(data[0].size / image.array.size)
    foreground = np.concatenate(intensities)
    if foreground.size == 0:
        raise VoxledgerError("the cohort holds no voxel of any class", "review cases in which the classes are seen")
    low, median, high = np.percentile(foreground, (0.5, 50.0, 99.5))
    return {
        "spacings": spacings,
        "shapes_after_crop": shapes,
        "median_relative_size_after_cropping": float(np.median(sizes)),
        "foreground_intensity_properties_per_channel": {
            "0": {
                "mean": float(np.mean(foreground, dtype=np.float64)),
                "median": float(median),
                "std": float(np.std(foreground, dtype=np.float64)),
                "min": float(foreground.min()),
                "max": float(foreground.max()),
                "percentile_99_5": float(high),
                "percentile_00_5": float(low),
            }
        },
    }


def _fixed(job: Job, plans: dict[str, Any], planned: dict[str, Any]) -> dict[str, Any]:
    """The planned configuration with the patch, features and batch of the parameters; nnU-Net derives the topology."""
    from nnunetv2.experiment_planning.experiment_planners.network_topology import get_pool_and_conv_props

    features = job.model.features
    wanted = [job.model.patch[axis] for axis in plans["transpose_forward"]] if job.model.patch else None
    _, strides, kernels, patch, _ = get_pool_and_conv_props(
        planned["spacing"], wanted or planned["patch_size"], 4, len(features) - 1
    )
    stages = len(strides)
    kwargs = {
        **planned["architecture"]["arch_kwargs"],
        "n_stages": stages,
        "features_per_stage": [features[min(i, len(features) - 1)] for i in range(stages)],
        "strides": [list(s) for s in strides],
        "kernel_sizes": [list(k) for k in kernels],
        "n_conv_per_stage": [2] * stages,
        # One, as in nnU-Net's residual encoder presets: 0.32 instead of 0.51 s an iteration on one core.
        "n_conv_per_stage_decoder": [1] * (stages - 1),
    }
    return {
        **planned,
        "patch_size": [int(n) for n in patch],
        "batch_size": job.model.batch,
        "architecture": {**planned["architecture"], "arch_kwargs": kwargs},
        # Linear as in the planner's choice, but in float32 by torch: a class of a large CT takes a fifth of the memory.
        "resampling_fn_probabilities": "resample_torch_fornnunet",
        "resampling_fn_probabilities_kwargs": {"is_seg": False, "force_separate_z": None, "num_threads": 1},
    }


def _preprocess(job: Job, plans: dict[str, Any], dataset: dict[str, Any], work: Path) -> set[int]:
    """Crop, normalise and resample every case with nnU-Net's preprocessor, into nnU-Net's own files.

    Returns the labels that occur in any case.
    """
    from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params, nnUNetDatasetBlosc2
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(plans)
    configuration = manager.get_configuration(CONFIGURATION)
    preprocessor = configuration.preprocessor_class(verbose=False)
    out = work / "preprocessed" / _DATASET_NAME / configuration.data_identifier
    out.mkdir(parents=True)
    learned: set[int] = set()
    for member, image, labels in job.load_all():
        learned.update(np.unique(labels).tolist())
        data, seg, properties = preprocessor.run_case_npy(
            image.array[None], labels[None], {"spacing": list(image.grid.spacing)}, manager, configuration, dataset
        )
        data, seg = data.astype(np.float32, copy=False), seg.astype(np.int16, copy=False)
        blocks, chunks = comp_blosc2_params(data.shape, tuple(configuration.patch_size), data.itemsize)
        blocks_seg, chunks_seg = comp_blosc2_params(seg.shape, tuple(configuration.patch_size), seg.itemsize)
        nnUNetDatasetBlosc2.save_case(
            data, seg, properties, str(out / member.case.case_id), chunks, blocks, chunks_seg, blocks_seg
        )
    return learned


def _fit(job: Job, plans: dict[str, Any], dataset: dict[str, Any]) -> Any:
    """Train and return the network."""
    import torch

    from voxledger.models.nnunet.trainer import BudgetTrainer

    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112 (only here: planning crashes with it)
    trainer = BudgetTrainer(
        {**plans, "continue_training": False}, CONFIGURATION, "all", dataset, torch.device(job.device)
    )
    trainer.learning_rate, trainer.iterations = job.model.learning_rate, job.start.iterations
    trainer.oversample_foreground_percent = 1.0
    # nnU-Net gives the coarsest output no weight; with two stages it is the only one, and the loss would be 0 / 0.
    stages = plans["configurations"][CONFIGURATION]["architecture"]["arch_kwargs"]["n_stages"]
    trainer.enable_deep_supervision = stages > 2
    with job.report() as report:
        return trainer.fit(job.start.parent.folder if job.start.parent else None, report)
