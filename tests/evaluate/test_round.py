"""A whole evaluation of a small repository: numbers, files, bytes, failures."""

from __future__ import annotations

import csv
import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from memo_keys import keys_of

from voxledger import layout
from voxledger.algorithms import VERSIONS
from voxledger.audit import Audit
from voxledger.errors import CasesFailed, Misuse, VoxledgerError
from voxledger.evaluate import round as stage
from voxledger.evaluate.case_metrics import Generation
from voxledger.evaluate.history import read_audits, unbroken
from voxledger.imaging.soft import NOWHERE, open_soft, write_soft
from voxledger.imaging.volume import read_label, write
from voxledger.records.card import ENSEMBLE
from voxledger.records.decisions import Decision
from voxledger.records.drawn import Drawn, write_drawn
from voxledger.records.history import HistoryRow

ROW = HistoryRow(
    0,
    "test",
    "next",
    "unet",
    0.5,
    0.4,
    0.6,
    4,
    0.25,
    1,
    2.5,
    10.0,
    1,
    90.0,
    5,
    1,
    "abc",
    3,
    2,
    1,
    0,
    ("liver",),
    0.01,
    4,
)
OUTPUTS = ["cases.csv", "history.csv", "metrics.json", "plots/class_dice.csv", "plots/learning_curve.csv", "round.html"]


def table(path):
    with open(path, encoding="utf-8", newline="") as stream:
        return list(csv.DictReader(stream))


def outputs(folder="reports"):
    return {n: Path(folder, n).read_bytes() for n in OUTPUTS}


def test_a_round(repository, evaluated):
    evaluated()
    metrics = json.loads(Path("reports/metrics.json").read_text("utf-8"))
    assert (metrics["round"], metrics["cases_reviewed"], metrics["share_labelled"]) == (1, 2, 0.75)
    assert (metrics["minutes"], metrics["minutes_total"], metrics["scratch_minutes_total"]) == (12.0, 22.0, 30.0)
    assert set(metrics["test"]["next"]) == {"nnunet", "unet", ENSEMBLE}
    for where in (metrics["test"], metrics["external"]["site-b"]):
        for model in where["next"]:
            mean = where["next"][model]["mean"]
            assert where["base"][model]["mean"]["dice"] < mean["dice"]
            assert mean["low"] <= mean["dice"] <= mean["high"]
    assert (
        metrics["test"]["next"]["nnunet"]["classes"]["cyst"]["n"] == 2
    )  # two of four have one; both empty is no value

    rows = table("reports/cases.csv")
    assert len(rows) == 7 * 2 * 3 * 3
    one = next(
        r
        for r in rows
        if (r["case_id"], r["stage"], r["model"], r["class_name"]) == ("test-1", "next", "nnunet", "cyst")
    )
    assert (one["dice"], one["hd95_mm"], one["volume_error_ml"], one["reference_ml"]) == (
        "nan",
        "nan",
        "0.0000",
        "0.0000",
    )
    liver = [
        r for r in rows if (r["set"], r["stage"], r["model"], r["class_name"]) == ("test", "base", "nnunet", "liver")
    ]
    mean = np.mean([float(r["dice"]) for r in liver])
    assert metrics["test"]["base"]["nnunet"]["classes"]["liver"]["dice"] == pytest.approx(mean, abs=1e-4)
    assert len(liver) == 4

    history = table("reports/history.csv")
    assert [(r["round"], r["model"]) for r in history[:2]] == [("0", "ensemble"), ("0", "nnunet")]
    assert len(history) == 2 + 2 * 2 * 3
    curve = table("reports/plots/learning_curve.csv")
    assert [r["round"] for r in curve] == ["0", "0", *["1"] * 6]
    assert {r["stage"] for r in table("reports/plots/class_dice.csv")} == {"base", "next"}


