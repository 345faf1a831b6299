"""The filter stage on a small repository."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from memo_keys import keys_of

from voxledger.algorithms import VERSIONS
from voxledger.errors import CasesFailed
from voxledger.filter import run as stage
from voxledger.filter.decisions import COLUMNS, read_decisions
from voxledger.filter.run import filter_round, thresholds_of
from voxledger.imaging.detection import ANY, Step, read_steps
from voxledger.imaging.soft import write_soft
from voxledger.imaging.volume import Grid, file_sha256, read_label, write
from voxledger.params import FilterParams, MachineParams
from voxledger.records.cases import Case, Split
from voxledger.records.ledger import Entry, Ledger, Origin
from voxledger.schema import LabelSchema

SHAPE = (8, 10, 12)
RULES = [
    {"rule": "largest_component", "classes": ["pancreas"]},
    {"rule": "inside_organ", "classes": ["pdac"]},
    {"rule": "minimum_volume", "ml": 0.002, "classes": ["pdac"]},
]
OUT = Path("data/round")
LABELS = Path("data/base/labels")


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> list[Case]:
    """Three cases with the predictions of two models; the external one has none."""
    monkeypatch.chdir(tmp_path)
    cases = []
    grid = Grid.plain(SHAPE)
    for number, split in enumerate([Split.POOL, Split.CALIBRATION, Split.TEST, Split.EXTERNAL]):
        case_id = f"case-{number}"
        image = f"data/images/{case_id}.nii.gz"
        write(image, np.full(SHAPE, 40 + number, np.int16), grid)
        digest = file_sha256(image)
        cases.append(Case(case_id, image, digest, digest, "site", "CC0-1.0", split, "CT", ""))
        pancreas = np.zeros(SHAPE, np.float32)
        pancreas[2:6, 2:6, 2:6] = 0.9
        pdac = np.zeros(SHAPE, np.float32)
        pdac[3, 3, 3:5] = 0.8
        pdac[7, 9, 11] = 0.7
        pdac[7, 0, 11] = 0.4 if split is Split.CALIBRATION else 0
        for model in ("a", "b"):
            if split is not Split.EXTERNAL:
                write_soft(
                    f"data/round/predictions/{model}/{case_id}.b2nd",
                    [("pancreas", pancreas), ("pdac", pdac)],
                    ["pancreas", "pdac"],
                    grid,
                    model,
                    digest,
                )
    return cases


def run(
    cases: list[Case],
    schema: LabelSchema,
    workers: int = 1,
    ledger: Ledger | None = None,
    overlap: float = 0.1,
    **calibrated: float,
) -> list[Step]:
    machine = MachineParams(workers=workers)
    params = FilterParams(rules=RULES)
    return filter_round(cases, OUT / "predictions", schema, params, calibrated, machine, ledger or {}, overlap)[0]


def test_outputs(repository: list[Case], schema: LabelSchema) -> None:
    run(repository, schema)
    assert sorted(p.name for p in (OUT / "pseudo").iterdir()) == [f"case-{i}.nii.gz" for i in range(3)]
    labels = read_label(OUT / "pseudo/case-1.nii.gz")
    assert (labels == 7).sum() == 2
    assert (labels == 5).sum() == 62
    decisions = [d for d in read_decisions(OUT / "filter.csv") if d.case_id == "case-1"]
    assert [(d.class_name, d.rule, d.component, d.voxels, d.outcome.value) for d in decisions] == [
        ("pancreas", "largest_component", 1, 64, "kept"),
        ("pdac", "inside_organ", 1, 2, "kept"),
        ("pdac", "inside_organ", 2, 1, "removed"),
        ("pdac", "minimum_volume", 1, 2, "kept"),
    ]
    assert {d.mean_hu for d in decisions} == {41.0}
    assert len((OUT / "filter.jsonl").read_text().splitlines()) == 3


def test_what_a_rule_took_of_a_true_lesion_is_told_with_what_would_have_kept_it(
    repository: list[Case], schema: LabelSchema
) -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[7, 9, 10:12] = truth[3, 3, 3] = schema["pdac"].id
    for n in (1, 2):
        write(LABELS / f"case-{n}.nii.gz", truth, Grid.plain(SHAPE))
    ledger = {
        (f"case-{n}", "pdac"): Entry(f"case-{n}", "pdac", 0, Origin.SOURCE, (), "", "", "", "", 0.0) for n in (1, 2)
    }
    params, machine = FilterParams(rules=RULES), MachineParams(workers=1)
    (advice,) = filter_round(repository, OUT / "predictions", schema, params, {}, machine, ledger, 0.1)[1]
    assert (advice.step, advice.rule, advice.class_name) == (2, "inside_organ", "pdac")
    (taken,) = advice.taken  # case-2 is a test case
    assert (taken.case_id, taken.component, taken.ml, taken.measured) == ("case-1", 2, 0.001, 0.0)
    assert taken.needed == pytest.approx(np.sqrt(2**2 + 4**2 + 6**2))
    assert advice.keeps == "grown_mm: 7.5"


def test_an_image_that_is_not_the_registered_one_is_refused(repository: list[Case], schema: LabelSchema) -> None:
    """Else what was measured on it would be remembered, and come back once the image is restored."""
    run(repository, schema)
    rules = (OUT / "filter.csv").read_bytes()
    shutil.rmtree(".memo")
    kept = Path(repository[1].image).read_bytes()
    write(repository[1].image, np.full(SHAPE, -500, np.int16), Grid.plain(SHAPE))
    with pytest.raises(CasesFailed, match=r"case-1.*is not the image that was registered"):
        run(repository, schema)
    Path(repository[1].image).write_bytes(kept)
    run(repository, schema)
    assert (OUT / "filter.csv").read_bytes() == rules


def test_a_proposal_is_remembered_by_all_that_it_depends_on(
    repository: list[Case], schema: LabelSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    def keys(case: Case = repository[1], of: LabelSchema = schema, **kwargs: Any) -> str:
        return next(iter(keys_of(stage, lambda: run([case], of, **kwargs)).values()))

    first = keys()
    assert keys() == first
    truth = Entry("case-1", "pdac", 0, Origin.SOURCE, (), "", "", "", "", 0.0)
    cyst = replace(truth, class_name="cyst")
    lesions = {("case-1", "pdac"): truth}
    write(LABELS / "case-1.nii.gz", np.zeros(SHAPE, np.uint8), Grid.plain(SHAPE))
    changed = [
        keys(replace(repository[1], case_id="case-2")),
        keys(replace(repository[1], split=Split.TEST)),
        keys(replace(repository[1], sha256="x")),
        keys(replace(repository[1], modality="MR")),
        keys(of=schema.model_copy(update={"classes": schema.classes[:7] + schema.classes[7:][::-1]}), pdac=0.1),
        keys(of=schema.model_copy(update={"name": "other"})),
        keys(pdac=0.3),
        keys(ledger=lesions),
        keys(ledger=lesions | {("case-1", "cyst"): cyst}),
        keys(overlap=0.0),
    ]
    write(LABELS / "case-1.nii.gz", np.ones(SHAPE, np.uint8), Grid.plain(SHAPE))
    changed.append(keys(ledger=lesions))
    monkeypatch.setitem(RULES[2], "ml", 0.003)
    changed.append(keys())
    monkeypatch.setitem(VERSIONS, "filter", -1)
    changed.append(keys())
    (OUT / "predictions/b/case-1.b2nd").unlink()
    changed.append(keys())
    assert len({first, *changed}) == 1 + len(changed)


def test_same_bytes_with_other_workers(
    repository: list[Case], schema: LabelSchema, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("VOXLEDGER_NO_MEMO", "1")
    run(repository, schema)
    files = sorted(p for p in OUT.rglob("*") if p.is_file())
    first = {p: file_sha256(p) for p in files}
    run(repository, schema, workers=2)
    assert {p: file_sha256(p) for p in files} == first


def test_calibrated_threshold(repository: list[Case], schema: LabelSchema) -> None:
    def candidates() -> set[int]:
        return {d.component for d in read_decisions(OUT / "filter.csv") if d.class_name == "pdac"}

    run(repository, schema, pdac=0.3)
    assert candidates() == {1, 2, 3}  # a third one of 0.4
    run(repository, schema)
    assert candidates() == {1, 2}


def test_params_name_a_threshold_over_the_calibrated_one(schema: LabelSchema) -> None:
    params = FilterParams(threshold=0.4, thresholds={"pdac": 0.2})
    found = thresholds_of(schema, params, {"pdac": 0.003, "cyst": 0.01})
    assert (found["pdac"], found["cyst"], found["liver"]) == (0.2, 0.01, 0.4)


def test_calibration_never_raises_a_threshold(schema: LabelSchema) -> None:
    assert thresholds_of(schema, FilterParams(), {"pdac": 0.98})["pdac"] == 0.5


def test_no_models(repository: list[Case], schema: LabelSchema) -> None:
    filter_round(repository, Path("nowhere"), schema, FilterParams(), {}, MachineParams(), {}, 0.1)
    assert list((OUT / "pseudo").iterdir()) == []
    assert (OUT / "filter.csv").read_text() == ",".join(COLUMNS) + "\n"
    assert (OUT / "filter.jsonl").read_text() == ""


def test_prediction_of_another_image(repository: list[Case], schema: LabelSchema) -> None:
    write(repository[1].image, np.ones(SHAPE, np.int16), Grid.plain(SHAPE))
    changed = file_sha256(repository[1].image)
    repository[1] = Case(**{**vars(repository[1]), "sha256": changed})
    with pytest.raises(CasesFailed, match=r"case-1: .*predicted from another image"):
        run(repository, schema)


def trust(case_id: str, *names: str) -> Ledger:
    return {(case_id, n): Entry(case_id, n, 0, Origin.SOURCE, (), "", "", "", "", 0.0) for n in names}


def test_what_rules_do_to_true_lesions(repository: list[Case], schema: LabelSchema) -> None:
    truth = np.zeros(SHAPE, np.uint8)
    truth[3, 3, 3] = 7  # half of the first candidate
    truth[7, 9, 11] = 7  # all of the second, which lies outside the pancreas
    truth[0, 0, 0] = 8
    write(LABELS / "case-1.nii.gz", truth, Grid.plain(SHAPE))
    before = run(repository, schema)
    pseudo = (OUT / "pseudo/case-1.nii.gz").read_bytes()
    assert before == []
    steps = run(repository, schema, ledger=trust("case-1", "pdac"))
    assert (OUT / "pseudo/case-1.nii.gz").read_bytes() == pseudo  # labels change nothing
    assert steps == read_steps(OUT / "detection.csv")
    assert [(s.step, s.rule, s.components, s.true_components, s.true_voxels, s.hit) for s in steps] == [
        (0, "threshold", 2, 2, 2, (True, True)),
        (1, "largest_component", 2, 2, 2, (True, True)),
        (2, "inside_organ", 1, 1, 1, (True, False)),
        (3, "minimum_volume", 1, 1, 1, (True, False)),
    ]
    assert {(s.case_id, s.split, s.class_name) for s in steps} == {("case-1", "calibration", "pdac")}
    both = run(repository, schema, ledger=trust("case-1", "pdac", "cyst"))
    assert [s.hit for s in both if s.class_name == "cyst"] == [(False,)] * 4
    assert [s.hit for s in both if s.class_name == ANY][-1] == (False, True, False)


def test_label_of_another_grid(repository: list[Case], schema: LabelSchema) -> None:
    write(LABELS / "case-1.nii.gz", np.zeros((8, 10, 13), np.uint8), Grid.plain((8, 10, 13)))
    with pytest.raises(CasesFailed, match=r"case-1: .*case-1.nii.gz does not lie on the grid"):
        run(repository, schema, ledger=trust("case-1", "pdac"))
