"""The project as a newcomer meets it."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest
from commands import output, run
from ruamel.yaml import YAML

from voxledger import __version__
from voxledger.cli.main import COMMANDS
from voxledger.params import read_params
from voxledger.schema import read_schema

ROOT = Path(__file__).parents[1]
CONSTRAINTS = ROOT / "constraints.txt"
STAGES = ("cases", "infer", "calibrate", "filter", "score", "export", "adjudicate", "gate", "import")
STAGES += ("learn", "retrain", "evaluate")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    if not (ROOT / ".git").exists():
        pytest.skip("the project is not a git checkout here")
    run("git", "clone", "-q", str(ROOT), str(tmp_path / "clone"))
    return tmp_path / "clone"


def test_a_fresh_clone_shows_the_round_and_says_what_is_missing(clone: Path) -> None:
    drawn = output("dvc", "dag", cwd=clone)
    assert all(stage in drawn for stage in STAGES)
    said = run("dvc", "repro", accept=(1, 255), cwd=clone)
    assert "no case is registered" in said
    assert "voxledger cases add FOLDER" in said
    assert "make demo" in said
    assert run("git", "status", "--porcelain", cwd=clone) == ""


def test_help_loads_nothing_heavy() -> None:
    program = (
        "import sys; from voxledger.cli.main import cli\n"
        "try: cli(['--help'])\n"
        "except SystemExit: pass\n"
        "print([m for m in ('torch', 'numpy', 'SimpleITK', 'pandas', 'dvc', 'pydantic') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("command", list(COMMANDS))
def test_every_command_has_help_with_an_example(command: str) -> None:
    said = output("voxledger", command, "--help")
    assert "Usage:" in said
    if "Commands:" not in said:
        assert "Example" in said


def test_stages_are_short_and_named_in_the_pipeline() -> None:
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
    assert tuple(pipeline["stages"]) == STAGES
    for stage in pipeline["stages"].values():
        script = ROOT / stage["cmd"].removeprefix("python ")
        assert len(script.read_text().splitlines()) <= 40, script
        assert stage["cmd"].removeprefix("python ") in stage["deps"]


def test_the_pipeline_asks_for_no_number_that_an_older_params_file_lacks() -> None:
    """DVC stops at a parameter that is missing from params.yaml, also where voxledger has a default or reads an older
    name; sections are in every file."""
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"].values()
    asked = {name for stage in stages for name in stage["params"] if isinstance(name, str)}
    assert asked <= set(YAML(typ="safe").load((ROOT / "params.yaml").read_text()))


def test_no_stage_depends_on_the_machine() -> None:
    """Where and with how many processes cases are computed is in no hash."""
    stages = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())["stages"].values()
    asked = {name for stage in stages for name in stage["params"] if isinstance(name, str)}
    assert asked
    assert not {name for name in asked if name.split(".")[0] == "machine"}


def test_the_templates_are_valid() -> None:
    params, schema = read_params(ROOT / "params.yaml"), read_schema(ROOT / "labels.yaml")
    named = {name for rule in params.filter.rules for name in rule["classes"]}
    assert named <= set(schema.names)


def test_every_output_of_the_pipeline_is_ignored_or_in_git(clone: Path) -> None:
    """DVC takes its own .gitignore entries back when a stage fails, so they are listed by hand."""
    pipeline = YAML(typ="safe").load((ROOT / "dvc.yaml").read_text())
    for stage in pipeline["stages"].values():
        for out in stage.get("outs", []):
            path, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
            in_git = options.get("cache") is False
            ignored = subprocess.run(["git", "check-ignore", "-q", path], check=False, cwd=clone).returncode == 0
            assert ignored is not in_git, path


def test_texts_are_written_whole_or_not_at_all() -> None:
    """`params.yaml`, the manifest and tables of the stages were written in place: a kill left half of them."""
    in_place = re.compile(r"\.write_text\(|\.dump\(.*path\)")
    for path in sorted([*(ROOT / "src").rglob("*.py"), *(ROOT / "stages").glob("*.py")]):
        for line in path.read_text().splitlines():
            assert not in_place.search(line), f"{path}: {line.strip()}: write it with voxledger.textfile.replace_text"


LAYERS = {"imaging": 1, "casemap": 2, "records": 3, "knowledge": 4, "weak": 4, "models": 5, "bundles": 6, "cli": 8}
"""By package; all other modules are below these, except `STAGE_PACKAGES`, which are between bundles and cli."""
STAGE_PACKAGES = ("cases", "infer", "calibrate", "filter", "score", "export", "gate", "import_", "retrain", "evaluate")
STAGE_PACKAGES += ("review", "release", "phantom", "init", "upgrade", "worth", "doctor")


def _layer(name: str) -> int:
    return LAYERS.get(name, 7 if name in STAGE_PACKAGES else 0)


def test_imports_point_one_way() -> None:
    """Down from layer to layer; stage packages do not import one another."""
    source = ROOT / "src" / "voxledger"
    for path in sorted(source.rglob("*.py")):
        own = path.relative_to(source).parts[0].removesuffix(".py")
        if own == "__main__":
            continue
        for line in path.read_text().splitlines():
            words = line.split()
            if words[:1] in (["from"], ["import"]) and words[1].startswith("voxledger."):
                imported = words[1].split(".")[1]
                assert imported == own or _layer(imported) <= _layer(own), f"{path}: {line.strip()}"
                assert imported == own or not _layer(imported) == _layer(own) == 7, f"{path}: {line.strip()}"


def test_functions_are_short() -> None:
    """At most 60 lines, the docstring counted."""
    for path in sorted((ROOT / "src").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or 0) - node.lineno + 1
                assert lines <= 60, f"{path}: {node.name} has {lines} lines"


def test_what_numba_compiles_is_left_out_of_the_count_of_lines() -> None:
    """Instrumented, it would not compile."""
    listed = re.search(r"^COMPILED := (.*)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert listed
    compiled = {p for p in (ROOT / "src").rglob("*.py") if re.search(r"^ *import numba", p.read_text(), re.MULTILINE)}
    assert {p for p in (ROOT / "src").rglob("*.py") for e in listed[1].split(",") if p.match(e)} == compiled


def test_benchmarks_import_what_is_there() -> None:
    """They run by hand, so that nothing else notices what was moved or renamed."""

    def names(module: str) -> set[str] | None:
        place = ROOT / "src" / Path(*module.split("."))
        path = place / "__init__.py" if place.is_dir() else place.with_suffix(".py")
        if not path.is_file():
            return None
        tree = ast.parse(path.read_text())
        found = {p.stem for p in place.glob("*") if p.is_dir() or p.suffix == ".py"}
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef):
                found.add(node.name)
            elif isinstance(node, ast.ImportFrom):
                found |= {one.asname or one.name for one in node.names}
            elif isinstance(node, ast.Assign | ast.AnnAssign):
                found |= {n.id for n in ast.walk(node) if isinstance(n, ast.Name) and isinstance(n.ctx, ast.Store)}
        return found

    checked = 0
    for path in sorted((ROOT / "benchmarks").glob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "voxledger":
                known = names(str(node.module))
                assert known is not None, f"{path.name} imports {node.module}, which is not there"
                missing = {one.name for one in node.names} - known
                assert not missing, f"{path.name}: {node.module} has no {missing}"
                checked += 1
    assert checked > 50


def test_numbers_of_people_name_the_paper_that_they_are_from() -> None:
    """3'43" and 15' a series are SAIM's, for kidneys in MR; 15 minutes to revise a case are AbdomenAtlas's."""
    sources = {
        r"3'43\"|3 \+ 43 / 60|15 (minutes )?\s*a series": "SAIM",
        r"^LESION_MINUTES|[Mm]inutes to correct one": "AbdomenAtlas",
        r"^LESION_SCRATCH_MINUTES|43 with a lesion|43 a lesion case": "EfficientAnno",
    }
    found = dict.fromkeys(sources, 0)
    files = [p for f in ("src", "docs", "benchmarks") for p in (ROOT / f).rglob("*") if p.suffix in (".py", ".md")]
    for path in sorted([*files, ROOT / "README.md", ROOT / "params.yaml"]):
        text = path.read_text()
        assert "nnInteractive pipeline" not in text, path
        for pattern, source in sources.items():
            for match in re.finditer(pattern, text, re.MULTILINE):
                found[pattern] += 1
                around = text[max(0, match.start() - 300) : match.end() + 300]
                assert source in around, f"{path}: {match.group()} is from {source}"
    assert all(found.values()), found


def _commands_of(target: str) -> list[str]:
    """What `make` runs for a target, without what the target depends on."""
    recipe = re.search(rf"^{target}:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert recipe, target
    return [line.strip().replace("$(BIN)", ".venv/bin") for line in recipe[1].splitlines()]


def test_make_check_pre_commit_and_the_workflows_run_the_same() -> None:
    yaml = YAML(typ="safe")
    (own,) = yaml.load((ROOT / ".pre-commit-config.yaml").read_text())["repos"]
    assert own["repo"] == "local", "a hook from elsewhere brings a version of its own"
    assert [hook["entry"] for hook in own["hooks"]] == _commands_of("check")

    workflows = {p.name: yaml.load(p.read_text()) for p in (ROOT / ".github" / "workflows").glob("*.yml")}
    steps = {name: [s for job in w["jobs"].values() for s in job["steps"]] for name, w in workflows.items()}
    runs = {name: [s["run"] for s in steps[name] if "run" in s] for name in steps}
    assert runs == {"test.yml": ["bash .ci/run"], "test-slow.yml": ["make test-slow"]}
    assert (ROOT / ".ci" / "run").read_text().splitlines()[-1] == "make test"

    python = re.search(r'requires-python = ">=(.*)"', (ROOT / "pyproject.toml").read_text())
    assert python
    for name, workflow in workflows.items():
        assert workflow["permissions"] == {"contents": "read"}, name
        used = [step for step in steps[name] if "uses" in step]
        assert all(re.search(r"@v\d+", step["uses"]) for step in used), name
        assert [s["with"]["python-version"] for s in used if "python" in s["uses"]] == [python[1]], name


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("vendor.github-workflows", ".github/workflows/*.yml"),
        ("vendor.github-issue-forms", ".github/ISSUE_TEMPLATE/[!c]*.yml"),
        ("vendor.github-issue-config", ".github/ISSUE_TEMPLATE/config.yml"),
        ("vendor.citation-file-format", "CITATION.cff"),
    ],
)
def test_files_that_others_read_fit_their_schema(schema: str, files: str) -> None:
    found = sorted(str(path) for path in ROOT.glob(files))
    assert found
    run("check-jsonschema", "--builtin-schema", schema, *found)


def test_the_version_is_one() -> None:
    written = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]
    cited = YAML(typ="safe").load((ROOT / "CITATION.cff").read_text())
    assert written == __version__ == cited["version"]
    assert (ROOT / "CHANGELOG.md").read_text().split("\n## ")[1].split()[0] == __version__


def test_every_dependency_has_a_reason_and_a_pinned_version() -> None:
    text = (ROOT / "pyproject.toml").read_text()
    pinned = {re.sub("[-_.]+", "-", line.split("==")[0]).lower() for line in CONSTRAINTS.read_text().splitlines()[1:]}
    named = re.findall(r'^  "([A-Za-z0-9_.-]+)[>=<].*",? *(#.*)?$', text, re.MULTILINE)
    assert len(named) > 20
    for name, reason in named:
        assert reason, f"{name}: what is it for?"
        assert re.sub("[-_.]+", "-", name).lower() in pinned, name
