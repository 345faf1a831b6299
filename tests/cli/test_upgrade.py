"""A repository made by an older voxledger."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest
from commands import output, run
from ruamel.yaml import YAML

from voxledger.params import read_params

ROOT = Path(__file__).parents[2]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository with stages of pipeline 1, a stage of its own, and without the table of errors."""
    run("voxledger", "init", str(tmp_path / "repo"), "--name", "one")
    monkeypatch.chdir(tmp_path / "repo")
    for script in Path("stages").glob("*.py"):
        script.write_text(re.sub(r"@stage\(\d\)", "@stage", script.read_text()))
    pipeline = Path("dvc.yaml").read_text().replace(": {persist: true}", "")
    own = "\n  mine:\n    cmd: echo mine\n    deps: [labels.yaml]\n\nartifacts:"
    Path("dvc.yaml").write_text(pipeline.replace("\nartifacts:", own))
    Path("data/base/errors.csv").unlink()
    yaml = YAML()
    params = yaml.load(Path("params.yaml"))
    del params["infer"], params["score"]["scratch_minutes"]
    params["evaluate"]["scratch_minutes"] = 17
    yaml.dump(params, Path("params.yaml"))
    run("git", "add", "--all")
    run("git", "commit", "--quiet", "--message", "as it was")


@pytest.mark.usefixtures("old")
def test_stages_of_an_older_pipeline_are_refused_and_upgraded() -> None:
    said = run("python", "stages/cases.py", accept=(2,))
    assert "those of pipeline 1" in said
    assert "voxledger upgrade" in said
    assert said.split("error: ")[1] == run("voxledger", "round", "run", accept=(2,)).split("error: ")[1]
    run("voxledger", "upgrade")
    for script in (ROOT / "stages").glob("*.py"):
        assert Path("stages", script.name).read_bytes() == script.read_bytes()
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    template = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    assert stages.pop("mine") == {"cmd": "echo mine", "deps": ["labels.yaml"]}
    assert stages == template
    assert Path("data/base/errors.csv").is_file()
    assert read_params().score.scratch_minutes == 17
    for stage in stages.values():
        for name in stage.get("params", []):
            assert f"\n{name}:" in "\n" + Path("params.yaml").read_text()
    assert output("git", "status", "--porcelain") == ""
    assert "no case is registered" in run("python", "stages/cases.py", accept=(2,))
    assert "nothing to change" in run("voxledger", "upgrade")


@pytest.mark.usefixtures("old")
def test_nothing_is_upgraded_under_bundles_or_over_changes() -> None:
    head = output("git", "rev-parse", "HEAD")
    Path("data/round/bundles/bundle-r00-ann").mkdir(parents=True)
    assert "bundles of round 0 are out" in run("voxledger", "upgrade", accept=(1,))
    shutil.rmtree("data/round")
    with open("stages/score.py", "a") as stream:
        stream.write("# mine\n")
    assert "stages/score.py" in run("voxledger", "upgrade", accept=(2,))
    assert output("git", "rev-parse", "HEAD") == head
