"""A small bundle as others write it, and MONAI's runner of bundles."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ONE_THREAD = {**os.environ, "OMP_NUM_THREADS": "1"}

NETWORK = {
    "_target_": "SegResNet",
    "spatial_dims": 3,
    "init_filters": 8,
    "in_channels": 1,
    "out_channels": "@classes",
    "blocks_down": [1, 1],
    "blocks_up": [1],
}
TRANSFORMS = [
    {"_target_": "LoadImaged", "keys": "@image_key", "ensure_channel_first": True},
    {"_target_": "Orientationd", "keys": "@image_key", "axcodes": "RAS"},
    {"_target_": "Spacingd", "keys": "@image_key", "pixdim": [1.5, 1.2, 2.0], "mode": "bilinear"},
    {"_target_": "ScaleIntensityRanged", "keys": "@image_key", "a_min": -100, "a_max": 200, "b_min": 0.0,
     "b_max": 1.0, "clip": True},
    {"_target_": "EnsureTyped", "keys": "@image_key", "device": "@device"},
]  # fmt: skip


def configuration(**changes: Any) -> dict[str, Any]:
    """`configs/inference.json`, which MONAI's runner runs."""
    return {
        "imports": ["$import glob", "$import torch", "$import numpy"],
        "image_key": "image",
        "classes": 3,
        "device": "$torch.device('cpu')",
        "bundle_root": ".",
        "images": "images",
        "masks": "masks",
        "network_def": NETWORK,
        "network": "$@network_def.eval()",
        "preprocessing": {"_target_": "Compose", "transforms": TRANSFORMS},
        "inferer": {"_target_": "SlidingWindowInferer", "roi_size": [16, 16, 8], "sw_batch_size": 4,
                    "overlap": 0.25, "device": "@device"},
        "postprocessing": {
            "_target_": "Compose",
            "transforms": [
                {"_target_": "Activationsd", "keys": "pred", "softmax": True},
                {"_target_": "Invertd", "keys": "pred", "transform": "@preprocessing", "orig_keys": "image",
                 "nearest_interp": False},
                {"_target_": "AsDiscreted", "keys": "pred", "argmax": True},
                {"_target_": "SaveImaged", "keys": "pred", "output_dir": "@masks", "output_postfix": "",
                 "separate_folder": False, "resample": False, "output_dtype": "$numpy.uint16"},
            ],
        },
        "dataset": {
            "_target_": "Dataset",
            "data": "$[{'image': i} for i in sorted(glob.glob(@images + '/*.nii.gz'))]",
            "transform": "@preprocessing",
        },
        "initialize": [
            "$torch.set_grad_enabled(False)",
            "$@network.load_state_dict(torch.load(@bundle_root + '/models/model.pt', weights_only=True))",
        ],
        "run": [
            "$[@postprocessing({**i, 'pred': @inferer(i['image'][None], @network)[0]}) for i in @dataset]",
        ],
        **changes,
    }  # fmt: skip


METADATA = {
    "version": "0.3.1",
    "name": "Abdomen CT segmentation",
    "data_source": "Their CT scans",
    "network_data_format": {
        "inputs": {"image": {"type": "image", "modality": "CT", "num_channels": 1}},
        "outputs": {"pred": {"type": "image", "channel_def": {"0": "background", "1": "Organ (whole)", "2": "Spleen"}}},
    },
}
MAP = "Organ (whole): organ\nSpleen: spleen\n"


def write_bundle(folder: Path, **changes: Any) -> Path:
    """A bundle with a small SegResNet whose outputs differ over an image."""
    import torch
    from monai.networks import nets

    for name in ("configs", "models"):
        (folder / name).mkdir(parents=True)
    (folder / "configs/inference.json").write_text(json.dumps(configuration(**changes)))
    (folder / "configs/metadata.json").write_text(json.dumps(METADATA))
    torch.manual_seed(0)
    arguments = {name: value for name, value in NETWORK.items() if name != "_target_"}
    network = nets.SegResNet(**{**arguments, "out_channels": 3})
    torch.save(network.state_dict(), folder / "models/model.pt")
    return folder


def run_bundle(bundle: Path, images: Path, masks: Path, **names: str) -> None:
    """What `python -m monai.bundle run` does, whose command line asks for one more package."""
    given = {"dataset_dir": str(images.resolve()), "output_dir": str(masks.resolve()), "bundle_root": str(bundle)}
    given = {names.get(name, name): value for name, value in given.items()}
    program = f"from monai.bundle import run; run(config_file={str(bundle / 'configs/inference.json')!r}, **{given!r})"
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, env=ONE_THREAD)
    assert done.returncode == 0, done.stderr
