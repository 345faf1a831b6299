"""Where patches of a training lie, and what becomes of them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from voxledger.imaging.volume import Grid, Volume
from voxledger.models.monai.augment import REACH, strong
from voxledger.models.monai.patches import Patches
from voxledger.models.monai.train import train
from voxledger.models.start import Start
from voxledger.models.training import Training, TrainingCase
from voxledger.params import ModelParams

PLANS = {
    "network": "unet",
    "spacing": [2.0, 1.0, 1.0],
    "patch": [8, 8, 8],
    "intensity": {"low": -500, "high": 500, "mean": 0, "std": 1},
}
GRID = Grid.plain((24, 60, 60), (2.0, 1.0, 1.0))
LARGE, SMALL = (slice(4, 20), slice(4, 20), slice(4, 20)), (slice(11, 13), slice(50, 52), slice(50, 52))


class Drawn(Training):
    """A training on volumes in memory."""

    def load_all(self):
        for number, labels in enumerate(self.volumes):
            case = TrainingCase(
                case_id=f"c{number}",
                image=Path(),
                image_sha256="",
                modality="CT",
                label=Path(),
                knowledge={},
                masks={},
            )
            yield case, Volume((labels * 100).astype(np.int16), GRID), labels


def drawn(schema, *volumes, **params) -> Drawn:
    model = ModelParams(backend="monai", network="unet", **params)
    training = Drawn(
        name="m", model=model, start=Start("full", 1), cases=(), schema=schema, labels=schema, seed=3, device="cpu"
    )
    object.__setattr__(training, "volumes", volumes)
    return training


def patches(schema, folder, *volumes, **params) -> Patches:
    folder.mkdir(exist_ok=True)
    return Patches(drawn(schema, *volumes, **params), PLANS, folder)


def organ(*lesions) -> np.ndarray:
    labels = np.zeros(GRID.shape, np.int16)
    labels[2:22, 2:58, 2:58] = 1
    for lesion in lesions:
        labels[lesion] = 2
    return labels


def lesions_seen(found: Patches, count: int = 300) -> tuple[int, int, int]:
    """Patches whose centre lies on the large lesion, the small one, neither."""
    large = small = 0
    for _ in range(count):
        case, (z, y, x) = found._place()
        on_lesion = case.labels[z, y, x] == 2
        large += on_lesion and y < 30
        small += on_lesion and y >= 30
    return large, small, count - large - small


def test_lesions_are_drawn_as_often_as_asked_and_small_ones_more_often(schema, tmp_path):
    """4096 and 8 voxels: 8 times the diameter."""
    _, small, rest = lesions_seen(patches(schema, tmp_path, organ(LARGE, SMALL), lesion_share=1.0))
    assert rest == 0
    assert 0.8 < small / 300 < 0.96  # 8 / 9
    _, _, rest = lesions_seen(patches(schema, tmp_path, organ(LARGE, SMALL), organ(), organ(), lesion_share=0.5))
    assert 0.3 < rest / 300 < 0.7


def test_by_default_each_voxel_of_a_lesion_has_the_same_chance(schema, tmp_path):
    large, small, _ = lesions_seen(patches(schema, tmp_path, organ(LARGE, SMALL)))
    assert small <= 5
    assert 0.2 < large / 300 < 0.5


@pytest.mark.parametrize("volume", [organ(), np.zeros(GRID.shape, np.int16)], ids=["no lesion", "nothing"])
def test_without_a_lesion_the_share_asks_for_nothing(schema, tmp_path, volume):
    images, labels = patches(schema, tmp_path, volume, lesion_share=1.0).batch(3)
    assert images.shape == (3, 1, 8, 8, 8)
    assert labels.shape == (3, 8, 8, 8)


def test_a_lesion_of_one_voxel_at_the_border_is_drawn(schema, tmp_path):
    corner = (slice(0, 1), slice(59, 60), slice(0, 1))
    found = patches(schema, tmp_path, organ(corner), lesion_share=1.0)
    _, labels = found.batch(4)
    assert (labels.reshape(4, -1) == 2).sum(1).tolist() == [1] * 4


@pytest.mark.parametrize("augmentation", ["light", "strong"])
def test_patches_repeat_with_the_seed(schema, tmp_path, augmentation):
    wanted = {"lesion_share": 0.5, "augmentation": augmentation}
    one, other = (patches(schema, tmp_path / n, organ(LARGE, SMALL), **wanted) for n in "ab")
    for _ in range(3):
        for a, b in zip(one.batch(2), other.batch(2), strict=True):
            np.testing.assert_array_equal(a.numpy(), b.numpy())


def test_strong_augmentation_keeps_image_and_labels_together():
    """A ball is turned and scaled in both; ids stay ids, also that of what is ignored."""
    patch = [24, 24, 24]
    size = [n + 2 * round(REACH * n) for n in patch]
    z, y, x = np.ogrid[tuple(slice(0, n) for n in size)]
    ball = (z - 20) ** 2 + (y - 16) ** 2 + (x - 18) ** 2 < 64
    labels = np.where(ball, 3, 0).astype(np.int16)
    augment, volumes = strong(patch, 1), []
    for turned in (True,) * 6:
        image, found = augment(ball * 10.0, labels, turned)
        assert image.shape == found.shape == tuple(patch)
        assert (image.dtype, found.dtype) == (np.float32, np.int64)
        assert set(np.unique(found)) <= {0, 3}
        bright = image > (image.max() + image.min()) / 2
        assert 2 * (bright & (found == 3)).sum() / (bright.sum() + (found == 3).sum()) > 0.85
        volumes.append((found == 3).sum())
    assert max(volumes) > 1.2 * min(volumes)


def test_what_is_not_turned_is_left_where_it_is():
    labels = np.zeros((8, 8, 8), np.int16)
    labels[2:4, 3:5, 6] = 2
    _, found = strong([8, 8, 8], 0)(labels * 10.0, labels, False)
    np.testing.assert_array_equal(found, labels)


@pytest.mark.parametrize(("spacing", "said"), [((2.0, 1.5, 1.5), True), ((2.0, 0.5, 0.5), False)])
def test_a_training_says_what_is_lost_at_its_spacing(schema, tmp_path, capsys, spacing, said):
    """A line of one voxel aslant breaks at wider voxels; the organ around it does not."""
    volume = organ()
    for step in range(10, 50):
        volume[12, step, 10 + step // 2] = 2
    training = drawn(schema, volume, spacing=spacing, patch=(8, 8, 8), features=(4, 8), batch=1)
    train(training, tmp_path)
    name, organ_name = schema.names[1], schema.names[0]
    told = capsys.readouterr().err
    assert (f"m: at 2 × 1.5 × 1.5 mm {name} is lost in part in 1 of 1 cases" in told) is said
    assert f"mm {organ_name} is lost" not in told