def test_one_voxel_shift_by_hand(repository, evaluated):
    """The base nnU-Net is two voxels off along x: its Dice can be counted."""
    evaluated()
    labels = repository.labels["test-0"]
    mask = labels == 1
    expected = 2 * (mask & np.roll(mask, 2, 2)).sum() / (2 * mask.sum())
    row = next(
        r for r in table("reports/cases.csv") if (r["case_id"], r["stage"], r["model"]) == ("test-0", "base", "nnunet")
    )
    assert float(row["dice"]) == pytest.approx(expected, abs=1e-4)
    inner = np.isin(labels, (2, 3))
    expected = 2 * (inner & np.roll(inner, 2, 2)).sum() / (2 * inner.sum())
    row = next(
        r
        for r in table("reports/cases.csv")
        if (r["case_id"], r["stage"], r["model"], r["class_name"]) == ("test-0", "base", "nnunet", "pancreas")
    )
    assert float(row["dice"]) == pytest.approx(expected, abs=1e-4)


def test_no_picture_of_another_image_is_remembered(repository, evaluated):
    evaluated()
    first = outputs()
    shutil.rmtree(".memo")
    image = Path(repository.cases[0].image)
    kept = image.read_bytes()
    image.write_bytes(Path(repository.cases[1].image).read_bytes())
    with pytest.raises(VoxledgerError, match="is not the image that was registered"):
        evaluated()
    image.write_bytes(kept)
    evaluated()
    assert outputs() == first


def test_bytes_repeat_with_and_without_memo_and_in_any_order(repository, evaluated, monkeypatch):
    evaluated()
    first = outputs()
    evaluated()
    assert outputs() == first
    monkeypatch.setenv("VOXLEDGER_NO_MEMO", "1")
    evaluated(cases=repository.cases[::-1])
    assert outputs() == first


@pytest.mark.slow
def test_bytes_do_not_depend_on_workers(repository, evaluated, monkeypatch):
    evaluated()
    first = outputs()
    monkeypatch.setenv("VOXLEDGER_NO_MEMO", "1")
    evaluated(workers=2)
    assert outputs() == first


def test_the_report_stands_alone_and_escapes(repository, evaluated):
    rows = Path("data/round/decisions.csv").read_text("utf-8").replace("boundary", "<script>alert(1)</script>")
    Path("data/round/decisions.csv").write_text(rows, "utf-8")
    for name in ("b", "a"):
        Path(f"{name}.html").write_text(f"<h2>Section {name}</h2><p><b>kept</b></p>", "utf-8")
    evaluated(sections=[Path("b.html"), Path("a.html")])
    html = Path("reports/round.html").read_text("utf-8")
    assert "<script" not in html
    assert "&lt;script&gt;" in html
    assert html.index("Section a") < html.index("Section b")
    assert "<b>kept</b>" in html
    assert re.findall(r'(?:src|href)="(?!data:image/)[^"]*"', html) == []
    assert html.count("data:image/png;base64,") == 7
    assert "test-0" in html
    assert "accept" in html
    assert re.search(r"<th>How hard</th>.*?<tr><td>hard</td><td>3</td><td>8(\.0)?</td></tr>", html, re.DOTALL)


def test_round_zero_has_no_base(repository, evaluated):
    Path("data/base/history.csv").write_text("", "utf-8")
    repository.predictions.pop(Generation.BASE)
    evaluated()
    assert {r["stage"] for r in table("reports/history.csv")} == {"next"}
    assert "no base model to compare with" in Path("reports/round.html").read_text("utf-8")


def test_no_models_and_no_references_still_give_a_report(repository, evaluated):
    shutil.rmtree("data/base/labels")
    evaluated()
    history = table("reports/history.csv")
    assert [(r["round"], r["dice"], r["minutes_total"]) for r in history[2:]] == [("1", "", "22.00")]
    html = Path("reports/round.html").read_text("utf-8")
    assert "Not judged" in html
    assert "far-0" in html
    shutil.copy("reports/history.csv", "data/base/history.csv")
    evaluated()
    assert table("reports/history.csv")[-1]["minutes_total"] == "34.00"


