"""nnU-Net: its preprocessor and trainer, in one process, on the cases of a cohort."""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from voxledger.models.dataset import describe, with_untaught
from voxledger.models.job import Job
from voxledger.models.nnunet.network import CONFIGURATION, architecture_name
from voxledger.models.nnunet.plan import DATASET_NAME, plan
from voxledger.models.process import quiet
from voxledger.records.card import DATASET, PLANS, save_weights, to_json
from voxledger.textfile import read_json, replace_text


def train(job: Job, folder: Path) -> str:
    """Train, write weights, plans and `dataset.json` into the folder, and return the architecture."""
    work = folder / "work"
    with _nnunet_folders(work), quiet():
        dataset = describe(job.schema, (m.case.modality for m in job.members), len(job.members), job.ignores)
        plans = plan(job, dataset, work) if job.start.parent is None else read_json(job.start.parent.folder / PLANS)
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
        (Path(path) / DATASET_NAME).mkdir(parents=True)
    os.environ.update(names)
    try:
        yield
    finally:
        for name, value in saved.items():
            os.environ.pop(name, None)
            if value is not None:
                os.environ[name] = value


def _preprocess(job: Job, plans: dict[str, Any], dataset: dict[str, Any], work: Path) -> set[int]:
    """Crop, normalise and resample every case with nnU-Net's preprocessor, into nnU-Net's own files.

    Returns the labels that occur in any case.
    """
    from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params, nnUNetDatasetBlosc2
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(plans)
    configuration = manager.get_configuration(CONFIGURATION)
    preprocessor = configuration.preprocessor_class(verbose=False)
    out = work / "preprocessed" / DATASET_NAME / configuration.data_identifier
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
