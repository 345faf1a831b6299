"""From round to round: close one under a tag, make its outputs the inputs of the next."""

from __future__ import annotations

import io
import json
import shutil
from collections.abc import Mapping
from pathlib import Path

from voxledger import layout
from voxledger.errors import Misuse, VoxledgerError
from voxledger.params import Params, read_params
from voxledger.records.sent import BRING_BACK, SHOWN, is_out, read_sent, write_sent
from voxledger.release.committed import not_as_committed
from voxledger.release.elsewhere import require_closed_here_alone
from voxledger.release.manifest import sign_manifest, write_manifest
from voxledger.release.times import note_export
from voxledger.repository import (
    commit_of,
    dvc,
    dvc_add,
    dvc_output,
    file_at,
    git,
    require_root,
    round_tag,
    tag_exists,
)
from voxledger.textfile import parse_yaml, read_json_if_there, read_text, read_yaml, replace_text

PROMOTED = {
    layout.RELEASE_LABELS: layout.BASE_LABELS,
    layout.RELEASE_REVISIONS: layout.BASE_REVISIONS,
    layout.NEXT_MODELS: layout.BASE_MODELS,
}
"""Outputs of a closed round that become inputs of the next, under DVC."""
PROMOTED_FILES = {
    layout.RELEASE_LEDGER: layout.BASE_LEDGER,
    layout.HISTORY: layout.BASE_HISTORY,
    layout.ERRORS: layout.BASE_ERRORS,
    layout.NEXT_CARDS: layout.BASE_CARDS,
}
"""The same for files in git."""


def require_bundles_fit() -> None:
    """Raise if bundles are out, and they or what they were made from are not here as they were.

    Raises
    ------
    VoxledgerError
        Names what is missing or was changed.
    """
    params = read_params()
    if not is_out(params):
        return
    absent = [path for path in SHOWN if not path.exists()]
    if absent:
        raise VoxledgerError(
            f"bundles of round {params.round} are out, and {', '.join(map(str, absent))} is not here",
            f"bring back what people were shown: `{BRING_BACK}`, or in a clone `dvc pull`",
        )
    found = json.loads(dvc_output("status", "--json", "--with-deps", "export"))
    changed = sorted(
        {
            path
            for entries in found.values()
            for entry in entries
            if isinstance(entry, dict)
            for kind in ("changed deps", "changed outs")
            for path, state in entry.get(kind, {}).items()
            if state != "deleted"
        }
    )
    if changed:
        raise VoxledgerError(
            f"bundles of this round are out, and since then these changed: {', '.join(changed)}; running on would make "
            "the bundles anew, and what comes back would no longer fit",
            "undo the change (`git restore` or `dvc checkout` these paths) until the round is closed; if nobody has "
            "begun to review, `voxledger round recall` takes the bundles back",
        )


def recall() -> None:
    """Take the bundles of this round back: they may be made anew, and what comes of them no longer counts.

    Raises
    ------
    VoxledgerError
        No bundle is out, or returns of this round are in the inbox.
    """
    params = read_params()
    if not is_out(params):
        raise Misuse("no bundle of this round is out", "`voxledger round run` makes bundles and sends them out")
    returns = [str(p) for p in layout.returned() if p.is_dir()]
    if returns:
        raise VoxledgerError(
            f"people have reviewed already: {', '.join(returns)}",
            "go on with `voxledger round run`; if their work shall not count, first move it out of the inbox",
        )
    layout.SENT.unlink()
    git("add", "--all", "--", layout.SENT)
    git("commit", "--quiet", "--message", f"Bundles of round {params.round} are taken back", "--", layout.SENT)


def require_whole_dvc_files() -> None:
    """Raise if a file of DVC's breaks off, which DVC itself takes for fewer data or none.

    Those of the inbox are left out: `track_inbox` writes them anew.
    """
    for path in (layout.LOCK, *layout.dvc_files()):
        if path.is_file() and not path.read_bytes().endswith(b"\n"):
            raise VoxledgerError(
                f"{path} breaks off, as by a DVC that was killed while it wrote it",
                f"`git restore {path}`, then run this again",
            )


