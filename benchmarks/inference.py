"""Peak memory and time of predicting one large case with an nnU-Net, against nnU-Net's own predictor.

    python benchmarks/inference.py [--shape 300 512 512] [--classes 25] [--work DIR]

Same image, same plans, same weights, same run, one after the other, each in processes of its own. Ours is the job of
the infer stage: it writes the probabilities of every class into one file, on one thread. nnU-Net is its
`nnUNetPredictor.predict_from_files(save_probabilities=True)` with one process for preprocessing and one for export, on
all cores. Memory is the largest sum over the processes of each: proportional set size and what was swapped out
(nnU-Net needs more than 24 GB). Their labels are compared.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path
from typing import Any

import click
import numpy as np
import psutil

from voxledger.imaging.volume import Grid, file_sha256, read, write

SPACING = (1.0, 0.8, 0.8)
PATCH = [64, 96, 96]


@click.group(invoke_without_command=True)
@click.option("--shape", type=int, nargs=3, default=(300, 512, 512), show_default=True, help="Of the image (z, y, x).")
@click.option("--classes", default=25, show_default=True)
@click.option("--work", type=click.Path(path_type=Path), help="Where to work; by default a temporary folder.")
@click.pass_context
def main(context: click.Context, shape: tuple[int, int, int], classes: int, work: Path | None) -> None:
    """Measure both and print a table."""
    if context.invoked_subcommand:
        return
    work = (work or Path(tempfile.mkdtemp(prefix="inference-"))).resolve()
    work.mkdir(parents=True, exist_ok=True)
    os.chdir(work)
    make_case(shape)
    make_model(classes)
    measured = {who: measure(who) for who in ("ours", "nnunet")}
    print(
        f"| {shape[2]}×{shape[1]}×{shape[0]}, {classes} classes | peak memory, GB | s | ended |\n"
        "| --- | --- | --- | --- |"
    )
    for who, (peak, seconds, code) in measured.items():
        print(f"| {who} | {peak / 1e9:.2f} | {seconds:.0f} | {code} |")
    (ours, our_seconds, _), (theirs, their_seconds, code) = measured["ours"], measured["nnunet"]
    print(f"| ratio | {ours / theirs:.2f} | {our_seconds / their_seconds:.2f} | |")
    if code == 0:
        print(f"\nVoxels with another label: {differing(classes):.2e} of all.")


def make_case(shape: tuple[int, int, int]) -> None:
    """A body of smooth noise in HU."""
    from scipy.ndimage import zoom

    rng = np.random.default_rng(0)
    coarse = rng.normal(0, 150, [n // 16 + 2 for n in shape]).astype(np.float32)
    image = zoom(coarse, 17, order=1)[tuple(slice(n) for n in shape)]
    image[:, : shape[1] // 8] = image[:, -shape[1] // 8 :] = -1000
    write(Path("case.nii.gz"), np.clip(image, -1000, 1000).astype(np.int16), Grid.plain(shape, SPACING))


def make_model(classes: int) -> None:
    """A model folder of an nnU-Net at 1.5 mm with random weights."""
    import torch

    from voxledger.models.dataset import describe
    from voxledger.models.nnunet.network import build_network
    from voxledger.models.nnunet.stages import FULLRES, KEY, Stages
    from voxledger.records.card import DATASET, PLANS, ModelCard, save_weights, to_json, write_card
    from voxledger.schema import LabelClass, LabelSchema

    schema = LabelSchema(name="many", classes=tuple(LabelClass(id=i, name=f"class_{i}") for i in range(1, classes + 1)))
    home = Path("models/large")
    home.mkdir(parents=True, exist_ok=True)
    dataset = describe(schema, ["CT"], 1, ignore=False)
    plans = plans_of(FULLRES) | {
        KEY: Stages(recipe="nnunet", trainer="nnUNetTrainer", configurations=(FULLRES,)).model_dump(mode="json")
    }
    (home / PLANS).write_text(to_json(plans))
    (home / DATASET).write_text(to_json(dataset))
    torch.manual_seed(0)
    network = build_network(plans, dataset, FULLRES, deep_supervision=False)
    for parameter in network.decoder.seg_layers.parameters():
        torch.nn.init.normal_(parameter, 0, 2)  # so that every class is found somewhere
    card = ModelCard(
        id=save_weights(home, network),
        name="large",
        backend="nnunet",
        architecture="",
        strategy="full",
        cohort="",
        parent="",
        params={},
        licence="CC0-1.0",
        round=0,
    )
    write_card(home, card)
    Path("labels.yaml").write_text(
        "name: many\nclasses:\n" + "".join(f"  - {{id: {c.id}, name: {c.name}}}\n" for c in schema.classes)
    )


def plans_of(configuration: str) -> dict[str, Any]:
    """Plans as nnU-Net's planner writes them, for a network of four stages."""
    resampling = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    norm = {"mean": 0.0, "median": 0.0, "std": 150.0, "min": -1000.0, "max": 1000.0}
    return {
        "dataset_name": "Dataset001_cohort",
        "plans_name": "nnUNetPlans",
        "original_median_spacing_after_transp": list(SPACING),
        "original_median_shape_after_transp": [300, 512, 512],
        "image_reader_writer": "SimpleITKIO",
        "transpose_forward": [0, 1, 2],
        "transpose_backward": [0, 1, 2],
        "experiment_planner_used": "ExperimentPlanner",
        "label_manager": "LabelManager",
        "foreground_intensity_properties_per_channel": {
            "0": {**norm, "percentile_00_5": -500.0, "percentile_99_5": 500.0}
        },
        "configurations": {
            configuration: {
                "data_identifier": "nnUNetPlans_3d_fullres",
                "preprocessor_name": "DefaultPreprocessor",
                "batch_size": 2,
                "patch_size": PATCH,
                "median_image_size_in_voxels": [200, 273, 273],
                "spacing": [1.5, 1.5, 1.5],
                "normalization_schemes": ["CTNormalization"],
                "use_mask_for_norm": [False],
                "resampling_fn_data": "resample_data_or_seg_to_shape",
                "resampling_fn_seg": "resample_data_or_seg_to_shape",
                "resampling_fn_data_kwargs": {**resampling, "order": 3},
                "resampling_fn_seg_kwargs": {**resampling, "is_seg": True},
                "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
                "resampling_fn_probabilities_kwargs": resampling,
                "batch_dice": False,
                "architecture": {
                    "network_class_name": "dynamic_network_architectures.architectures.unet.PlainConvUNet",
                    "arch_kwargs": {
                        "n_stages": 4,
                        "features_per_stage": [8, 16, 32, 64],
                        "conv_op": "torch.nn.modules.conv.Conv3d",
                        "kernel_sizes": [[3, 3, 3]] * 4,
                        "strides": [[1, 1, 1]] + [[2, 2, 2]] * 3,
                        "n_conv_per_stage": [2] * 4,
                        "n_conv_per_stage_decoder": [2] * 3,
                        "conv_bias": True,
                        "norm_op": "torch.nn.modules.instancenorm.InstanceNorm3d",
                        "norm_op_kwargs": {"eps": 1e-5, "affine": True},
                        "dropout_op": None,
                        "dropout_op_kwargs": None,
                        "nonlin": "torch.nn.LeakyReLU",
                        "nonlin_kwargs": {"inplace": True},
                    },
                    "_kw_requires_import": ["conv_op", "norm_op", "dropout_op", "nonlin"],
                },
            }
        },
    }