def test_metrics_are_remembered_by_all_that_they_depend_on(repository, evaluated, monkeypatch):
    """What only adds metrics up (the bootstrap, the minutes) measures nothing anew."""
    made = evaluated.__globals__
    params, grid = made["PARAMS"], made["GRID"]

    def key(**change):
        evaluate = params.evaluate.model_copy(update=change)
        monkeypatch.setitem(made, "PARAMS", params.model_copy(update={"evaluate": evaluate}))
        return keys_of(stage, evaluated)["test-0"]

    first = key()
    assert key(bootstrap=100, seed=1) == first
    changed = [key(tolerance_mm=1.0)]
    ledger = Path("data/base/ledger.csv")
    kept = [line for line in ledger.read_text("utf-8").splitlines() if not line.startswith("test-0,cyst")]
    ledger.write_text("\n".join(kept) + "\n", "utf-8")
    changed.append(key())
    labels = read_label("data/base/labels/test-0.nii.gz")
    labels[0, 0, 0] = 1
    write("data/base/labels/test-0.nii.gz", labels, grid)
    changed.append(key())
    shutil.copy("next/unet/test-0.b2nd", "next/nnunet/test-0.b2nd")
    changed.append(key())
    Path("next/unet/test-0.b2nd").unlink()
    changed.append(key())
    repository.predictions.pop(Generation.BASE)
    changed.append(key())
    repository.cases[0] = replace(repository.cases[0], sha256="x")
    changed.append(key())
    monkeypatch.setitem(VERSIONS, "evaluate", -1)
    changed.append(key())
    assert len({first, *changed}) == 1 + len(changed)


def test_the_history_keeps_what_the_audit_found(repository, evaluated):
    """Every row of a round says it; rounds from before, whose history does not, stay readable."""
    evaluated(audit=Audit(1, 18, 2, "abc"))
    rows = [r for r in table("reports/history.csv") if r["round"] == "1"]
    assert {(r["audited"], r["audited_with_errors"], r["audited_population"]) for r in rows} == {("18", "2", "abc")}
    assert read_audits("reports/history.csv") == [Audit(0, 0, 0, ""), Audit(1, 18, 2, "abc")]
    text = Path("reports/history.csv").read_text("utf-8")
    Path("reports/history.csv").write_text(text.replace(",18,2,", ",many,2,"), "utf-8")
    with pytest.raises(VoxledgerError, match=r"reports/history\.csv, line 4: .*many"):
        read_audits("reports/history.csv")


def test_of_the_minutes_of_all_rounds_it_says_which_are_emulated(repository, evaluated):
    given = ("pool-1", "cyst", "ann", Decision.REVISE, 6.0, 1.0, 2.0, 1, 1.0)
    write_drawn(layout.DRAWN, [Drawn(0, *given, "attention"), Drawn(1, *given, "everywhere"), Drawn(1, *given, "")])
    evaluated()
    assert "0.2 h of them emulated (assumed)" in Path("reports/round.html").read_text("utf-8")


def test_minutes_that_readers_left_blank_are_said_and_not_taken_for_none(repository, evaluated):
    path = Path("data/round/decisions.csv")
    path.write_text(path.read_text("utf-8").replace("pool-2,cyst,revise,reader-1,1.0", "pool-2,cyst,revise,reader-1,"))
    evaluated()
    metrics = json.loads(Path("reports/metrics.json").read_text("utf-8"))
    assert (metrics["minutes"], metrics["minutes_total"]) == (11.0, 21.0)
    assert (metrics["decisions"], metrics["decisions_timed"], metrics["decisions_untimed_total"]) == (6, 5, 1)
    html = Path("reports/round.html").read_text("utf-8")
    assert "at least 11 reader minutes; 5 of 6 decisions give them" in html
    assert "at least 0.3 h" in html  # 21 minutes
    assert "<td>revise</td><td>3</td><td>≥ 7.0 (2 of 3)</td>" in html
    row = table("reports/history.csv")[-1]
    assert (row["minutes_total"], row["decisions"], row["decisions_timed"]) == ("21.00", "6", "5")
    shutil.copy("reports/history.csv", "data/base/history.csv")
    Path("data/round/decisions.csv").unlink()
    evaluated()
    assert json.loads(Path("reports/metrics.json").read_text("utf-8"))["decisions_untimed_total"] == 1


