import numpy as np
import pytest

from voxledger.phantom.fields import random_field


@pytest.mark.parametrize(("step", "lattice"), [(1.0, 5.0), (2.0, 9.0), (0.7, 3.0)])
def test_random_field_has_unit_deviation_and_the_asked_grain(step: float, lattice: float) -> None:
    axes = tuple(np.arange(60) * step for _ in range(3))
    field = np.concatenate([random_field(np.random.default_rng(k), axes, lattice).ravel() for k in range(4)])
    assert abs(field.mean()) < 0.15
    assert 0.85 < field.std() < 1.15
    cube = random_field(np.random.default_rng(9), axes, lattice)
    near = np.corrcoef(cube[:, :, :-1].ravel(), cube[:, :, 1:].ravel())[0, 1]
    k = int(4 * lattice / step)
    far = np.corrcoef(cube[:, :, :-k].ravel(), cube[:, :, k:].ravel())[0, 1]
    assert near > 0.9
    assert abs(far) < 0.25


def test_random_field_of_an_empty_box_is_empty() -> None:
    axes = (np.arange(3.0), np.zeros(0), np.arange(4.0))
    assert random_field(np.random.default_rng(0), axes, 5.0).shape == (3, 0, 4)
