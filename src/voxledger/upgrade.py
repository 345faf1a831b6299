"""Bringing the pipeline of a curation repository to that of the voxledger that is installed."""

from __future__ import annotations

import io
import shutil

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.params import Params, read_params
from voxledger.repository import TEMPLATE_NAME, git, round_tag, tag_exists, template_root
from voxledger.textfile import read_text, read_text_if_there, read_yaml, replace_text


def upgrade() -> list[str]:
    """Replace `stages/` and `dvc.yaml` by those of this voxledger, and commit that; returns the files that changed.

    Stages and artifacts that are only in this repository's `dvc.yaml` stay, and so do scripts of other names.

    Raises
    ------
    VoxledgerError
        Bundles are out: the round has to be finished by the voxledger that began it.
    Misuse
        Files that would be replaced have changes that git does not hold yet.
    """
    params = read_params()
    if layout.exported(params.round) and not tag_exists(round_tag(params.round)):
        raise VoxledgerError(
            f"bundles of round {params.round} are out, and the pipeline that made them has to take them in",
            "close this round with the voxledger that began it, then upgrade; if nobody has begun to review, delete "
            f"{layout.BUNDLES} first",
        )
    source = template_root()
    scripts = sorted((source / layout.STAGES).glob("*.py"))
    own = [layout.STAGES / script.name for script in scripts]
    files = [layout.PIPELINE, layout.PARAMS, layout.IGNORED, *own, *layout.CARRIED]
    if changed := git("status", "--porcelain", "--", *files).strip():
        raise Misuse(f"there are changes that git does not hold yet: {changed}", "commit or undo them first")
    for script, target in zip(scripts, own, strict=True):
        shutil.copyfile(script, target)
    replace_text(layout.PIPELINE, _pipeline((source / layout.PIPELINE).read_text("utf-8"), params.dataset))
    replace_text(layout.PARAMS, _parameters(read_text(layout.PARAMS), params))
    ignored = (read_text_if_there(layout.IGNORED) or "").splitlines()
    wanted = (source / layout.IGNORED).read_text("utf-8").splitlines()
    replace_text(layout.IGNORED, "\n".join([*ignored, *(line for line in wanted if line not in ignored)]) + "\n")
    for table in layout.CARRIED:  # repositories of before lack one
        if not table.exists():
            replace_text(table, "")
    git("add", "--", *files)
    names = git("diff", "--cached", "--name-only", "--", *files).split()
    if names:
        git("commit", "--quiet", "--message", "Pipeline of the voxledger that is installed", "--", *names)
    return names


def _pipeline(template: str, dataset: str) -> str:
    """The template's dvc.yaml, with the stages and artifacts that only this repository has."""
    from ruamel.yaml import YAML

    own, text = read_yaml(layout.PIPELINE, "stages"), template.replace(TEMPLATE_NAME, dataset)
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


def _parameters(text: str, params: Params) -> str:
    """The text of params.yaml with every section that a stage of dvc.yaml names."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    document, values, missing = yaml.load(text), params.model_dump(mode="json"), False
    for stage in read_yaml(layout.PIPELINE, "stages")["stages"].values():
        for section in stage.get("params", []):
            if section not in document:
                document[section] = values[section]
                missing = True
    if not missing:
        return text
    stream = io.StringIO()
    yaml.dump(document, stream)
    return stream.getvalue()