def track_inbox() -> None:
    """Put every returned bundle under DVC, so that it is in the version as it came."""
    folders = [p.as_posix() for p in sorted(layout.INBOX.glob("bundle-[!.]*")) if p.is_dir()]
    if folders:
        dvc_add(*folders)


def close(push: bool = True) -> str:
    """Freeze the round: manifest, signature if a key is configured, commit, tags; returns the version's tag.

    May be repeated after it failed halfway, as when a key could not sign.

    Raises
    ------
    VoxledgerError
        The pipeline is not up to date, a file does not belong to the version, or the round is closed already.
    """
    require_root()
    params = read_params()
    if opening() is not None:
        require_open(params)
    release = f"v{params.round}.0.0"
    tags = _tags(params.dataset, params.round)
    require_whole_dvc_files()
    if not all(tag_exists(t) for t in tags):
        _require_tags_of_this_commit(tags)
    else:
        require_open(params)
    require_closed_here_alone(tags, commit_of("HEAD"))
    if evaluated_round() != params.round:
        raise VoxledgerError(f"round {params.round} has not been evaluated", "run `voxledger round run` first")
    if params.dataset not in (read_yaml(layout.PIPELINE).get("artifacts") or {}):
        raise Misuse(
            f"{layout.PIPELINE} has no artifact named {params.dataset}, so `dvc artifacts get` would not find the "
            "version",
            f"give the artifact in {layout.PIPELINE} and `dataset` in {layout.PARAMS} the same name",
        )
    track_inbox()
    changed = _pipeline_changes()
    if changed:
        raise VoxledgerError(
            f"round {params.round} is not up to date: {', '.join(changed)}", "run `voxledger round run` first"
        )
    _require_no_strangers()
    key = git("config", "user.signingkey", check=False).strip()
    signed = bool(key) and git("config", "gpg.format", check=False).strip() == "ssh"
    message = f"Close round {params.round}: {params.dataset} {release}"
    if git("log", "-1", "--format=%s", check=False).strip() != message or git("status", "--porcelain"):
        write_manifest(params.dataset, params.round, release)
        if signed:
            sign_manifest(str(Path(key).expanduser()))
        git("add", "--all")
        git("commit", "--quiet", "--message", message)
    _require_committed()
    if push and dvc_output("remote", "list").strip() and dvc("push") != 0:
        raise VoxledgerError("the data could not be pushed", "mend the remote, or use --no-push and push later")
    for tag in tags:
        if not tag_exists(tag):
            git("tag", "--sign" if signed else "--annotate", tag, "--message", f"{params.dataset} {release}")
    return tags[1]


def send_out(bundles: Mapping[str, str]) -> None:
    """Record that bundles go out, and commit all that git holds of the round so far.

    Every machine then has what later stages compare with, and nothing has to be computed again there.

    Parameters
    ----------
    bundles
        Id of every bundle, by the name of its folder.
    """
    params = read_params()
    sent = read_sent()
    if sent is None or (sent.round, sent.bundles) != (params.round, dict(bundles)):
        write_sent(params.round, bundles)
    note_export(params.round)
    paths = [layout.PARAMS, layout.SCHEMA, layout.PIPELINE, layout.LOCK, layout.STAGES, layout.BASE_CARDS, layout.SENT]
    paths += layout.dvc_files()
    paths += sorted(layout.TIMES.glob("export-*.json"))
    paths += [p for folder in (layout.DATA, layout.BASE) for p in sorted(folder.glob("*.csv"))]
    paths += map(Path, _git_outputs_until("export"))
    paths = [p for p in paths if p.exists()]
    git("add", "--", *paths)
    if git("diff", "--cached", "--name-only", "--", *paths).strip():
        git("commit", "--quiet", "--message", f"Bundles of round {params.round} go out", "--", *paths)