def without_class(folder, name):
    """The same predictions of models that were never taught the class."""
    for path in folder.glob("*/test-*.b2nd"):
        soft = open_soft(path)
        kept = [n for n in soft.classes if n != name]
        masks = [(n, soft.read(n)) for n in kept]
        write_soft(path, masks, kept, soft.grid, soft.model_id, soft.image_sha256)


@pytest.mark.parametrize(("predicted", "word"), [("data/round/predictions", "new"), ("next", "lost")])
def test_a_class_that_only_one_generation_knows_is_listed_and_not_in_the_gain(repository, evaluated, predicted, word):
    without_class(Path(predicted), "cyst")
    evaluated()
    test = json.loads(Path("reports/metrics.json").read_text("utf-8"))["test"]
    gain = test["gain"]["unet"]
    paired = [
        test["next"]["unet"]["classes"][c]["dice"] - test["base"]["unet"]["classes"][c]["dice"]
        for c in ("liver", "pancreas")
    ]
    assert gain["dice"] == pytest.approx(sum(paired) / 2, abs=2e-4)
    assert gain["pairs"] == 8
    known = "next" if word == "new" else "base"
    assert gain[word] == {"cyst": test[known]["unet"]["classes"]["cyst"]}
    html = Path("reports/round.html").read_text("utf-8")
    assert f"{word}: cyst {test[known]['unet']['classes']['cyst']['dice']:.3f}" in html
    assert "on 8 pairs of class and case" in html
    ours = [r for r in table("reports/history.csv") if (r["round"], r["set"], r["model"]) == ("1", "test", "unet")]
    assert {r["stage"]: (r["classes"], r["gain"], r["gain_pairs"]) for r in ours} == {
        "base": ("liver;pancreas" + (";cyst" if word == "lost" else ""), "", ""),
        "next": ("liver;pancreas" + (";cyst" if word == "new" else ""), f"{gain['dice']:.4f}", "8"),
    }


@pytest.mark.parametrize(
    ("earlier", "now", "joined"),
    [
        ((("liver",), 4), (("liver",), 4), True),
        ((("liver",), 4), (("liver", "cyst"), 4), False),
        ((("liver",), 4), (("liver",), 5), False),
        (((), 4), (("liver",), 4), True),  # a history that does not tell its classes
    ],
)
def test_the_learning_curve_is_broken_where_other_classes_or_cases_are_judged(earlier, now, joined):
    rows = [replace(ROW, round=i, classes=classes, n=n) for i, (classes, n) in enumerate((earlier, now))]
    assert [len(part) for part in unbroken(rows)] == ([2] if joined else [1, 1])


def test_the_report_says_which_cases_are_complete_and_which_in_part(repository, evaluated):
    path = Path("data/release/ledger.csv")
    lines = path.read_text("utf-8").splitlines()
    path.write_text("\n".join(line for line in lines if not line.startswith("pool-2,cyst")) + "\n", "utf-8")
    evaluated()
    metrics = json.loads(Path("reports/metrics.json").read_text("utf-8"))
    assert (metrics["cases_complete"], metrics["cases_partly"], metrics["share_labelled"]) == (2, 1, round(8 / 12, 4))
    html = Path("reports/round.html").read_text("utf-8")
    assert "2 of 4 cases complete, 1 in part" in html


