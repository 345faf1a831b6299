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

    predictor = nnunet._stages(MODEL, model_id, params.step, "cpu")[0].predictor
    plans, configuration = predictor.plans_manager, predictor.configuration_manager
    data, _, properties = configuration.preprocessor_class(verbose=False).run_case_npy(
        array[None], None, {"spacing": list(spacing)}, plans, configuration, predictor.dataset_json
    )
    logits = predictor.predict_sliding_window_return_logits(torch.from_numpy(data))
    _, expected = convert_predicted_logits_to_segmentation_with_correct_shape(
        logits.float(), plans, configuration, predictor.label_manager, properties, return_probabilities=True
    )
    assert list(channels.of.values()) == [(1,), (2,), (3,)]
    for (channel,) in channels.of.values():
        np.testing.assert_allclose(channels.probability(channel), expected[channel], atol=1e-5)


@pytest.mark.parametrize(
    ("spacing", "shape", "onto", "wanted"),
    [
        ((1.0, 1.0, 1.0), (10, 11, 12), (2.0, 1.3, 0.7), (5, 8, 17)),
        ((1.5, 1.5, 1.5), (16, 20, 20), (1.0, 0.8, 0.8), (24, 38, 37)),
        ((5.0, 1.0, 1.0), (9, 16, 16), (10.0, 0.8, 0.8), (5, 20, 20)),
        ((5.0, 1.0, 1.0), (8, 16, 16), (2.5, 1.0, 1.0), (16, 16, 16)),
        ((1.0, 1.0, 5.0), (21, 20, 7), (1.5, 0.8, 3.3), (14, 25, 11)),
        ((2.0, 2.0, 2.0), (7, 7, 7), (2.0, 2.0, 2.0), (7, 7, 7)),
    ],
)
def test_linear_resampling_is_that_of_nnunets_plans(spacing, shape, onto, wanted):
    import torch
    from nnunetv2.utilities.plans_handling.plans_handler import ConfigurationManager

    kwargs = {"is_seg": False, "order": 1, "order_z": 0, "force_separate_z": None}
    planned = ConfigurationManager(
        {
            "architecture": {},
            "resampling_fn_probabilities": "resample_data_or_seg_to_shape",
            "resampling_fn_probabilities_kwargs": kwargs,
        }
    )
    logits = torch.from_numpy(np.random.default_rng(0).normal(0, 5, (1, *shape)).astype(np.float32))
    ours = nnunet._resampling(planned)(logits, wanted, spacing, onto)
    assert nnunet._resampling(planned) is not planned.resampling_fn_probabilities
    np.testing.assert_allclose(ours, planned.resampling_fn_probabilities(logits, wanted, spacing, onto), atol=2e-4)
