"""What is marked in a case is predicted by the interactive model, which has the only say in it."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from interactive import MARKS, mark_recist, mark_slice, opened, train_tiny
from memo_keys import keys_of
from small_cases import GRID, draw

from voxledger import layout
from voxledger.errors import VoxledgerError
from voxledger.imaging.soft import ensemble_box, ensemble_mean, open_soft
from voxledger.imaging.volume import file_sha256, read, write
from voxledger.infer import predict as stage
from voxledger.infer.predict import predict_cases, predict_round, require_predictions
from voxledger.models.precomputed.adopt import add_precomputed
from voxledger.params import InferParams, MachineParams, RetrainParams
from voxledger.records.ledger import Entry, Origin, WeakMark, write_ledger
from voxledger.records.predicted import ensembles, read_predicted, write_predicted
from voxledger.retrain.run import retrain_round

OUT = Path("predictions")


def predict(small, out=OUT, workers=1):
    return predict_cases(
        small.cases, layout.BASE_MODELS, out, small.schema, InferParams(), MachineParams(workers=workers)
    )


def marked(rows):
    return {row.case_id: row for row in rows if row.model == MARKS}


@pytest.fixture
def interactive(small):
    """The small cases with an interactive model beside one from elsewhere, which knows all classes."""
    train_tiny(small)
    for number in range(4):
        write(f"files/c{number}.nii.gz", draw(number)[1], GRID)
    add_precomputed("atlas", Path("files"), "atlas-1", "CC0-1.0", small.cases, small.schema, layout.BASE_MODELS, 0)
    return small


def test_only_what_is_marked_is_predicted(interactive):
    mark_slice("c0", 0)
    mark_recist("c2", 2)
    rows = marked(predict(interactive))
    assert {case: row.classes for case, row in rows.items()} == {"c0": ("spleen",), "c2": ("lesion",)}
    for case, row in rows.items():
        soft = open_soft(OUT / row.file)
        assert (soft.classes, soft.marked, soft.model_id) == (row.classes, True, opened(interactive).card.id)
        assert soft.part is None
        assert soft.image_sha256 == next(c.sha256 for c in interactive.cases if c.case_id == case)
        assert soft.read(row.classes[0]).max() > 0


def test_other_models_have_no_say_in_what_is_marked(interactive):
    mark_recist("c2", 2)
    predict(interactive)
    for case in ("c1", "c2"):
        both = [open_soft(path) for path in sorted(OUT.glob(f"*/{case}.b2nd"))]
        own, alone = {p.model_id: p for p in both}, len(both) == 1
        assert alone is (case == "c1")
        atlas = own["atlas-1"].read("lesion").astype(np.float32)
        mean = ensemble_mean(both, "lesion")
        if alone:
            np.testing.assert_array_equal(mean, atlas)
        else:
            found = own[opened(interactive).card.id]
            np.testing.assert_array_equal(mean, found.read("lesion").astype(np.float32))
            assert not np.array_equal(mean, atlas)
            assert ensemble_box(both, "lesion") == found.boxes["lesion"]
        # Of the other classes the interactive model says nothing.
        np.testing.assert_array_equal(ensemble_mean(both, "spleen"), own["atlas-1"].read("spleen").astype(np.float32))


def test_the_table_names_the_weak_labels_and_the_one_model_that_was_told(interactive):
    mark_recist("c2", 2)
    rows = predict(interactive)
    write_predicted(Path("infer.jsonl"), rows)
    assert read_predicted(Path("infer.jsonl")) == rows
    lines = [json.loads(line) for line in Path("infer.jsonl").read_text().splitlines()]
    assert [line["case_id"] for line in lines if "weak" in line] == ["c2"]
    ((name, mark),) = marked(rows)["c2"].weak
    assert name == "lesion"
    assert mark.startswith("recist/json/")
    found = ensembles(rows)
    assert dict(found["c2"].by_class) == {
        "organ": ("atlas-1",),
        "lesion": (opened(interactive).card.id,),
        "spleen": ("atlas-1",),
    }
    assert dict(found["c2"].weak) == {"lesion": (mark,)}
    assert dict(found["c1"].weak) == {}


def test_a_weak_label_that_changes_computes_its_case_alone(interactive):
    mark_recist("c1", 1)
    mark_recist("c2", 2)
    predict(interactive)
    before = file_sha256(OUT / MARKS / "c1.b2nd"), file_sha256(OUT / MARKS / "c2.b2nd")
    first = keys_of(stage, lambda: predict(interactive))
    mark_recist("c2", 2, stretch=-1.0)
    second = keys_of(stage, lambda: predict(interactive))
    assert first.keys() == second.keys()
    assert [name for name in first if first[name] != second[name]] == [f"c2 ({MARKS})"]
    predict(interactive)
    assert file_sha256(OUT / MARKS / "c1.b2nd") == before[0]
    assert file_sha256(OUT / MARKS / "c2.b2nd") != before[1]


def test_cases_that_models_are_judged_by_are_seen_as_nobody_marked_them(interactive):
    mark_slice("c3", 3)
    mark_slice("c1", 1)
    assert list(marked(predict(interactive))) == ["c1"]


def train_network(small, tiny):
    """One that knows all classes, in models/base."""
    retrain_round(small.cases, small.schema, small.ledger, 0, RetrainParams(models={"unet": tiny["unet"]}),
                  MachineParams(workers=1))  # fmt: skip
    shutil.move(layout.NEXT_MODELS / "unet", layout.BASE_MODELS / "unet")


def reject(small, name, told, **change):
    """The ledger says that people rejected a class of c2 as it was predicted."""
    marks = tuple(WeakMark.parse(mark) for of, mark in told if of == name)
    model_ids = (opened(small).card.id,)
    said = Entry("c2", name, 1, Origin.REJECTED, model_ids, "bob", "b" * 64, "c" * 64, "", 0.0, weak=marks)
    write_ledger(layout.BASE_LEDGER, {("c2", name): replace(said, **change)}, small.schema.names)


@pytest.mark.parametrize(
    ("change", "speaks"),
    [
        ({}, False),
        ({"origin": Origin.PREDICTED}, True),
        ({"model_ids": ("another",)}, True),  # it has been trained since
        ({"weak": ()}, True),  # marked since
        (None, True),  # no network knows the class
    ],
)
def test_what_people_rejected_is_not_predicted_again_in_the_same_way(interactive, tiny, change, speaks):
    mark_recist("c2", 2)
    mark_slice("c1", 1)
    reject(interactive, "lesion", marked(predict(interactive))["c2"].weak, **(change or {}))
    if change is not None:
        train_network(interactive, tiny)
    rows = predict(interactive)
    assert list(marked(rows)) == (["c1", "c2"] if speaks else ["c1"])
    has_a_say = ensembles(rows)["c2"].by_class["lesion"]
    assert (has_a_say == (opened(interactive).card.id,)) is speaks
    assert ("atlas-1" in has_a_say) is not speaks


def test_what_else_is_marked_in_the_case_is_predicted(interactive, tiny):
    mark_slice("c2", 2, (2, 7))
    told = marked(predict(interactive))["c2"].weak
    assert [name for name, _ in told] == ["lesion", "spleen"]
    reject(interactive, "spleen", told)
    train_network(interactive, tiny)
    assert marked(predict(interactive))["c2"].weak == told[:1]


def test_several_objects_of_a_class_are_predicted_together(interactive):
    mark_recist("c2", 2)
    predict(interactive)
    alone = open_soft(OUT / MARKS / "c2.b2nd").read("lesion")
    path = layout.weak_marks("c2")
    said = json.loads(path.read_text())
    point = [[x + 8.0, y + 6.0, z] for x, y, z in said["marks"][0]["points_lps_mm"][:1]]
    said["marks"].append({"type": "point", "class": "lesion", "point_lps_mm": point[0]})
    path.write_text(json.dumps(said))
    rows = marked(predict(interactive))
    both = open_soft(OUT / MARKS / "c2.b2nd").read("lesion")
    assert len(rows["c2"].weak) == 2
    assert (both >= alone).all()
    assert (both > alone).any()


def test_an_organ_that_is_marked_includes_the_lesion_that_is_marked_in_it(interactive):
    mark_slice("c0", 0, (1, 2))
    rows = marked(predict(interactive))
    assert rows["c0"].classes == ("organ", "lesion")
    soft = open_soft(OUT / MARKS / "c0.b2nd")
    assert (soft.read("organ") >= soft.read("lesion")).all()


def test_an_image_that_is_the_same_everywhere_does_not_end_the_stage(interactive):
    image = read("images/c1.nii.gz")
    write("images/c1.nii.gz", np.zeros_like(image.array), image.grid)
    cases = [replace(c, sha256=file_sha256(c.image)) if c.case_id == "c1" else c for c in interactive.cases]
    shutil.rmtree(layout.BASE_MODELS / "atlas")
    mark_recist("c1", 1)
    mark_recist("c2", 2)
    rows = marked(predict(replace(interactive, cases=cases)))
    assert {case: row.classes for case, row in rows.items()} == {"c1": ("lesion",), "c2": ("lesion",)}
    assert not open_soft(OUT / MARKS / "c1.b2nd").read("lesion").any()
    assert open_soft(OUT / MARKS / "c2.b2nd").read("lesion").any()


def test_a_weak_label_that_does_not_fit_its_case_is_refused_by_name(interactive):
    mark_recist("c2", 2)
    path = layout.weak_marks("c2")
    path.write_text(path.read_text().replace('"lesion"', '"tumour"'))
    with pytest.raises(VoxledgerError, match=r"c2\.json"):
        predict(interactive)


def test_predictions_that_are_not_here_are_made_again(interactive):
    mark_recist("c2", 2)
    table = Path("infer.jsonl")
    rows = predict_round(
        interactive.cases, layout.BASE_MODELS, OUT, interactive.schema, InferParams(), MachineParams(workers=1)
    )
    write_predicted(table, rows)
    first = file_sha256(OUT / MARKS / "c2.b2nd")
    shutil.rmtree(OUT)
    shutil.rmtree(".memo")
    again = (interactive.cases, interactive.schema, InferParams(), MachineParams(workers=1))
    require_predictions(*again, models_dir=layout.BASE_MODELS, out=OUT, table=table)
    assert file_sha256(OUT / MARKS / "c2.b2nd") == first
    shutil.rmtree(OUT)
    mark_recist("c2", 2, stretch=-1.0)
    with pytest.raises(VoxledgerError, match=f"lists other predictions .*{MARKS}/c2"):
        require_predictions(*again, models_dir=layout.BASE_MODELS, out=OUT, table=table)


@pytest.mark.slow
def test_worker_processes_give_the_same_bytes(interactive):
    for number in range(3):
        mark_recist(f"c{number}", number)
    predict(interactive)
    first = {p.name: file_sha256(p) for p in (OUT / MARKS).iterdir()}
    shutil.rmtree(".memo")
    predict(interactive, Path("again"), workers=2)
    assert {p.name: file_sha256(p) for p in (Path("again") / MARKS).iterdir()} == first
