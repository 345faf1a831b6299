from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from voxledger.bundles.merge import Claim, by_precedence, merge, repaint, require_trust
from voxledger.errors import VoxledgerError
from voxledger.records.ledger import Origin
from voxledger.schema import LabelClass, LabelSchema

SCHEMA = LabelSchema(
    name="nested",
    classes=(
        LabelClass(id=1, name="organ"),
        LabelClass(id=2, name="lesion", inside="organ"),
        LabelClass(id=3, name="core", inside="lesion"),
        LabelClass(id=4, name="cyst", inside="organ"),
        LabelClass(id=300, name="vessel"),
    ),
)
SHAPE = (2, 3, 4)


def plain_merge(schema: LabelSchema, claims: Sequence[Claim], shape: tuple[int, int, int]) -> np.ndarray:
    """Voxel by voxel: each claim in turn narrows what the voxel may be, unless nothing would be left."""
    merged = np.zeros(shape, np.int64)
    for voxel in np.ndindex(shape):
        possible = {0, *(c.id for c in schema.classes)}
        for claim in by_precedence(schema, claims):
            own = set(schema.ids_of(claim.name))
            inside = claim.labels is not None and int(claim.labels[voxel]) in own
            narrowed = possible & own if inside else possible - own
            possible = narrowed or possible
        names = {c.id: c.name for c in schema.classes}
        merged[voxel] = min(possible, key=lambda i: (len(schema.chain(names[i])) if i else 0, i))
    return merged


IDS = [0, *(c.id for c in SCHEMA.classes)]


@st.composite
def claims(draw: st.DrawFn) -> list[Claim]:
    size = int(np.prod(SHAPE))
    maps = [
        np.array(draw(st.lists(st.sampled_from(IDS), min_size=size, max_size=size)), np.uint16).reshape(SHAPE)
        for _ in range(3)
    ]
    found = []
    for name in SCHEMA.names:
        origin = draw(st.sampled_from([None, *Origin]))
        if origin is not None:
            labels = None if origin is Origin.REJECTED else draw(st.sampled_from(range(3)))
            version = draw(st.integers(0, 2))
            found.append(Claim(name, origin, version, None if labels is None else maps[labels]))
    return found


@given(claims(), st.randoms())
@settings(max_examples=150, deadline=None)
def test_merge_equals_the_plain_one_in_any_order(drawn: list[Claim], random: object) -> None:
    merged = merge(SCHEMA, drawn, SHAPE)
    assert np.array_equal(merged, plain_merge(SCHEMA, drawn, SHAPE))
    shuffled = list(drawn)
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert np.array_equal(merge(SCHEMA, shuffled, SHAPE), merged)
    assert merged.dtype == np.min_scalar_type(int(merged.max()))


@given(claims())
@settings(max_examples=150, deadline=None)
def test_nothing_trusted_is_lost(drawn: list[Claim]) -> None:
    merged = merge(SCHEMA, drawn, SHAPE)
    trusted = {c.name: c.labels for c in drawn if c.origin.trusted and c.labels is not None}
    require_trust(SCHEMA, drawn, trusted, merged, {}, "case")
    if trusted:
        first = next(c.name for c in by_precedence(SCHEMA, drawn) if c.origin.trusted)
        assert np.array_equal(SCHEMA.mask(merged, first), SCHEMA.mask(trusted[first], first))


@given(claims(), st.integers(0, int(np.prod(SHAPE)) - 1))
@settings(max_examples=150, deadline=None)
def test_a_lost_voxel_of_the_most_trusted_class_is_noticed(drawn: list[Claim], voxel: int) -> None:
    order = [c for c in by_precedence(SCHEMA, drawn) if c.origin.trusted and c.labels is not None]
    merged = merge(SCHEMA, drawn, SHAPE).astype(np.uint16)
    if not order or not SCHEMA.mask(merged, order[0].name).flat[voxel]:
        return
    merged.flat[voxel] = 0
    with pytest.raises(VoxledgerError, match=f"trusted class {order[0].name}"):
        require_trust(SCHEMA, drawn, {order[0].name: order[0].labels}, merged, {}, "case")


def _line(*ids: int) -> np.ndarray:
    return np.array(ids, np.uint8).reshape(1, 1, -1)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        (("organ", Origin.SOURCE, 0, _line(1, 1, 0)), ("vessel", Origin.PREDICTED, 1, _line(0, 4, 4)), [1, 1, 5]),
        (("organ", Origin.SOURCE, 0, _line(1, 1, 0)), ("vessel", Origin.REVISED, 1, _line(0, 4, 4)), [1, 5, 5]),
        (("organ", Origin.REVISED, 0, _line(1, 1, 0)), ("vessel", Origin.REVISED, 1, _line(0, 4, 4)), [1, 5, 5]),
        (("organ", Origin.SOURCE, 0, _line(1, 1, 0)), ("lesion", Origin.PREDICTED, 1, _line(0, 2, 2)), [1, 2, 0]),
        (("organ", Origin.PREDICTED, 1, _line(1, 1, 0)), ("lesion", Origin.PREDICTED, 1, _line(0, 2, 2)), [1, 2, 2]),
        (("organ", Origin.SOURCE, 0, _line(1, 1, 0)), ("lesion", Origin.REVISED, 1, _line(0, 2, 2)), [1, 2, 2]),
        (("organ", Origin.REJECTED, 1, None), ("lesion", Origin.SOURCE, 0, _line(0, 2, 2)), [0, 2, 2]),
        (("organ", Origin.SOURCE, 0, _line(1, 1, 1)), ("lesion", Origin.REJECTED, 1, None), [1, 1, 1]),
    ],
)
def test_precedence(first: tuple, second: tuple, expected: list[int]) -> None:  # type: ignore[type-arg]
    schema = LabelSchema(name="small", classes=(*SCHEMA.classes[:4], LabelClass(id=5, name="vessel")))
    renumbered = [Claim(n, o, v, None if m is None else np.where(m == 4, 5, m)) for n, o, v, m in (first, second)]
    assert merge(schema, renumbered, (1, 1, 3)).ravel().tolist() == expected


def test_what_is_erased_from_a_lesion_falls_back_and_what_is_painted_over_moves() -> None:
    proposal, returned = _line(2, 2, 2, 1, 0), _line(0, 4, 2, 1, 2)
    seen, moved = repaint(SCHEMA, proposal, proposal, returned, ["lesion"])
    assert seen.ravel().tolist() == [2, 4, 2, 1, 0]
    assert {name: voxels.tolist() for name, voxels in moved.items()} == {"lesion": [1]}


def test_empty_and_single_voxel() -> None:
    assert not merge(SCHEMA, [], (1, 1, 1)).any()
    one = np.full((1, 1, 1), 3, np.uint8)
    assert merge(SCHEMA, [Claim("core", Origin.SOURCE, 0, one)], (1, 1, 1)).item() == 3
