"""RECIST diameters from outside: what they may say, and that nothing else enters the repository."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from voxledger.cases.incoming import Incoming
from voxledger.cases.intake import add_cases
from voxledger.cases.weak import parse_recist
from voxledger.errors import CaseRefused
from voxledger.imaging.volume import Grid, write
from voxledger.params import CasesParams
from voxledger.phantom.weak import recist
from voxledger.schema import LabelSchema

SCHEMA = LabelSchema.model_validate(
    {"name": "two", "classes": [{"id": 1, "name": "organ"}, {"id": 2, "name": "lesion", "inside": "organ"}]}
)
GRID = Grid((6, 12, 10), (3.0, 0.8, 0.8), (-7.0, 3.0, 100.0), (0.8, 0.6, 0.0, -0.6, 0.8, 0.0, 0.0, 0.0, 1.0))


def lesion(*where: Any) -> np.ndarray:
    mask = np.zeros(GRID.shape, np.bool_)
    mask[where] = True
    return mask


def diameter(mask: np.ndarray | None = None) -> dict[str, Any]:
    return recist(lesion(3, slice(2, 9), slice(4, 7)) if mask is None else mask, GRID, "lesion")


def read(values: Any) -> str:
    content = values if isinstance(values, bytes) else json.dumps(values).encode()
    return parse_recist(content, "weak/a.json", "a", GRID, SCHEMA).to_json()


@pytest.mark.parametrize(
    "mask", [None, lesion(0, 0, 0), lesion(5, 11, 9), lesion(slice(None), slice(None), slice(None))]
)
def test_what_the_phantoms_write_is_a_diameter(mask: np.ndarray | None) -> None:
    values = diameter(mask)
    assert json.loads(read(values)) == values | {"case": "a"}
    assert read(values | {"case": "a"}) == read(dict(reversed(values.items())))


def changed(**values: Any) -> dict[str, Any]:
    return diameter() | values


@pytest.mark.parametrize(
    ("values", "said"),
    [
        (changed(PatientName="DOE^JANE", ward="7b"), "unknown keys PatientName, ward"),
        (changed(type="recist of Jane Doe"), "type: "),
        (changed(**{"class": "Jane Doe"}), "class: "),
        (changed(**{"class": "kidney"}), "class: "),
        (changed(case="b"), "case: "),
        (changed(case="Jane Doe"), "case: "),
        (changed(slice="3"), "slice: "),
        (changed(slice=3.5), "slice: "),
        (changed(slice=6), "slice: "),
        (changed(slice=2), "points_lps_mm: "),
        (changed(slice=-1), "slice: "),
        (changed(points_lps_mm=["Jane", "Doe"]), "points_lps_mm"),
        (changed(points_lps_mm=diameter()["points_lps_mm"][:1]), "points_lps_mm"),
        (changed(points_lps_mm=[[0.0, 0.0, 109.0], [1.0, 1.0, 109.0, 1970.0]]), "points_lps_mm"),
        (changed(points_lps_mm=[[0.0, 0.0, 109.0], [19700101.0, 0.0, 109.0]]), "points_lps_mm: "),
        (changed(long_diameter_mm=19700101), "long_diameter_mm: "),
        (changed(long_diameter_mm=float("nan")), "long_diameter_mm: "),
        (changed(long_diameter_mm=0), "long_diameter_mm: "),
        (changed(long_diameter_mm="5.6 (Doe)"), "long_diameter_mm: "),
        ({k: v for k, v in diameter().items() if k != "slice"}, "slice: "),
        ([diameter()], "is no RECIST diameter"),
        ("Jane Doe", "is no RECIST diameter"),
        (b"\xff\xfe", "is no RECIST diameter"),
        (b"", "is no RECIST diameter"),
        (b"[" * 100_000, "is no RECIST diameter"),
        (b" " * 2_000_000 + b"{}", "is no RECIST diameter"),
    ],
)
def test_a_diameter_that_says_something_else_is_refused_by_key_and_without_its_value(values: Any, said: str) -> None:
    with pytest.raises(CaseRefused) as caught:
        read(values)
    assert said in caught.value.problem
    assert "weak/a.json" in caught.value.problem
    assert not {"Doe", "JANE", "DOE"} & set(str(caught.value).replace("^", " ").split())


def test_a_patient_name_beside_a_diameter_does_not_enter_the_repository(folder: Path) -> None:
    """`cases add --weak` copied any JSON into data/weak, and from there into every bundle."""
    image = np.random.default_rng(0).integers(-1000, 200, GRID.shape).astype(np.int16)
    write(folder / "in/a.nii.gz", image, GRID)
    Path("weak").mkdir()
    Path("weak/a.json").write_text(json.dumps(diameter() | {"patient": {"name": "DOE^JANE"}}))
    with pytest.raises(CaseRefused, match="unknown keys patient"):
        add_cases(Incoming(folder / "in", weak=folder / "weak"), SCHEMA, CasesParams())
    found = [p for top in ("data", ".memo") for p in Path(top).rglob("*") if p.is_file()]
    assert not [p for p in found if b"DOE" in p.read_bytes()]
    assert not Path("data/weak").exists()
    Path("weak/a.json").write_text(json.dumps(diameter(), indent=7))
    (case,) = add_cases(Incoming(folder / "in", weak=folder / "weak"), SCHEMA, CasesParams()).cases
    assert case.weak_label == "data/weak/a.json"
    assert Path(case.weak_label).read_text() == read(diameter())


def test_a_key_that_is_there_twice_is_kept_once() -> None:
    """JSON may name a key twice; parsers take the last, so the first would be copied unseen."""
    text = json.dumps(diameter())
    twice = f'{{"type": "DOE^JANE", {text[1:]}'
    assert read(twice.encode()) == read(diameter())
