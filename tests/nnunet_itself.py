"""nnU-Net driven by itself, in a process of its own: what our backend is compared with.

    python nnunet_itself.py FOLDER NETWORK STEPS

FOLDER holds `raw/Dataset001_cohort` in nnU-Net's form. Plans and preprocesses it, trains STEPS steps with seed 0 on one
thread, and writes `losses.json`.
"""

from __future__ import annotations

import json
import os
import sys
from importlib import import_module
from pathlib import Path

DATASET = "Dataset001_cohort"


def main(folder: Path, network: str, steps: int) -> None:
    for name in ("raw", "preprocessed", "results"):
        (folder / name).mkdir(exist_ok=True)
        os.environ[f"nnUNet_{name}"] = str(folder / name)
    import torch
    from nnunetv2.experiment_planning.plan_and_preprocess_api import (
        extract_fingerprint_dataset,
        plan_experiment_dataset,
        preprocess_dataset,
    )
    from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer

    from voxledger.models.nnunet.plan import PLANNERS
    from voxledger.models.process import seed_everything, single_thread

    module, planner = PLANNERS[network]
    extract_fingerprint_dataset(1, num_processes=2, show_progress_bar=False)
    plans, identifier = plan_experiment_dataset(1, getattr(import_module(module), planner))
    preprocess_dataset(1, identifier, ("3d_fullres",), (2,), show_progress_bar=False)
    if not steps:
        return
    plans = json.loads((folder / f"preprocessed/{DATASET}/{identifier}.json").read_text())
    dataset = json.loads((folder / f"raw/{DATASET}/dataset.json").read_text())
    os.environ["nnUNet_n_proc_DA"] = "0"  # noqa: SIM112
    with single_thread("cpu"):
        seed_everything(0)
        trainer = nnUNetTrainer(
            {**plans, "continue_training": False}, "3d_fullres", "all", dataset, torch.device("cpu")
        )
        trainer.on_train_start()
        trainer.on_train_epoch_start()
        losses = [float(trainer.train_step(next(trainer.dataloader_train))["loss"]) for _ in range(steps)]
    (folder / "losses.json").write_text(json.dumps(losses))


if __name__ == "__main__":
    main(Path(sys.argv[1]).resolve(), sys.argv[2], int(sys.argv[3]))
