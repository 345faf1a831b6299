"""nnU-Net's recipe for small budgets: where patches lie, augmentation and loss by parameter."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxledger.imaging.volume import file_sha256
from voxledger.params import MachineParams, ModelParams, RetrainParams
from voxledger.records.card import WEIGHTS
from voxledger.retrain.run import retrain_round

TINY = {"backend": "nnunet", "recipe": "small", "patch": (8, 16, 16), "features": (4, 8, 8), "iterations": 3}


def train(small, **params) -> str:
    models = {"nn": ModelParams(**{**TINY, **params})}
    retrain_round(small.cases, small.schema, small.ledger, 0, RetrainParams(models=models), MachineParams(workers=1))
    return file_sha256(Path("models/next/nn") / WEIGHTS)


def test_every_option_trains_another_network_and_each_repeats(small):
    import shutil

    options = [{}, {"lesion_share": 1.0}, {"augmentation": "strong"}, {"loss": "dice_focal"}, {"loss": "tversky_ce"}]
    first = [train(small, **option) for option in options]
    assert len(set(first)) == len(options)
    shutil.rmtree(".memo")
    assert [train(small, **option) for option in options] == first


def preprocessed(folder: Path, *cases: np.ndarray):
    """Cases in nnU-Net's own files."""
    from voxledger.models.nnunet.centred import CentredDataset, nnUNetDatasetBlosc2

    for number, labels in enumerate(cases):
        known = [int(n) for n in np.unique(labels) if n > 0]
        properties = {"class_locations": {**{n: [] for n in known}, (-1, 1, 2): []}}
        sizes = (labels[None].shape,) * 4
        image = labels[None].astype(np.float32)
        nnUNetDatasetBlosc2.save_case(image, labels[None], properties, str(folder / f"c{number}"), *sizes)
    return CentredDataset(str(folder))


def test_cases_and_their_lesions_are_drawn_as_often_as_asked(tmp_path):
    """27 voxels and 1 voxel: 1 / 3 and 1 of the diameter."""
    ill = np.ones((8, 9, 10), np.int16)
    ill[0] = 0
    ill[2:5, 2:5, 2:5] = 2
    ill[7, 8, 9] = 2
    well = np.where(ill == 2, 1, ill)
    dataset = preprocessed(tmp_path, ill, well)
    chances = dataset.centre([2], 0.6, seed=0)
    assert dataset.identifiers == ["c0", "c0, lesion 0", "c0, lesion 1", "c1"]
    np.testing.assert_allclose(chances, [0.2, 0.15, 0.45, 0.2])
    _, seg, before, properties = dataset.load_case("c0, lesion 1")
    assert before is None
    assert np.asarray(seg[0])[7, 8, 9] == 2
    np.testing.assert_array_equal(properties["class_locations"][0], [[0, 7, 8, 9]])
    places = dataset.load_case("c0")[3]["class_locations"]
    assert set(places) == {0, 1, 2}
    for number, voxels in places.items():
        assert (ill[tuple(voxels[:, 1:].T)] == number).all()
        assert (voxels[:, 0] == 0).all()
    assert set(dataset.load_case("c1")[3]["class_locations"]) == {0, 1}


@pytest.mark.parametrize("share", [0.0, 0.5])
def test_without_lesions_every_case_is_drawn_as_often_as_the_next(tmp_path, share):
    dataset = preprocessed(tmp_path, np.ones((4, 4, 4), np.int16), np.zeros((4, 4, 4), np.int16))
    np.testing.assert_array_equal(dataset.centre([2], share, seed=0), [0.5, 0.5])
    assert dataset.identifiers == ["c0", "c1"]