def measure(who: str) -> tuple[int, float, int]:
    """Largest memory of all its processes in bytes, seconds, and exit code of one of the two."""
    start, peak, done = time.monotonic(), 0, threading.Event()
    process = subprocess.Popen([sys.executable, __file__, who])

    def watch() -> None:
        nonlocal peak
        while not done.wait(0.1):
            total = 0
            try:
                for one in [(root := psutil.Process(process.pid)), *root.children(recursive=True)]:
                    full = one.memory_full_info()
                    total += full.pss + full.swap
            except psutil.Error:
                continue
            peak = max(peak, total)

    watcher = threading.Thread(target=watch)
    watcher.start()
    code = process.wait()
    seconds = time.monotonic() - start
    done.set()
    watcher.join()
    return peak, seconds, code


@main.command()
def ours() -> None:
    """Predict as the infer stage does."""
    from voxledger.models.model import open_models
    from voxledger.models.prediction import network_predictions
    from voxledger.params import InferParams, MachineParams
    from voxledger.records.cases import Case, Split
    from voxledger.schema import read_schema

    case = Case("case", "case.nii.gz", file_sha256("case.nii.gz"), "", "here", "CC0-1.0", Split.POOL, "CT", "")
    model = open_models(Path("models"), read_schema("labels.yaml"))[0]
    (job,) = network_predictions(model, [case], InferParams(), MachineParams())
    Path("ours").mkdir(exist_ok=True)
    job.compute(Path("ours"))


@main.command()
def nnunet() -> None:
    """Predict as nnU-Net does."""
    import torch
    from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    from voxledger.models.nnunet.network import build_network
    from voxledger.models.nnunet.stages import FULLRES
    from voxledger.records.card import DATASET, PLANS, load_weights

    home = Path("models/large")
    plans, dataset = (json.loads((home / name).read_text()) for name in (PLANS, DATASET))
    network = build_network(plans, dataset, FULLRES, deep_supervision=False)
    load_weights(home, network)
    manager = PlansManager(plans)
    predictor = nnUNetPredictor(use_mirroring=False, device=torch.device("cpu"), allow_tqdm=False)
    predictor.manual_initialization(
        network, manager, manager.get_configuration(FULLRES), [network.state_dict()], dataset, "nnUNetTrainer", None
    )
    Path("nnunet").mkdir(exist_ok=True)
    predictor.predict_from_files(
        [["case.nii.gz"]],
        ["nnunet/case"],
        save_probabilities=True,
        num_processes_preprocessing=1,
        num_processes_segmentation_export=1,
    )


def differing(classes: int) -> float:
    """Share of voxels where the most probable class of the two is another one."""
    from voxledger.imaging.soft import open_soft

    soft = open_soft(Path("ours/large/case.b2nd"))
    labels = read(Path("nnunet/case.nii.gz")).array
    total = np.zeros(labels.shape, np.float32)
    best, largest = np.zeros(labels.shape, np.uint8), np.zeros(labels.shape, np.float32)
    for number in range(1, classes + 1):
        values = soft.read(f"class_{number}").astype(np.float32)
        total += values
        higher = values > largest
        best[higher], largest = number, np.maximum(largest, values)
    best[1 - total > largest] = 0
    return float((best != labels).mean())


if __name__ == "__main__":
    main()
