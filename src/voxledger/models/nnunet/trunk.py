"""The networks of nnU-Net that heads can be put on: those of one stage and one fold."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from voxledger.imaging.volume import Volume
from voxledger.models.nnunet.network import build_network, with_outputs
from voxledger.models.nnunet.reader import turn_of
from voxledger.models.nnunet.stages import stages_of
from voxledger.models.process import quiet
from voxledger.models.trunk import Trunk
from voxledger.records.card import DATASET, PLANS, load_weights
from voxledger.textfile import read_json


def obstacle(folder: Path) -> str:
    """Why heads cannot be put on a model; empty where they can."""
    stages = stages_of(read_json(folder / PLANS))
    if len(stages.configurations) > 1:
        return "the base model is a cascade"
    return "the base model has several folds" if len(stages.folds) > 1 else ""


def open_trunk(folder: Path) -> Trunk:
    """The network of a model that `check_model` has accepted."""
    from nnunetv2.utilities.plans_handling.plans_handler import PlansManager

    plans, dataset = read_json(folder / PLANS), read_json(folder / DATASET)
    stages, manager = stages_of(plans), PlansManager(plans)
    (name,) = stages.configurations
    configuration = manager.get_configuration(name)
    with quiet():
        network = build_network(plans, dataset, name, deep_supervision=False)
    load_weights(folder, network)
    preprocessor = configuration.preprocessor_class(verbose=False)

    def prepare(image: Volume, labels: npt.NDArray[Any]) -> tuple[npt.NDArray[np.float32], npt.NDArray[Any]]:
        turn = turn_of(plans, image.grid)
        properties = {"spacing": list(turn.spacing(image.grid.spacing))}
        with quiet():
            data, seg, _ = preprocessor.run_case_npy(
                turn.apply(image.array)[None], turn.apply(labels)[None], properties, manager, configuration, dataset
            )
        return data[0].astype(np.float32, copy=False), np.maximum(seg[0], 0)

    return Trunk(
        network,
        decoders,
        decoder,
        with_outputs(plans, dataset, name),
        tuple(configuration.patch_size),
        stages.mirror_axes,
        prepare,
    )


def decoders(network: Any) -> list[Any]:
    """Modules whose outputs are the features of a network, the finest first."""
    return list(network.decoder.stages)[::-1]


def decoder(network: Any) -> list[Any]:
    """Modules on the way up; the decoder itself lists the encoder among its own."""
    return [network.decoder.stages, network.decoder.transpconvs]
