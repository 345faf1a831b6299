"""nnU-Net: its preprocessor and trainer, in one process, on the cases of a cohort."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from voxledger.models.dataset import describe, with_untaught
from voxledger.models.heads import take_over
from voxledger.models.nnunet.network import architecture_name, with_outputs
from voxledger.models.nnunet.plan import DATASET_NAME, nnunet_folders, plan
from voxledger.models.nnunet.reader import turn_of
from voxledger.models.nnunet.stages import ADOPTED, CASCADE, FULLRES, KEY, stages_of
from voxledger.models.process import quiet, seed_everything
from voxledger.models.training import Training
from voxledger.records.card import DATASET, PLANS, load_tensors, save_tensors, to_json, weights_of
from voxledger.textfile import read_json, replace_text


def train(training: Training, folder: Path) -> str:
    """Train, write weights, plans and `dataset.json` into the folder, and return the architecture.

    Parameters
    ----------
    training
        Model, cases with what is to be learned of them, where training starts, seed and device.
    folder
        An empty folder, the next home of the model.

    Raises
    ------
    VoxledgerError
        The cohort teaches nothing: no class has a voxel, or nothing tells what is background; or the loss diverged.
    """
    work = folder / "work"
    with nnunet_folders(work), quiet():
        dataset = describe(
            training.schema, (case.modality for case in training.cases), len(training.cases), training.ignores
        )
        plans = plan(training, dataset, work) if training.start.parent is None else _plans_of_parent(training)
        dataset["overwrite_image_reader_writer"] = plans["image_reader_writer"]
        stages = stages_of(plans)
        learned = set[int]()
        for data in _data_of(stages.configurations):
            learned = _preprocess(training, plans, dataset, data, work)
        replace_text(folder / PLANS, to_json(plans))
        replace_text(folder / DATASET, to_json(with_untaught(dataset, learned, training.start.dataset)))
        fit = _fit_small if stages.recipe == "small" else _fit
        weights = fit(training, plans, dataset)
    shutil.rmtree(work)
    save_tensors(folder, weights)
    return architecture_name(plans)


def _plans_of_parent(training: Training) -> dict[str, Any]:
    """Plans of the model that training goes on from; one from elsewhere goes on as one network, by a recipe of ours."""
    assert training.start.parent is not None
    plans = read_json(training.start.parent.folder / PLANS)
    stages = stages_of(plans)
    if stages.recipe == ADOPTED:
        trainer = "BudgetTrainer" if training.model.recipe == "small" else "nnUNetTrainer"
        stages = stages.model_copy(update={"recipe": training.model.recipe, "trainer": trainer, "folds": ("all",)})
        plans |= {KEY: stages.model_dump(mode="json"), "dataset_name": DATASET_NAME}
    return plans


def _begin(
    training: Training, dataset: dict[str, Any], name: str, build: Callable[[int], Any]
) -> Callable[[Any], None]:
    """What puts the weights of the parent, the first fold of several, into a network of a configuration."""
    parent, before = training.start.parent, training.start.dataset
    if parent is None or before is None:
        return lambda network: None
    stages = stages_of(read_json(parent.folder / PLANS))
    weights = load_tensors(parent.folder, stages.prefix(name, stages.folds[0]))
    return lambda network: take_over(network, weights, before, dataset, build)


def _data_of(configurations: Sequence[str]) -> list[str]:
    """Configurations to preprocess for: the second network of a cascade reads images of the full resolution."""
    return [FULLRES if name == CASCADE else name for name in configurations]


def _preprocess(training: Training, plans: dict[str, Any], dataset: dict[str, Any], name: str, work: Path) -> set[int]:
    """Crop, normalise and resample every case for a configuration, with nnU-Net's preprocessor into its own files.

    Returns the labels that occur in any case.
    """
    from nnunetv2.training.dataloading.nnunet_dataset import comp_blosc2_params, nnUNetDatasetBlosc2
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    manager = PlansManager(plans)
    configuration = manager.get_configuration(name)
    preprocessor = configuration.preprocessor_class(verbose=False)
    out = work / "preprocessed" / DATASET_NAME / configuration.data_identifier
    out.mkdir(parents=True)
    learned: set[int] = set()
    for case, image, labels in training.load_all():
        learned.update(np.unique(labels).tolist())
        turn = turn_of(plans, image.grid)
        properties = {"spacing": list(turn.spacing(image.grid.spacing))}
        data, seg, properties = preprocessor.run_case_npy(
            turn.apply(image.array)[None], turn.apply(labels)[None], properties, manager, configuration, dataset
        )
        data, seg = data.astype(np.float32, copy=False), seg.astype(np.int16, copy=False)
        blocks, chunks = comp_blosc2_params(data.shape, tuple(configuration.patch_size), data.itemsize)
        blocks_seg, chunks_seg = comp_blosc2_params(seg.shape, tuple(configuration.patch_size), seg.itemsize)
        nnUNetDatasetBlosc2.save_case(
            data, seg, properties, str(out / case.case_id), chunks, blocks, chunks_seg, blocks_seg
        )
    return learned


def _fit(training: Training, plans: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
    """Train the networks of the plans as nnU-Net does, one after the other; returns their weights.

    Every one starts with the seed of the training, so that it does not depend on what was drawn before.
    """
    import torch

    from voxledger.models.nnunet.cascade import predict_next_stage
    from voxledger.models.nnunet.trainer import RecipeTrainer

    _augment_here(training.device)
    stages, weights = stages_of(plans), dict[str, Any]()
    for number, name in enumerate(stages.configurations):
        seed_everything(training.seed)
        trainer = RecipeTrainer(
            {**plans, "continue_training": False}, name, "all", dataset, torch.device(training.device)
        )
        trainer.mirrored = stages.mirror_axes
        prefix, build = stages.prefix(name, "all"), with_outputs(plans, dataset, name)
        with training.report(name) as report:
            trainer.fit(_begin(training, dataset, name, build), report, training.start.phases, build)
        weights |= weights_of(trainer.network, prefix)
        if number + 1 < len(stages.configurations):
            predict_next_stage(trainer, stages.configurations[number + 1], stages.mirror_axes)
    return weights


def _fit_small(training: Training, plans: dict[str, Any], dataset: dict[str, Any]) -> dict[str, Any]:
    """Train the network with the recipe for small budgets; returns its weights."""
    import torch

    from voxledger.models.nnunet.small_trainer import BudgetTrainer

    _augment_here("cpu")
    (name,) = stages_of(plans).configurations
    trainer = BudgetTrainer({**plans, "continue_training": False}, name, "all", dataset, torch.device(training.device))
    trainer.wanted = training
    trainer.oversample_foreground_percent = 1.0
    # nnU-Net gives the coarsest output no weight; with two stages it is the only one, and the loss would be 0 / 0.
    trainer.enable_deep_supervision = trainer.configuration_manager.network_arch_init_kwargs["n_stages"] > 2
    build = with_outputs(plans, dataset, name)
    with training.report() as report:
        return weights_of(trainer.fit(_begin(training, dataset, name, build), report, build))


def _augment_here(device: str) -> None:
    """Augment in this process, so that a CPU repeats it bit for bit; a GPU would wait for it.

    Only from here on: planning crashes with it.
    """
    if device == "cpu":
        os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112
