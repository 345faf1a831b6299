"""What the classes of a model from elsewhere are called here."""

from __future__ import annotations

import re
from pathlib import Path

import nibabel
import pytest

from voxledger.errors import Misuse
from voxledger.models.class_map import class_map, ready_maps
from voxledger.schema import FormerName, LabelClass, LabelSchema, read_schema

THEIRS = ["Liver", "L1", "L2", "hip"]
SCHEMA = LabelSchema(name="here", classes=(LabelClass(id=1, name="liver"), LabelClass(id=4, name="spine")))
TEMPLATE = Path(__file__).parents[2] / "labels.yaml"


def write_map(folder: Path, text: str) -> str:
    (folder / "map.yaml").write_text(text)
    return str(folder / "map.yaml")


def test_one_to_one_several_to_one_and_ignored(tmp_path):
    path = write_map(tmp_path, "hip: ignore\nL2: spine\nL1: spine\nLiver: liver\n")
    assert list(class_map(path, THEIRS, SCHEMA).items()) == [
        ("Liver", "liver"), ("L1", "spine"), ("L2", "spine"), ("hip", "ignore"),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "problem", "remedy"),
    [
        ("Liver: liver\nL1: spine\n", "does not have these classes of the model: L2, hip", "ignore"),
        ("Liver: lever\nL1: spine\nL2: spine\nhip: ignore\n", "Liver: lever is not a class of labels.yaml", "liver"),
        ("Liver: 1\nL1: spine\nL2: spine\nhip: ignore\n", "Liver: 1 is not a class", "use ignore or one of liver"),
        ("Lever: liver\n", "names classes that the model does not have: Lever", "it has Liver, L1"),
        ("Liver: ignore\nL1: ignore\nL2: ignore\nhip: ignore\n", "maps no class of the model", "a say in"),
        ("Liver: background\nL1: spine\nL2: spine\nhip: ignore\n", "background is not a class", "use ignore"),
    ],
)
def test_a_map_that_guesses_or_names_what_is_not_there_is_refused(tmp_path, text, problem, remedy):
    with pytest.raises(Misuse, match=problem) as refused:
        class_map(write_map(tmp_path, text), THEIRS, SCHEMA)
    assert remedy in refused.value.remedy


def test_without_a_map_names_must_be_those_of_the_schema():
    assert class_map(None, ["spine", "liver"], SCHEMA) == {"spine": "spine", "liver": "liver"}
    with pytest.raises(Misuse, match=r"labels\.yaml does not have these classes of the model: hip"):
        class_map(None, ["spine", "hip"], SCHEMA)


def test_a_map_under_a_former_name_is_told_todays(tmp_path):
    former = FormerName(name="spinal", round=2, date="2025-01-01")
    schema = LabelSchema(name="here", classes=(LabelClass(id=4, name="spine", formerly=(former,)),))
    with pytest.raises(Misuse, match="spinal is not a class") as refused:
        class_map(write_map(tmp_path, "L1: spinal\n"), ["L1"], schema)
    assert "it is called spine since round 2" in refused.value.remedy


def test_a_missing_map_is_named():
    with pytest.raises(Misuse, match=r"nowhere\.yaml: no such file"):
        class_map("nowhere.yaml", THEIRS, SCHEMA)


def test_the_map_of_totalsegmentator_has_all_its_classes(shared_data):
    """Names in the header of a label map that it wrote itself; classes that the template has not are ignored."""
    label_map = shared_data / "totalsegmentator/example_seg_fast_force_split.nii.gz"
    (extension,) = nibabel.load(label_map).header.extensions
    names = re.findall(r'Key="\d+".*?CDATA\[(\w+)\]', extension.get_content().decode())
    assert len(names) == 117
    found = class_map("totalsegmentator", names, read_schema(TEMPLATE))
    assert found["inferior_vena_cava"] == "postcava"
    assert found["gallbladder"] == "gallbladder"
    assert {name for name, ours in found.items() if ours == "spine"} == {
        "sacrum", *(name for name in names if name.startswith("vertebrae_")),
    }  # fmt: skip
    assert found["lung_upper_lobe_left"] == found["heart"] == "ignore"
    organs = {ours for ours in found.values() if ours != "ignore"}
    lesions = {c.name for c in read_schema(TEMPLATE).classes if c.inside}
    assert organs == set(read_schema(TEMPLATE).names) - lesions


def test_a_ready_map_prefers_the_models_own_names():
    classes = [LabelClass(id=i, name=n) for i, n in enumerate(("lung_left", "lung_upper_lobe_left"), 1)]
    found = class_map(
        "totalsegmentator", ["lung_lower_lobe_left", "lung_upper_lobe_left"], LabelSchema(name="l", classes=classes)
    )
    assert found == {"lung_lower_lobe_left": "lung_left", "lung_upper_lobe_left": "lung_upper_lobe_left"}


def test_the_map_of_abdomenatlas_fits_the_template():
    names = ["gall_bladder", "postcava", "liver", "rectum"]
    found = class_map("abdomenatlas", names, read_schema(TEMPLATE))
    assert found == {"gall_bladder": "gallbladder", "postcava": "postcava", "liver": "liver", "rectum": "ignore"}


def test_ready_maps_name_source_and_licence():
    from voxledger.models.class_map import _READY
    from voxledger.textfile import read_yaml

    for name in ready_maps():
        values = read_yaml(_READY / f"{name}.yaml", "source", "licence", "classes")
        assert "https://" in values["source"]
        assert all(theirs in ours for theirs, ours in values["classes"].items())