def _git_outputs_until(last: str) -> list[str]:
    """Outputs that git holds, not DVC, of the stages up to `last`."""
    found = []
    for name, stage in read_yaml(layout.PIPELINE, "stages")["stages"].items():
        for kind in ("outs", "metrics", "plots"):
            for out in stage.get(kind, []):
                path, options = next(iter(out.items())) if isinstance(out, dict) else (out, {})
                if options.get("cache") is False:
                    found.append(path)
        if name == last:
            break
    return found


def _tags(dataset: str, number: int) -> tuple[str, str]:
    return round_tag(number), f"{dataset}@v{number}.0.0"


def _require_tags_of_this_commit(tags: tuple[str, ...]) -> None:
    """Raise if one of the tags names another commit than HEAD: a close that failed halfway left it at HEAD."""
    for tag in tags:
        if tag_exists(tag) and commit_of(tag) != commit_of("HEAD"):
            raise VoxledgerError(
                f"the tag {tag} exists already and names another commit",
                f"if it was set by mistake, `git tag -d {tag}`; otherwise raise `round` in {layout.PARAMS}",
            )


def _require_no_strangers() -> None:
    """Raise if files lie here that are in no version: they may hold what must not be published."""
    pipeline = read_yaml(layout.PIPELINE, "stages")["stages"].values()
    ours = {p.as_posix() for p in (layout.MANIFEST, layout.SIGNATURE, layout.LOCK)}
    for stage in pipeline:
        for kind in ("outs", "metrics", "plots"):
            ours |= {next(iter(o)) if isinstance(o, dict) else str(o) for o in stage.get(kind, [])}
    untracked = git("-c", "core.quotePath=false", "ls-files", "--others", "--exclude-standard").splitlines()
    strangers = [f for f in untracked if f not in ours and not (f.startswith(f"{layout.DATA}/") and f.endswith(".dvc"))]
    if strangers:
        shown = ", ".join(strangers[:10]) + (f" and {len(strangers) - 10} more" if len(strangers) > 10 else "")
        raise VoxledgerError(
            f"these files are not part of a version: {shown}",
            "move them away, list them in .gitignore, or `git add` those that shall be published",
        )


def _require_committed() -> None:
    """Raise if git did not take files as they are: a clone would hold others than the manifest names."""
    if hidden := not_as_committed("HEAD"):
        shown = ", ".join(hidden[:10]) + (f" and {len(hidden) - 10} more" if len(hidden) > 10 else "")
        raise VoxledgerError(
            f"git did not commit these files as they are here, since it was told not to look, or a filter "
            f"changes them: {shown}",
            "run `git update-index --no-assume-unchanged FILE` and `git update-index --no-skip-worktree FILE`, or take "
            "the filter out of .gitattributes and git's configuration (core.autocrlf); then `voxledger round close`",
        )


