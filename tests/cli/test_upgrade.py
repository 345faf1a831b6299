"""A repository made by an older voxledger."""

from __future__ import annotations

import json
import re
import shutil
import time
from pathlib import Path
from typing import Any

import pytest
from commands import output, run
from ruamel.yaml import YAML

from voxledger.algorithms import STAGES, text
from voxledger.params import read_params
from voxledger.records.sent import write_sent
from voxledger.records.tables import formats

ROOT = Path(__file__).parents[2]


@pytest.fixture
def old(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository with stages of pipeline 1, a stage of its own, without the table of errors and algorithms.yaml."""
    run("voxledger", "init", str(tmp_path / "repo"), "--name", "one")
    monkeypatch.chdir(tmp_path / "repo")
    for script in Path("stages").glob("*.py"):
        script.write_text(re.sub(r"@stage\(\d\)", "@stage", script.read_text()))
    pipeline = re.sub(
        r",? ?algorithms.yaml: \[.*?\]", "", Path("dvc.yaml").read_text().replace(": {persist: true}", "")
    )
    Path("algorithms.yaml").unlink()
    own = "\n  mine:\n    cmd: echo mine\n    deps: [labels.yaml]\n\nartifacts:"
    Path("dvc.yaml").write_text(pipeline.replace("\nartifacts:", own))
    Path("data/base/errors.csv").unlink()
    Path("data/base/drawn.csv").unlink()
    Path("data/base/judged.csv").unlink()
    Path("data/format.json").unlink()
    Path("models/attention.dvc").unlink()
    shutil.rmtree("models/attention")
    Path("reviewers.yaml").unlink()
    Path(".gitattributes").write_text("*.bin -diff\n")
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
    head = output("git", "rev-parse", "HEAD")
    shown = run("voxledger", "upgrade", "--dry-run")
    assert output("git", "rev-parse", "HEAD") == head
    assert run("voxledger", "upgrade").startswith(shown)
    assert "  infer        stages/infer.py changes; " in shown
    assert f"  infer        – → {STAGES['infer']}\n" in shown
    for script in (ROOT / "stages").glob("*.py"):
        assert Path("stages", script.name).read_bytes() == script.read_bytes()
    stages = YAML(typ="safe").load(Path("dvc.yaml"))["stages"]
    template = YAML(typ="safe").load(ROOT / "dvc.yaml")["stages"]
    assert stages.pop("mine") == {"cmd": "echo mine", "deps": ["labels.yaml"]}
    assert stages == template
    assert Path("data/format.json").read_text() == formats()
    assert Path("data/base/errors.csv").is_file()
    assert Path("data/base/drawn.csv").is_file()
    assert Path("models/attention").is_dir()
    assert "models/attention.dvc" in output("git", "ls-files")
    assert Path("data/base/judged.csv").is_file()
    assert Path("reviewers.yaml").read_bytes() == (ROOT / "reviewers.yaml").read_bytes()
    assert Path(".gitattributes").read_text().splitlines()[0] == "*.bin -diff"
    assert output("git", "check-attr", "text", "stages/gate.py").endswith("text: unset\n")
    assert read_params().score.scratch_minutes == 17
    for stage in stages.values():
        for name in stage["params"]:
            assert isinstance(name, dict) or f"\n{name}:" in "\n" + Path("params.yaml").read_text()
    assert Path("algorithms.yaml").read_text() == text()
    assert output("git", "status", "--porcelain") == ""
    assert "no case is registered" in run("python", "stages/cases.py", accept=(2,))
    assert "nothing to change" in run("voxledger", "upgrade")


KILLS = "#!/bin/sh\nkill -9 $(ps -o ppid= -p $PPID)\nexit 1\n"
"""As a hook of git, it kills who runs git, and nothing is committed."""


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize(
    "undone", [(), ("dvc.yaml", "algorithms.yaml", "params.yaml", "stages", "models/attention.dvc")]
)
def test_an_upgrade_that_was_killed_is_repeated(undone: tuple[str, ...]) -> None:
    """All was written when it was killed, or some of it."""
    shown = run("voxledger", "upgrade", "--dry-run")
    hook = Path(".git/hooks/pre-commit")
    hook.write_text(KILLS)
    hook.chmod(0o755)
    head = output("git", "rev-parse", "HEAD")
    run("voxledger", "upgrade", accept=(-9,))
    hook.unlink()
    while Path(".git/index.lock").exists():
        time.sleep(0.01)
    assert output("git", "rev-parse", "HEAD") == head
    for name in undone:
        run("git", "reset", "--quiet", "--", name)
        run("git", "clean", "--quiet", "--force", "--", name)
        if name in output("git", "ls-files", name):
            run("git", "checkout", "--quiet", "--", name)

    params = Path("params.yaml").read_text()
    Path("params.yaml").write_text(params.replace("round: 0", "round: 0  # mine"))
    assert "git does not hold yet: params.yaml\n" in run("voxledger", "upgrade", accept=(2,))
    Path("params.yaml").write_text(params)
    assert run("voxledger", "upgrade", "--dry-run") == shown
    assert run("voxledger", "upgrade").startswith(shown)
    assert output("git", "status", "--porcelain") == ""
    assert "models/attention.dvc" in output("git", "ls-files")
    assert Path("algorithms.yaml").read_text() == text()
    assert "nothing to change" in run("voxledger", "upgrade")


@pytest.fixture
def behind(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A repository of this pipeline whose rules are those of an older filter."""
    run("voxledger", "init", str(tmp_path / "repo"), "--name", "one")
    monkeypatch.chdir(tmp_path / "repo")
    older = text().replace(f"filter: {STAGES['filter']}", "filter: 1").replace("voxledger: ", "voxledger: 0.0.1 # ")
    Path("algorithms.yaml").write_text(older)
    run("git", "commit", "--quiet", "--all", "--message", "as it was")


@pytest.mark.usefixtures("behind")
def test_another_version_of_an_algorithm_is_refused_and_upgraded() -> None:
    said = run("python", "stages/cases.py", accept=(2,))
    assert f"filter 1 (installed: {STAGES['filter']})" in said
    assert "`voxledger upgrade --dry-run` shows what would be computed again" in said
    assert "install voxledger 0.0.1, `pip install 'voxledger[models]==0.0.1'`" in said
    assert said.split("error: ")[1] == run("voxledger", "round", "run", accept=(2,)).split("error: ")[1]
    plan = json.loads(output("voxledger", "upgrade", "--dry-run", "--json"))
    assert plan == {
        "files": ["algorithms.yaml"],
        "versions": {"filter": {"old": 1, "new": STAGES["filter"]}},
        "run_again": {stage: [f"filter 1 → {STAGES['filter']}"] for stage in ("calibrate", "filter")},
        "follow": ["score", "export", "adjudicate", "gate", "import", "learn", "retrain", "evaluate"],
    }
    assert json.loads(output("voxledger", "upgrade", "--json")) == plan
    assert output("git", "show", "--name-only", "--format=").split() == ["algorithms.yaml"]
    assert "no case is registered" in run("python", "stages/cases.py", accept=(2,))


@pytest.mark.usefixtures("behind")
def test_the_recipe_that_an_older_entry_means_is_written_down() -> None:
    yaml = YAML()
    params = yaml.load(Path("params.yaml"))
    params["retrain"]["models"] = {
        "nn": {"backend": "nnunet", "network": "plans", "iterations": 9},
        "unet": {"backend": "monai", "network": "unet"},
    }
    yaml.dump(params, Path("params.yaml"))
    run("git", "commit", "--quiet", "--all", "--message", "models of version 0.3")
    run("voxledger", "upgrade")
    models = yaml.load(Path("params.yaml"))["retrain"]["models"]
    assert list(models["nn"].items()) == [
        ("backend", "nnunet"), ("recipe", "small"), ("network", "plans"), ("iterations", 9),
    ]  # fmt: skip
    assert "recipe" not in models["unet"]
    assert output("git", "status", "--porcelain") == ""


@pytest.mark.usefixtures("behind")
def test_a_closed_round_is_not_upgraded() -> None:
    """A commit after its tag kept the next round from being opened."""
    head = output("git", "rev-parse", "HEAD")
    run("git", "tag", "round-00")
    said = run("voxledger", "upgrade", accept=(2,))
    assert "round 0 is closed" in said
    assert "run `voxledger round open`, then `voxledger upgrade`" in said
    assert output("git", "rev-parse", "HEAD") == head


@pytest.mark.usefixtures("behind")
def test_a_closed_round_says_which_voxledger_computed_it() -> None:
    made = {"voxledger": {"version": "0.0.2", "commit": "0123456789abcdef"}}
    Path("data/release").mkdir()
    Path("data/release/manifest.json").write_text(json.dumps({"round": 0, "ran": {"environment": made}}))
    said = run("python", "stages/cases.py", accept=(2,))
    assert "round 0 is closed" in said
    assert "install voxledger 0.0.2, `pip install 'voxledger[models]==0.0.2'` (commit 0123456789ab)" in said
    assert "`voxledger round open`, then `voxledger upgrade`" in said
    Path("data/release/manifest.json").write_text(json.dumps({"round": 0}))
    assert "install the voxledger that computed it" in run("python", "stages/cases.py", accept=(2,))


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize(
    ("manifest", "named"),
    [
        ({"closed": {"environment": {"voxledger": {"version": "0.2.0", "commit": None}}}}, "[models]==0.2.0'`; to"),
        ({"ran": None, "closed": {"environment": {"voxledger": {"version": "0.2.0"}}}}, "[models]==0.2.0'`; to"),
        ({"software": {"voxledger": "0.1.0", "torch": "2.4"}}, "install voxledger 0.1.0"),
        ({"ran": [], "software": ""}, "install the voxledger that computed it"),
    ],
)
def test_a_closed_round_of_an_older_pipeline_says_it_too(manifest: dict[str, Any], named: str) -> None:
    Path("data/release").mkdir()
    Path("data/release/manifest.json").write_text(json.dumps({"round": 0, **manifest}))
    said = run("python", "stages/gate.py", accept=(2,))
    assert "round 0 is closed, and the stages of this repository are those of pipeline 1" in said
    assert named in said


@pytest.mark.usefixtures("old")
def test_nothing_is_upgraded_under_bundles_or_over_changes() -> None:
    head = output("git", "rev-parse", "HEAD")
    Path("data/round/bundles/bundle-r00-ann").mkdir(parents=True)
    assert "bundles of round 0 are out" in run("voxledger", "upgrade", accept=(1,))
    shutil.rmtree("data/round")
    # in a clone before `dvc pull` only dvc.lock knows
    lock = Path("dvc.lock")
    outs = [{"path": "data/round/bundles", "hash": "md5", "md5": f"{'0' * 32}.dir", "size": 5, "nfiles": 3}]
    export = {"cmd": "python stages/export.py", "params": {"params.yaml": {"round": 0}}, "outs": outs}
    lock.write_text(json.dumps({"schema": "2.0", "stages": {"export": export}}) + "\n")
    said = run("voxledger", "upgrade", accept=(1,))
    assert "bundles of round 0 are out" in said
    assert "delete data/round/bundles" in said
    cached = Path(".dvc/cache/files/md5/00", f"{'0' * 30}.dir")  # they were here, and somebody deleted them
    cached.parent.mkdir(parents=True)
    cached.touch()
    run("voxledger", "upgrade", "--dry-run")
    lock.unlink()
    write_sent(0, {"bundle-r00-ann": "a" * 64})
    assert "`voxledger round recall`" in run("voxledger", "upgrade", accept=(1,))
    Path("data/sent.json").unlink()
    with open("stages/score.py", "a") as stream:
        stream.write("# mine\n")
    assert "stages/score.py" in run("voxledger", "upgrade", accept=(2,))
    assert output("git", "rev-parse", "HEAD") == head


@pytest.mark.usefixtures("old")
@pytest.mark.parametrize(
    "command", ["review zip ann", "review receive a.zip", "review emulate --reference data", "round recall"]
)
def test_commands_of_a_review_do_no_half_work_on_an_older_pipeline(command: str) -> None:
    """`review zip` left staged files and a record of bundles that went out, and failed."""
    assert "those of pipeline 1" in run("voxledger", *command.split(), accept=(2,))
    assert output("git", "status", "--porcelain") == ""