def test_a_history_of_before_is_read(repository, evaluated):
    """Columns that came later are empty in it."""
    text = Path("data/base/history.csv").read_text("utf-8")
    assert "decisions" not in text
    evaluated()
    first = table("reports/history.csv")[0]
    assert (first["minutes_total"], first["decisions"], first["cases_complete"]) == ("10.00", "", "")


def test_only_trusted_classes_are_judged(repository, evaluated):
    ledger = Path("data/base/ledger.csv")
    kept = [line for line in ledger.read_text("utf-8").splitlines() if not line.startswith("test-0,liver")]
    ledger.write_text("\n".join(kept) + "\n", "utf-8")
    evaluated()
    rows = [r for r in table("reports/cases.csv") if r["case_id"] == "test-0"]
    assert {r["class_name"] for r in rows} == {"pancreas", "cyst"}


def test_a_model_is_judged_on_the_cases_that_it_predicted(repository, evaluated):
    for path in ("next/unet/test-2.b2nd", "next/unet/far-1.b2nd", "next/nnunet/far-1.b2nd"):
        Path(path).unlink()
    for model in ("unet", "nnunet"):
        Path("extra", model, "far-2.b2nd").unlink()
        Path("next", model, "far-2.b2nd").unlink()
    evaluated()
    metrics = json.loads(Path("reports/metrics.json").read_text("utf-8"))
    counts = {m: metrics["test"]["next"][m]["mean"]["n"] for m in ("nnunet", "unet", ENSEMBLE)}
    assert counts == {"nnunet": 4, "unet": 3, ENSEMBLE: 4}
    of_case = {
        r["model"]: r["dice"]
        for r in table("reports/cases.csv")
        if (r["case_id"], r["stage"], r["class_name"]) == ("test-2", "next", "liver")
    }
    assert of_case[ENSEMBLE] == of_case["nnunet"]
    html = Path("reports/round.html").read_text("utf-8")
    assert "Not judged, for want of a trusted reference label or a prediction: far-2." in html
    assert "too few cases" in html  # site-b: only far-0 has predictions before and after


def test_a_prediction_of_another_image_is_refused(repository, evaluated):
    shutil.copy("next/unet/test-1.b2nd", "next/unet/test-2.b2nd")
    with pytest.raises(CasesFailed, match="test-2: the prediction of test-2 by next/unet-id belongs to another image"):
        evaluated()


def test_a_label_off_its_grid_is_refused(repository, evaluated):
    from dataclasses import replace

    from voxledger.imaging.volume import read_grid

    path = Path("data/base/labels/far-1.nii.gz")
    write(path, read_label(path), replace(read_grid(path), spacing=(3.0, 1.0, 0.9)))
    with pytest.raises(CasesFailed, match=r"far-1: .*does not lie on the grid"):
        evaluated()


def test_no_model_may_be_named_ensemble(repository, evaluated):
    shutil.copytree("next/unet", "next/ensemble")
    with pytest.raises(Misuse, match="named ensemble"):
        evaluated()


def test_an_organ_that_was_not_found_is_in_the_report(evaluated, repository):
    """A model that looked at nothing missed what is there: that counts, and is said."""
    before = open_soft("next/unet/test-0.b2nd")
    blank = ((name, np.zeros((0, 0, 0), np.float32)) for name in before.classes)
    identity = (before.model_id, before.image_sha256)
    write_soft("next/unet/test-0.b2nd", blank, list(before.classes), before.grid, *identity, NOWHERE)
    evaluated(not_found={"test-0": ["pancreas"]})
    said = Path("reports/round.html").read_text()
    assert "Organ not found by the next models" in said
    assert "test-0 (pancreas)" in said
    cyst = {
        r["model"]: r["dice"]
        for r in table("reports/cases.csv")
        if (r["case_id"], r["class_name"], r["stage"]) == ("test-0", "cyst", "next")
    }
    assert float(cyst["unet"]) == 0
    assert cyst["ensemble"] == cyst["nnunet"] != cyst["unet"]
    evaluated()
    assert "Organ not found" not in Path("reports/round.html").read_text()