def open_next() -> int:
    """Make the closed round's outputs the inputs of the next; returns its number.

    Killed at any point, it is finished by calling it again: it writes down first what it is about to do, every step
    may be repeated, and the commit, after which the round is open, comes last.

    Raises
    ------
    VoxledgerError
        The round is not closed, or what lies here is not what the tag recorded.
    """
    require_root()
    params, begun = read_params(), opening()
    number = params.round
    if begun is None and _is_just_opened(number):
        return number
    closed = number if begun is None else begun - 1
    tag, number = round_tag(closed), closed + 1
    if not tag_exists(tag):
        raise VoxledgerError(f"round {closed} is not closed", "run `voxledger round close` first")
    if begun is not None:
        _require_nothing_else_changed(number)
    elif commit_of("HEAD") != commit_of(tag) or git("status", "--porcelain"):
        raise VoxledgerError(
            f"the working tree is not what {tag} recorded", f"`git stash` your changes, or `git checkout {tag}`, first"
        )
    require_closed_here_alone(_tags(params.dataset, closed), commit_of(tag))
    _require_nothing_came_late(tag)
    recorded = _lock_hashes(file_at(tag, layout.LOCK) or "")
    absent = [source for source in (*PROMOTED, *PROMOTED_FILES) if not source.exists()]
    if absent:
        raise VoxledgerError(f"{', '.join(map(str, absent))} of {tag} is not here", "run `dvc pull`")
    altered = [str(source) for source in PROMOTED if source.as_posix() in _changed_outputs()]
    if altered:
        raise VoxledgerError(
            f"{', '.join(altered)} is not what {tag} recorded in {layout.LOCK}, so round {number} cannot start from it",
            "run `dvc checkout --force`, then again",
        )
    replace_text(_opening_file(), json.dumps({"round": number, "commit": commit_of(tag)}))
    for source, target in PROMOTED.items():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)
    dvc_add(*PROMOTED.values())
    for source, target in PROMOTED.items():
        if _dvc_file_hash(layout.dvc_file(target)) != recorded[source.as_posix()]:
            raise VoxledgerError(
                f"{source} is not what {tag} recorded in {layout.LOCK}, so round {number} cannot start from it",
                "run `git checkout . && dvc checkout --force`, then again",
            )
    for source, target in PROMOTED_FILES.items():
        replace_text(target, read_text(source))
    for bundle in layout.returned():
        _remove_at_once(bundle) if bundle.is_dir() else bundle.unlink()
    _remove_at_once(layout.BUNDLES)
    shutil.rmtree(layout.TIMES, ignore_errors=True)
    for leftover in (layout.MANIFEST, layout.SIGNATURE):
        leftover.unlink(missing_ok=True)
    replace_text(layout.PARAMS, _with_round(read_text(layout.PARAMS), number))
    git("add", "--all")
    git("commit", "--quiet", "--message", _opened(number))
    _opening_file().unlink()
    return number


def _require_nothing_came_late(tag: str) -> None:
    """Raise if somebody's work lies in the inbox or the bundles that is not in the closed version: both are cleared."""
    late, kept = [], []
    for path in layout.returned():
        dvc_file = layout.dvc_file(path)
        if path.is_dir() and dvc_file.is_file() and read_text(dvc_file) == file_at(tag, dvc_file.as_posix()):
            kept.append(dvc_file.as_posix())
        elif path.is_dir() or path.suffix != ".dvc":
            late.append(path.as_posix())
    if kept:
        late += [name.removesuffix(".dvc") for name in json.loads(dvc_output("status", "--json", *kept))]
    if late:
        raise VoxledgerError(
            f"{', '.join(late)} came or was changed after {tag} was closed, and is in no version",
            f"move it out of {layout.INBOX} and keep it, it is somebody's work: its labels can be put into a bundle of "
            "a later round that asks for the same cases. Then `voxledger round open` again",
        )
    if layout.BUNDLES.exists() and (changed := _changed_in(layout.BUNDLES)):
        shown = ", ".join(changed[:5]) + (f" and {len(changed) - 5} more" if len(changed) > 5 else "")
        raise VoxledgerError(
            f"changed or added since {tag} was closed, and in no version: {shown}",
            f"keep a copy elsewhere if it is somebody's work, then `dvc checkout --force {layout.BUNDLES}` and "
            "`voxledger round open` again",
        )


def _changed_in(folder: Path) -> list[str]:
    """Files in a folder under DVC that were changed or added, by content, sorted."""
    found = json.loads(dvc_output("data", "status", "--granular", "--json"))
    names = {n for k in ("modified", "added", "unknown") for n in found.get("uncommitted", {}).get(k, [])}
    return sorted(n for n in names if n.startswith(f"{folder.as_posix()}/") and not n.endswith("/"))


def _remove_at_once(folder: Path) -> None:
    """Remove a folder so that a kill leaves the whole of it or nothing: what is there is what somebody put there."""
    away = Path(".dvc/tmp/voxledger-cleared")
    shutil.rmtree(away, ignore_errors=True)
    if folder.exists():
        away.parent.mkdir(parents=True, exist_ok=True)
        shutil.move(folder, away)
        shutil.rmtree(away)


