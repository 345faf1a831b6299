"""Cascades of nnU-Net: what the first network finds is given to the second.

This module imports torch and nnunetv2 at once: import it only where a model is trained or predicts.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import torch
from nnunetv2.inference.export_prediction import resample_and_save
from nnunetv2.inference.predict_from_raw_data import nnUNetPredictor
from nnunetv2.training.nnUNetTrainer.nnUNetTrainer import nnUNetTrainer
from nnunetv2.utilities.label_handling.label_handling import convert_labelmap_to_one_hot


def predict_next_stage(trainer: nnUNetTrainer, following: str, mirror_axes: tuple[int, ...]) -> None:
    """Predict every training case with a trained network, where nnU-Net's trainer of the next configuration looks.

    As `nnUNetv2_train D 3d_lowres all` does: with all cases in the one fold there is none that it did not train on.
    """
    predictor = nnUNetPredictor(use_mirroring=bool(mirror_axes), device=trainer.device, allow_tqdm=False)
    trainer.set_deep_supervision_enabled(False)
    predictor.manual_initialization(
        trainer.network,
        trainer.plans_manager,
        trainer.configuration_manager,
        None,
        trainer.dataset_json,
        type(trainer).__name__,
        mirror_axes or None,
    )
    out = Path(trainer.output_folder_base) / "predicted_next_stage" / following
    out.mkdir(parents=True)
    identifier = trainer.plans_manager.get_configuration(following).data_identifier
    finer = trainer.dataset_class(str(Path(trainer.preprocessed_dataset_folder_base) / identifier))
    coarse = trainer.dataset_class(trainer.preprocessed_dataset_folder)
    for case in coarse.identifiers:
        data, _, _, properties = coarse.load_case(case)
        logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(data[:])).cpu()
        shape = finer.load_case(case)[0].shape[1:]
        resample_and_save(
            logits,
            shape,
            str(out / case),
            trainer.plans_manager,
            trainer.configuration_manager,
            properties,
            trainer.dataset_json,
            1,
            trainer.dataset_class,
        )


def with_previous(data: npt.NDArray[Any], found: npt.NDArray[Any], labels: list[int]) -> npt.NDArray[Any]:
    """Preprocessed data (channel, z, y, x) with a channel more for every label of the stage before, as 0 and 1."""
    return np.vstack((data, convert_labelmap_to_one_hot(found[0], labels, output_dtype=data.dtype)))
