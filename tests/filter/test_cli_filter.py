"""`voxledger filter` in a small repository."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest
from click.testing import CliRunner

from voxledger.cli.main import cli
from voxledger.imaging.soft import write_soft
from voxledger.imaging.volume import Grid, file_sha256, write
from voxledger.infer.predict import predict_round
from voxledger.models.precomputed.adopt import add_precomputed
from voxledger.params import InferParams, MachineParams
from voxledger.records.calibration import Calibration, write_calibration
from voxledger.records.cases import Case, Split, write_cases
from voxledger.records.ledger import Entry, Origin, write_ledger
from voxledger.records.predicted import write_predicted
from voxledger.schema import LabelSchema

SHAPE = (8, 12, 14)


@pytest.fixture
def repository(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, schema: LabelSchema) -> Path:
    from ruamel.yaml import YAML

    monkeypatch.chdir(tmp_path)
    for name in (".dvc", ".git", "data/round"):
        Path(name).mkdir(parents=True)
    Path("dvc.yaml").write_text("")
    Path("params.yaml").write_text(
        "filter:\n  rules:\n"
        "    - {rule: mean_hu, classes: [pdac]}  # published\n"
        "    - {rule: inside_organ, classes: [pdac]}\n"
    )
    with open("labels.yaml", "w", encoding="utf-8") as stream:
        YAML(typ="safe", pure=True).dump(schema.model_dump(mode="json"), stream)
    nothing = Calibration(wanted_sensitivity=0.99, floor=0.003, overlap=0.1, from_mm=0, classes={}, notes={})
    write_calibration(Path("data/round/calibration.json"), nothing)
    labels, p = np.zeros(SHAPE, np.uint8), np.zeros(SHAPE, np.float32)
    labels[1:7, 1:9, 1:9] = 5
    labels[2:4, 2:4, 2:4] = 7
    p[2:4, 2:4, 2:4] = 0.75
    grid = Grid.plain(SHAPE)
    write("data/images/case-1.nii.gz", np.where(labels == 7, 200, 40).astype(np.int16), grid)
    write("data/base/labels/case-1.nii.gz", labels, grid)
    digest = file_sha256("data/images/case-1.nii.gz")
    write_soft(
        "made/case-1.b2nd", [("pancreas", (labels > 0) * 0.9), ("pdac", p)], ["pancreas", "pdac"], grid, "a", digest
    )
    case = Case("case-1", "data/images/case-1.nii.gz", digest, digest, "s", "CC0-1.0", Split.POOL, "CT", "")
    write_cases("data/cases.csv", [case])
    models = Path("models/base")
    models.mkdir(parents=True)
    add_precomputed("a", Path("made"), "a", "CC0-1.0", [case], schema, models, 0)
    rows = predict_round(
        [case], models, Path("data/round/predictions"), schema, InferParams(), MachineParams(workers=1)
    )
    write_predicted(Path("data/round/infer.jsonl"), rows)
    entry = Entry("case-1", "pdac", 0, Origin.SOURCE, (), "", "", "", "", 0.008)
    write_ledger("data/base/ledger.csv", {("case-1", "pdac"): entry}, schema.names)
    return tmp_path


def test_explain(repository: Path) -> None:
    run = CliRunner().invoke(cli, ["filter", "explain", "case-1", "--picture", "out/case-1.png"])
    assert run.exit_code == 0, run.output
    assert "mean_hu                 200.000  -206..185HU    to_organ" in run.output
    assert Path("out/case-1.png").read_bytes().startswith(b"\x89PNG")
    shown = json.loads(CliRunner().invoke(cli, ["filter", "explain", "case-1", "--json"]).output)
    assert [(d["rule"], d["outcome"]) for d in shown] == [("mean_hu", "to_organ")]


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["case-9"], 2, "there is no case case-9"),
        (["case-1", "--class", "moon"], 2, "moon is not a class"),
    ],
)
def test_explain_misuse(repository: Path, arguments: list[str], code: int, message: str) -> None:
    run = CliRunner().invoke(cli, ["filter", "explain", *arguments])
    assert run.exit_code == code
    assert message in run.output


def test_explain_makes_predictions_that_are_not_here_again(repository: Path) -> None:
    shutil.rmtree("data/round/predictions")
    run = CliRunner().invoke(cli, ["filter", "explain", "case-1"])
    assert run.exit_code == 0, run.output


def test_explain_without_predictions(repository: Path) -> None:
    write_predicted(Path("data/round/infer.jsonl"), [])
    run = CliRunner().invoke(cli, ["filter", "explain", "case-1"])
    assert run.exit_code == 1
    assert "case-1 has no predictions" in run.output


def test_fit_shows_and_writes_only_if_asked(repository: Path) -> None:
    before = Path("params.yaml").read_text()
    run = CliRunner().invoke(cli, ["filter", "fit"])
    assert run.exit_code == 0, run.output
    assert run.output.splitlines()[1].split() == ["mean_hu", "pdac", "1", "1", "200…200", "HU", "-206…185", "HU", "1"]
    assert Path("params.yaml").read_text() == before
    assert CliRunner().invoke(cli, ["filter", "fit", "--write"]).exit_code == 0
    assert "ranges: {pdac: [200, 200]}" in Path("params.yaml").read_text()
    assert "# published" in Path("params.yaml").read_text()
