"""nnU-Net results folders for others: what `nnUNetv2_predict` and `initialize_from_trained_model_folder` read."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from voxledger.models.model import Model
from voxledger.models.nnunet.adopt import CHECKPOINT
from voxledger.models.nnunet.network import build_network
from voxledger.models.nnunet.stages import KEY, stages_of
from voxledger.records.card import DATASET, PLANS, load_weights, to_json
from voxledger.textfile import read_json, replace_text

TRAINER = "nnUNetTrainer"
"""nnU-Net builds the network of the plans with this class; another one may not be known where the folder is read."""


def export_model(model: Model, folder: Path) -> None:
    """Write plans, `dataset.json` and a checkpoint a fold into an empty folder; of a cascade, one folder a network.

    Labels in the masks that nnU-Net then writes are output channels, as its `dataset.json` lists them: nnU-Net needs
    them numbered without gaps, which ids of `labels.yaml` need not be.
    """
    import torch

    plans, dataset = read_json(model.folder / PLANS), read_json(model.folder / DATASET)
    stages, given = stages_of(plans), {name: value for name, value in plans.items() if name != KEY}
    for name in stages.configurations:
        home = folder if len(stages.configurations) == 1 else folder / name
        home.mkdir(exist_ok=True)
        replace_text(home / PLANS, to_json(given))
        replace_text(home / DATASET, to_json(dataset))
        for fold in stages.folds:
            network = build_network(plans, dataset, name, deep_supervision=False)
            load_weights(model.folder, network, stages.prefix(name, fold))
            number = int(fold) if fold.isdigit() else fold
            checkpoint: dict[str, Any] = {
                "network_weights": network.state_dict(),
                "init_args": {"plans": given, "configuration": name, "fold": number, "dataset_json": dataset},
                "trainer_name": TRAINER,
                "inference_allowed_mirroring_axes": stages.mirror_axes or None,
            }
            (home / f"fold_{fold}").mkdir()
            torch.save(checkpoint, home / f"fold_{fold}" / CHECKPOINT)
