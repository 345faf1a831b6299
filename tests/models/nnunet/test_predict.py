"""Our way back from logits to the image against nnU-Net's own export of probabilities."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxledger.imaging.volume import Grid, Volume
from voxledger.models.nnunet import predict as nnunet
from voxledger.params import InferParams, MachineParams, RetrainParams
from voxledger.records.card import check_model
from voxledger.retrain.run import retrain_round

MODEL = Path("models/next/nn")


@pytest.mark.parametrize("spacing", [(2.0, 1.0, 1.0), (3.1, 1.3, 0.9), (8.0, 1.0, 1.0), (1.0, 2.0, 1.0)])
def test_probabilities_equal_nnunets_export(small, tiny, spacing):
    """Grids that are resampled, not resampled, anisotropic; empty margins that nnU-Net crops away."""
    import torch
    from nnunetv2.inference.export_prediction import convert_predicted_logits_to_segmentation_with_correct_shape

    model = tiny["nn"].model_copy(update={"spacing": (2.0, 1.0, 1.0)})
    retrain_round(
        small.cases,
        small.schema,
        small.ledger,
        0,
        RetrainParams(models={"nn": model}),
        MachineParams(workers=1),
    )
    array = np.zeros((14, 25, 31), np.int16)
    array[2:13, 1:23, 4:30] = np.random.default_rng(0).normal(0, 60, (11, 22, 26)) + 1
    image, params = Volume(array, Grid.plain(array.shape, spacing)), InferParams()
    model_id = check_model(MODEL).id
    channels = nnunet.predict(MODEL, model_id, image, params, "cpu")

    predictor = nnunet._predictor(MODEL, model_id, params, "cpu")
    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    data, _, properties = configuration.preprocessor_class(verbose=False).run_case_npy(
        array[None], None, {"spacing": list(spacing)}, plans, configuration, predictor.dataset_json
    )
    logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(data))
    _, expected = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits.float(), plans, configuration, predictor.label_manager, properties, return_probabilities=True
    )
    assert list(channels.of.values()) == [1, 2, 3]
    for channel in channels.of.values():
        np.testing.assert_allclose(channels.probability(channel), expected[channel], atol=1e-5)
