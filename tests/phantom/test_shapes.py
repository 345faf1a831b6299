import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxledger.phantom.shapes import Ellipsoid, Tube, box_of, crop, curve


def axes(n: int = 50, step: float = 2.0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    a = (np.arange(n) - (n - 1) / 2) * step
    return a, a.copy(), a.copy()


@settings(max_examples=25, deadline=None)
@given(
    radii=st.tuples(*[st.floats(8, 22)] * 3),
    turn=st.tuples(*[st.floats(-180, 180)] * 3),
    center=st.tuples(*[st.floats(-15, 15)] * 3),
)
def test_ellipsoid_keeps_its_volume_and_extent_when_turned(radii, turn, center) -> None:
    shape = Ellipsoid(center, radii, turn)
    inside = shape.level(axes()) < 0
    assert inside.sum() * 8 == pytest.approx(4 / 3 * np.pi * np.prod(radii), rel=0.12)
    boxed = np.zeros_like(inside)
    box = box_of(shape, axes(), 2.5)
    boxed[box] = shape.level(crop(axes(), box)) < 0
    np.testing.assert_array_equal(boxed, inside)


def test_ball_level_is_the_distance() -> None:
    level = Ellipsoid((0, 0, 0), (10, 10, 10)).level(axes())
    z, y, x = np.ix_(*axes())
    np.testing.assert_allclose(level, np.sqrt(z**2 + y**2 + x**2) - 10, atol=1e-6)


def test_straight_tube_is_a_cylinder_with_round_ends() -> None:
    points, radii, along = curve(np.array([[-20.0, 0, 0], [0, 0, 0], [20, 0, 0]]), np.full(3, 6.0), 1.0)
    assert along[0] == 0
    assert along[-1] == 1
    inside = Tube(points, radii).level(axes(80, 1.0)) < 0
    assert inside.sum() == pytest.approx(np.pi * 36 * 40 + 4 / 3 * np.pi * 216, rel=0.05)


def test_shape_beyond_the_grid_gives_an_empty_box() -> None:
    box = box_of(Ellipsoid((500, 0, 0), (5, 5, 5)), axes(), 1.0)
    assert Ellipsoid((500, 0, 0), (5, 5, 5)).level(crop(axes(), box)).size == 0
