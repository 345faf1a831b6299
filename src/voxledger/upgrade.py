"""Bringing the pipeline of a curation repository to that of the voxledger that is installed."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any

from voxledger import algorithms, layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.params import Params, read_params
from voxledger.records.sent import is_out
from voxledger.records.tables import formats
from voxledger.repository import (
    TEMPLATE_NAME,
    dvc_add,
    dvc_cache,
    file_at,
    git,
    round_tag,
    tag_exists,
    template_root,
)
from voxledger.stage import pipelines
from voxledger.textfile import parse_yaml, read_text, read_text_if_there, read_yaml, replace_text

Stages = Mapping[str, dict[str, Any]]
"""Entries of `dvc.yaml` by name, in its order."""

_LINES = (layout.IGNORED, layout.ATTRIBUTES)
"""Files of which a repository keeps its own lines, and gets those that it lacks."""


@dataclass(frozen=True)
class Upgrade:
    """What an upgrade changes, and what is then computed again."""

    files: dict[Path, str]
    """New text of every file that changes."""
    versions: dict[str, tuple[int | None, int | None]]
    """Algorithm versions that change: before and after; None where there was none, or is none any more."""
    again: dict[str, list[str]]
    """Stages that DVC runs again, in the order of `dvc.yaml`, with the reasons."""
    follow: list[str]
    """Stages after these, which DVC runs again where their inputs come out differently."""


def plan_upgrade() -> Upgrade:
    """What `upgrade` would change here; changes nothing.

    `stages/`, `dvc.yaml`, `algorithms.yaml` and `data/format.json` become those of this voxledger; parameters that are
    new are added. Stages and artifacts that are only in this repository's `dvc.yaml` stay, and so do scripts of other
    names. Seen from the last commit: what an upgrade that was killed wrote already changes, too.

    Raises
    ------
    VoxledgerError
        Bundles are out: the round has to be finished by the voxledger that began it.
    Misuse
        The round is closed, or files that would be replaced have changes that git does not hold yet.
    """
    params = read_params()
    made = layout.exported(params.round) or _not_pulled(params.round)
    if is_out(params) or (made and not tag_exists(round_tag(params.round))):
        back = "`voxledger round recall`" if is_out(params) else f"`dvc pull` and delete {layout.BUNDLES}"
        raise VoxledgerError(
            f"bundles of round {params.round} are out, and the pipeline that made them has to take them in",
            f"close this round with {algorithms.begun_with()}, then upgrade; if nobody has begun to review, "
            f"{back} first",
        )
    last = _LastCommit()
    wanted = _wanted(params, last)
    own = [str(path) for path in wanted if path in last.changed and read_text_if_there(path) != wanted[path]]
    if own:
        raise Misuse(f"there are changes that git does not hold yet: {', '.join(own)}", "commit or undo them first")
    files = {path: text for path, text in wanted.items() if last.text(path) != text}
    if files and tag_exists(round_tag(params.round)):
        raise Misuse(
            f"round {params.round} is closed, and stays as it was computed",
            "run `voxledger round open`, then `voxledger upgrade` in the round that it opens",
        )
    versions = algorithms.differing(algorithms.parse_versions(last.text(layout.ALGORITHMS)))
    before = parse_yaml(last.text(layout.PIPELINE) or "", layout.PIPELINE, "stages")["stages"]
    after = parse_yaml(wanted[layout.PIPELINE], layout.PIPELINE, "stages")["stages"]
    again = _again(before, after, files, versions)
    return Upgrade(files, versions, again, _follow(after, again))


def _not_pulled(number: int) -> bool:
    """Whether bundles of a round of pipeline 1, which kept no record of them, are out and never were here.

    Where they lie in DVC's cache, somebody deleted them here.
    """
    stage = read_yaml(layout.LOCK).get("stages", {}).get("export", {}) if layout.LOCK.is_file() else {}
    if 1 not in pipelines() or stage.get("params", {}).get(layout.PARAMS.as_posix(), {}).get("round") != number:
        return False
    made = [
        out["md5"] for out in stage.get("outs", []) if out["path"] == layout.BUNDLES.as_posix() and out.get("nfiles")
    ]
    cache = dvc_cache() / "files/md5"
    return any(not (cache / md5[:2] / md5[2:]).exists() for md5 in made)


def upgrade(plan: Upgrade) -> None:
    """Change what a plan says, put folders under DVC that the pipeline reads and that are new, and commit that.

    Killed before the commit, it may be repeated.
    """
    for path, text in plan.files.items():
        replace_text(path, text)
    new = [folder for folder in layout.INPUTS if file_at("HEAD", layout.dvc_file(folder)) is None]
    if plan.files:
        for folder in new:
            folder.mkdir(parents=True, exist_ok=True)
            if not layout.dvc_file(folder).exists():
                dvc_add(folder)
        changed = [*plan.files, *map(layout.dvc_file, new)]
        git("add", "--", *map(str, changed))
        message = "Pipeline of the voxledger that is installed"
        git("commit", "--quiet", "--message", message, "--", *map(str, changed))


class _LastCommit:
    """Files as the last commit has them."""

    def __init__(self) -> None:
        changed = git("diff", "--name-only", "HEAD").splitlines()
        self.changed = {Path(name) for name in changed + git("ls-files", "--others", "--exclude-standard").splitlines()}
        """Those that lie here otherwise, or that it does not have."""

    def text(self, path: Path) -> str | None:
        """None where it has no such file."""
        return file_at("HEAD", path) if path in self.changed else read_text_if_there(path)


def _wanted(params: Params, last: _LastCommit) -> dict[Path, str]:
    """The text that every file of the pipeline should have, made from the last commit."""
    source = template_root()
    pipeline = _pipeline(read_text(source / layout.PIPELINE), params.dataset, last.text(layout.PIPELINE) or "")
    lines = {}
    for file in _LINES:
        own = (last.text(file) or "").splitlines()
        missing = [line for line in read_text(source / file).splitlines() if line not in own]
        lines[file] = "\n".join([*own, *missing]) + "\n"
    scripts = {
        layout.STAGES / script.name: read_text(script) for script in sorted((source / layout.STAGES).glob("*.py"))
    }
    carried = {table: last.text(table) or "" for table in layout.CARRIED}  # repositories of before lack one
    return {
        layout.PIPELINE: pipeline,
        layout.ALGORITHMS: algorithms.text(),
        layout.FORMATS: formats(),
        **{
            file: last.text(file) or read_text(source / file) for file in (layout.REVIEWERS, layout.DATASET_DESCRIPTION)
        },
        layout.PARAMS: _parameters(last.text(layout.PARAMS) or "", params, pipeline),
        **lines,
        **scripts,
        **carried,
    }


def _again(
    before: Stages, after: Stages, files: Iterable[Path], versions: Mapping[str, tuple[int | None, int | None]]
) -> dict[str, list[str]]:
    """Stages that DVC will find changed, with what changed."""
    names = {path.as_posix() for path in files}
    found = {}
    for name, stage in after.items():
        reasons = [f"{dep} changes" for dep in stage.get("deps", []) if dep in names]
        asked = _parameters_of(stage)[layout.ALGORITHMS.as_posix()]
        reasons += [f"{a} {old or '–'} → {new or '–'}" for a, (old, new) in versions.items() if a in asked]
        if name not in before:
            reasons.append("it is new")
        elif _asked(before[name]) != _asked(stage):
            reasons.append(f"its entry in {layout.PIPELINE} changes")
        if reasons:
            found[name] = reasons
    return found


def _asked(stage: dict[str, Any]) -> list[Any]:
    """What DVC compares of an entry."""
    return [stage.get("cmd"), sorted(stage.get("deps", [])), _parameters_of(stage), sorted(_outputs(stage))]


def _parameters_of(stage: dict[str, Any]) -> dict[str, set[str]]:
    """Names of the parameters that a stage reads, by file."""
    found: dict[str, set[str]] = {file.as_posix(): set() for file in (layout.PARAMS, layout.ALGORITHMS)}
    for entry in stage.get("params") or []:
        for file, names in entry.items() if isinstance(entry, dict) else ((layout.PARAMS.as_posix(), [entry]),):
            found.setdefault(file, set()).update(names or [])
    return found


def _outputs(stage: dict[str, Any]) -> list[str]:
    listed = [out for kind in ("outs", "metrics", "plots") for out in stage.get(kind, [])]
    return [next(iter(out)) if isinstance(out, dict) else out for out in listed]


def _follow(stages: Stages, again: Iterable[str]) -> list[str]:
    """Stages that read what these write, and so on, in the order of `dvc.yaml`."""
    reached = set(again)
    written = [PurePosixPath(out) for name in again for out in _outputs(stages[name])]
    while written:
        out = written.pop()
        for name, stage in stages.items():
            read = map(PurePosixPath, stage.get("deps", []))
            if name not in reached and any(dep.is_relative_to(out) or out.is_relative_to(dep) for dep in read):
                reached.add(name)
                written += map(PurePosixPath, _outputs(stage))
    return [name for name in stages if name in reached and name not in set(again)]


def _pipeline(template: str, dataset: str, before: str) -> str:
    """The template's dvc.yaml, with the stages and artifacts that only this repository had before."""
    from ruamel.yaml import YAML

    text = template.replace(TEMPLATE_NAME, dataset)
    own = parse_yaml(before, layout.PIPELINE, "stages")
    yaml = YAML()
    yaml.width = 4096
    merged = yaml.load(text)
    extra = False
    for key, values in own.items():
        for name, value in (values or {}).items() if isinstance(values, dict) else ():
            if name not in merged.setdefault(key, {}):
                merged[key][name] = value
                extra = True
    if not extra:
        return text
    stream = io.StringIO()
    yaml.dump(merged, stream)
    return stream.getvalue()


def _parameters(text: str, params: Params, pipeline: str) -> str:
    """The text of params.yaml with every section that a stage of dvc.yaml names, and the recipe of every nnU-Net."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    document, values, missing = yaml.load(text), params.model_dump(mode="json"), False
    for stage in parse_yaml(pipeline, layout.PIPELINE, "stages")["stages"].values():
        for section in sorted(_parameters_of(stage)[layout.PARAMS.as_posix()]):
            if section not in document:
                document[section] = values[section]
                missing = True
    for name, model in params.retrain.models.items():
        entry = document["retrain"]["models"][name]
        if model.recipe and "recipe" not in entry:
            entry.insert(1, "recipe", model.recipe)
            missing = True
    if not missing:
        return text
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()