def opening() -> int | None:
    """The round that an interrupted `open_next` was making, or None."""
    record = read_json_if_there(_opening_file(), "round", "commit")
    # After its commit nothing is left to do, and elsewhere in the history the record means nothing.
    return int(record["round"]) if record and record["commit"] == commit_of("HEAD") else None


def _opening_file() -> Path:
    return Path(git("rev-parse", "--git-path", "voxledger-opening").strip())


def _opened(number: int) -> str:
    return f"Open round {number}"


def _is_just_opened(number: int) -> bool:
    """Whether HEAD is the commit that opened this round."""
    tag = round_tag(number - 1)
    parents = git("log", "-1", "--format=%P", check=False).split()
    subject = git("log", "-1", "--format=%s", check=False).strip()
    return subject == _opened(number) and tag_exists(tag) and parents == [commit_of(tag)]


def _require_nothing_else_changed(number: int) -> None:
    """Raise if files differ from HEAD that `open_next` does not write: somebody worked on after it was interrupted."""
    written = [*PROMOTED_FILES.values(), *map(layout.dvc_file, PROMOTED.values()), layout.MANIFEST, layout.SIGNATURE]
    ours = {path.as_posix() for path in written}
    before = file_at("HEAD", layout.PARAMS) or ""
    if read_text(layout.PARAMS) in (before, _with_round(before, number)):
        ours.add(layout.PARAMS.as_posix())
    entries = git("status", "--porcelain", "-z", "--no-renames", "--untracked-files=all").split("\0")
    cleared = (f"{layout.TIMES}/", f"{layout.INBOX}/bundle-")
    # What a killed process left of a text lies beside it under a hidden name, and goes when the text is written again.
    parts = tuple(Path(path).with_name(f".{Path(path).name}.").as_posix() for path in ours)
    strangers = [p for e in entries if (p := e[3:]) and p not in ours and not p.startswith((*cleared, *parts))]
    if strangers:
        raise VoxledgerError(
            f"`voxledger round open` was interrupted, and these changes are not its own: {', '.join(strangers)}",
            "undo them, or `git stash push --include-untracked -- FILE` them, then `voxledger round open` again",
        )


def require_open(params: Params) -> None:
    """Raise unless the round of params.yaml is still open."""
    if (number := opening()) is not None:
        raise VoxledgerError(
            f"`voxledger round open` was interrupted, so round {number} is half open",
            "run `voxledger round open` again",
        )
    if tag_exists(round_tag(params.round)):
        raise VoxledgerError(f"round {params.round} is closed", "run `voxledger round open` to start the next one")


def evaluated_round() -> int | None:
    """The round that the metrics in the working tree speak of."""
    path = layout.METRICS
    metrics = read_json_if_there(path, "round")
    return None if metrics is None else int(metrics["round"])


def _changed_outputs() -> set[str]:
    """Outputs of import and retrain that are not what dvc.lock says."""
    found = json.loads(dvc_output("status", "--json", "import", "retrain"))
    return {p for es in found.values() for e in es if isinstance(e, dict) for p in e.get("changed outs", {})}


def _pipeline_changes() -> list[str]:
    """Stages and data files that DVC finds changed."""
    return sorted(json.loads(dvc_output("status", "--json")))


def _lock_hashes(lock: str) -> dict[str, str]:
    stages = parse_yaml(lock, layout.LOCK, "stages")["stages"].values()
    return {out["path"]: out["md5"] for stage in stages for out in stage.get("outs", [])}


def _dvc_file_hash(path: Path) -> str:
    return str(read_yaml(path, "outs")["outs"][0]["md5"])


def _with_round(params: str, number: int) -> str:
    """The text of params.yaml with another round."""
    from ruamel.yaml import YAML

    yaml = YAML()
    yaml.preserve_quotes = True
    values = yaml.load(params)
    values["round"] = number
    stream = io.StringIO()
    yaml.dump(values, stream)
    return stream.getvalue()
